# shellcheck shell=sh disable=SC2015
# What apply.sh, status.sh and revert.sh share: exit codes, messages, options, small text helpers.
# Builtins and coreutils only: no sed, grep or awk, which a small image need not have.

# Exit codes, as README.md documents them.
EXIT_OK=0
EXIT_FAILED=1     # something required failed; all that this run had changed was undone
EXIT_USAGE=2      # bad arguments or a bad profile; nothing was changed
EXIT_DIFFERS=3    # status: does not hold; revert: somebody's later edit was kept
EXIT_NEEDS_ROOT=4 # nothing was changed
EXIT_NOT_UNDONE=5 # something could not be put back; the state is kept, revert.sh can be run again
export EXIT_OK EXIT_FAILED EXIT_USAGE EXIT_DIFFERS EXIT_NEEDS_ROOT EXIT_NOT_UNDONE

TAB=$(printf '\t')
NEWLINE='
'
# The kernel's reasons are told apart by their English text.
LC_ALL=C
export LC_ALL

say() { printf '%s\n' "$*"; }

complain() { printf '%s: %s\n' "$PROGRAM" "$*" >&2; }

# die CODE MESSAGE...
die() {
    die_code=$1
    shift
    complain "$*"
    exit "$die_code"
}

# One line of the report: report STATE WHAT [DETAIL].
report() {
    if [ -n "${3-}" ]; then
        printf '%-10s %s (%s)\n' "$1" "$2" "$3"
    else
        printf '%-10s %s\n' "$1" "$2"
    fi
}

# WORDS becomes the arguments with every run of white space made one blank: the kernel separates the
# numbers of a triple by tabs, people by blanks.
normalise() {
    set -f
    # Splitting is the point.
    # shellcheck disable=SC2048,SC2086
    set -- $*
    set +f
    WORDS=$*
}

# ERRNO becomes the name of the reason at the end of a coreutils message ("tee: FILE: REASON"). An
# unknown one stays in words.
errno_name() {
    errno_text=${1##*: }
    case $errno_text in
        'Operation not permitted') ERRNO=EPERM ;;
        'Permission denied') ERRNO=EACCES ;;
        'Invalid argument') ERRNO=EINVAL ;;
        'Read-only file system') ERRNO=EROFS ;;
        'No such file or directory') ERRNO=ENOENT ;;
        'No space left on device') ERRNO=ENOSPC ;;
        'Disk quota exceeded') ERRNO=EDQUOT ;;
        'Numerical result out of range') ERRNO=ERANGE ;;
        'Value too large for defined data type') ERRNO=EOVERFLOW ;;
        'Device or resource busy') ERRNO=EBUSY ;;
        'Operation not supported') ERRNO=EOPNOTSUPP ;;
        'Input/output error') ERRNO=EIO ;;
        *)
            ERRNO=$errno_text
            return
            ;;
    esac
    ERRNO="$ERRNO: $errno_text"
}

# HASH becomes what tells the bytes of a file from those of another.
hash_of() {
    HASH=$(sha256sum <"$1") || return 1
    HASH=${HASH%% *}
}

# Options that all three scripts have, and those named in ACCEPT (words between blanks). Sets ROOT,
# STATE, DRY_RUN, MODE, SKIP, FORCE, FORGET_NET and PROFILE.
parse_options() {
    ROOT='' STATE='' DRY_RUN='' MODE=runtime SKIP='' FORCE='' FORGET_NET='' PROFILE=''
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help)
                usage
                exit "$EXIT_OK"
                ;;
            --root | --state | --skip)
                [ $# -ge 2 ] && [ -n "$2" ] || die "$EXIT_USAGE" "$1 needs a value (--help lists all)"
                parse_valued "$1" "$2"
                shift
                ;;
            --root=* | --state=* | --skip=*) parse_valued "${1%%=*}" "${1#*=}" ;;
            -*) parse_flag "$1" ;;
            *)
                case " $ACCEPT " in *' PROFILE '*) ;; *) die "$EXIT_USAGE" "takes no argument, and got '$1'" ;; esac
                [ -z "$PROFILE" ] || die "$EXIT_USAGE" "one profile at a time, not '$PROFILE' and '$1'"
                PROFILE=$1
                ;;
        esac
        shift
    done
    STATE=${STATE:-$ROOT/var/lib/ringbench/tuning}
}

parse_flag() {
    case " $ACCEPT " in *" $1 "*) ;; *) die "$EXIT_USAGE" "unknown option '$1' (--help lists all)" ;; esac
    case $1 in
        --dry-run) DRY_RUN=yes ;;
        --runtime) MODE=runtime ;;
        --persistent) MODE=persistent ;;
        --force) FORCE=yes ;;
        --forget-net) FORGET_NET=yes ;;
    esac
}

# Paths are made absolute, because a lib that changed the folder would otherwise write elsewhere.
parse_valued() {
    case $1 in
        --root)
            [ -d "$2" ] || die "$EXIT_USAGE" "--root: '$2' is not a folder"
            ROOT=$(cd "$2" && pwd -P) || exit "$EXIT_USAGE"
            ROOT=${ROOT%/}
            ;;
        --state)
            case $2 in /*) STATE=$2 ;; *) STATE=$(pwd -P)/$2 ;; esac
            ;;
        --skip)
            case " $ACCEPT " in *' --skip '*) ;; *) die "$EXIT_USAGE" "unknown option '--skip' (--help lists all)" ;; esac
            case $2 in
                sysctl | sys | limits | pam | host) SKIP="$SKIP $2 " ;;
                *) die "$EXIT_USAGE" "--skip: '$2' is none of sysctl, sys, limits, pam, host" ;;
            esac
            ;;
    esac
}

skipped() { case $SKIP in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

# An image or a test folder belongs to whoever made it; the real system needs root.
is_root() { [ -n "$ROOT" ] || [ "$(id -u)" = 0 ]; }
