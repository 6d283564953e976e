#!/bin/sh
# Undoes what apply.sh did, also an apply that was killed: see README.md beside this file.

# shellcheck source-path=SCRIPTDIR
# "a && b || c" is meant as it runs: c also where b fails.
# shellcheck disable=SC2015

set -u
PROGRAM=tuning/revert.sh
HERE=$(cd "$(dirname "$0")" && pwd -P) || exit 1
ACCEPT='--dry-run --force --forget-net'
trap '' PIPE
# shellcheck source=lib/common.sh
. "$HERE/lib/common.sh"
# shellcheck source=lib/keys.sh
. "$HERE/lib/keys.sh"
# shellcheck source=lib/values.sh
. "$HERE/lib/values.sh"
# shellcheck source=lib/journal.sh
. "$HERE/lib/journal.sh"
# shellcheck source=lib/files.sh
. "$HERE/lib/files.sh"

usage() {
    cat <<END
Usage: tuning/revert.sh [--dry-run] [--force] [--forget-net] [--root DIR] [--state DIR]

Puts back what was there before the first tuning/apply.sh, newest change first, wherever the value is
still the one that apply.sh wrote. What somebody edited since is kept and reported.

  --force        put back kernel settings that were edited since, too
  --forget-net   drop the net.* values of another network namespace (because it is gone)

Exit codes: 0 all is as before, 2 bad arguments, 3 as before except for later edits that were kept,
4 needs root, 5 something could not be put back (the originals are kept; run it again), 1 other.
END
}

KEPT=0
FAILED=0

main() {
    parse_options "$@"
    where_are_we
    if ! journal_load; then
        tidy_without_journal
        exit "$EXIT_OK"
    fi
    is_root || [ -n "$DRY_RUN" ] || die "$EXIT_NEEDS_ROOT" 'needs root. Nothing was changed (--dry-run shows what would be)'
    if [ -z "$DRY_RUN" ]; then
        revert_lock
        # Somebody else may have been at work until now.
        journal_load || { state_remove; exit "$EXIT_OK"; }
    fi
    if journal_foreign && [ -z "$FORGET_NET" ]; then
        lock_release
        die "$EXIT_FAILED" "$STATE holds values of another network namespace ($J_NET, this is $NET)." \
            "Run this there, or give --forget-net if it is gone. Nothing was changed"
    fi
    revert_all
    revert_end
}

# A full disk must not stand in the way of going back.
revert_lock() {
    lock_take && return
    case $ERRNO in
        ENOSPC* | EDQUOT*) complain "goes on without a lock ($ERRNO)" ;;
        *) die "$EXIT_FAILED" "$ERRNO. Nothing was changed" ;;
    esac
}

# An apply that was killed before its journal stood has changed nothing but this folder.
tidy_without_journal() {
    if [ -d "$STATE" ] && [ -z "$DRY_RUN" ] && is_root; then
        lock_take || die "$EXIT_FAILED" "$ERRNO"
        state_remove
    fi
    say 'nothing is applied'
}

revert_all() {
    foreign=''
    ! journal_foreign || foreign=yes
    journal_reversed
    while IFS=$TAB read -r revert_kind revert_path revert_rest; do
        case $revert_kind in
            value) revert_value "$revert_path" "$revert_rest" ;;
            file) revert_file "$revert_path" "$revert_rest" ;;
        esac
    done <<END
$REVERSED
END
}

# Folders that we made go last, when their files are gone.
revert_end() {
    [ -z "$DRY_RUN" ] || exit "$EXIT_OK"
    while IFS=$TAB read -r revert_kind revert_path _; do
        [ "$revert_kind" != dir ] || rmdir "$ROOT$revert_path" 2>/dev/null || :
    done <<END
$REVERSED
END
    if [ "$FAILED" != 0 ]; then
        lock_release
        complain "$FAILED could not be put back; the originals stay in $STATE: run this again"
        exit "$EXIT_NOT_UNDONE"
    fi
    state_remove
    if [ "$KEPT" != 0 ]; then
        complain "all is as before, except for $KEPT later edits that were kept"
        exit "$EXIT_DIFFERS"
    fi
}

kept() {
    report kept "$1" "$2"
    KEPT=$((KEPT + 1))
}

not_reverted() {
    report 'not undone' "$1" "$2"
    FAILED=$((FAILED + 1))
}

revert_value() {
    name_of "$1"
    revert_origin=${2%%"$TAB"*}
    revert_origin=${revert_origin#=}
    key_scope "$1"
    if [ -n "$foreign" ] && [ "$SCOPE" = namespace ]; then
        report forgotten "$NAME" "its network namespace is gone"
        return
    fi
    value_read "$1"
    case $? in
        1) report absent "$NAME" "was $revert_origin; nothing to put back"; return ;;
        2) not_reverted "$NAME" "$ERRNO"; return ;;
    esac
    if [ "$VALUE" = "$revert_origin" ]; then
        report unchanged "$NAME = $VALUE"
    elif [ -z "$FORCE" ] && ! is_ours "$VALUE" "$2"; then
        kept "$NAME = $VALUE" "edited since: ours was ${2##*=}, before it was $revert_origin"
    else
        revert_write "$1" "$VALUE"
    fi
}

revert_write() {
    if [ -n "$DRY_RUN" ]; then
        printf -- '-%s = %s\n+%s = %s\n' "$NAME" "$2" "$NAME" "$revert_origin"
    elif value_write "$1" "$revert_origin"; then
        report reverted "$NAME = $VALUE" "was $2"
    else
        not_reverted "$NAME = $revert_origin" "$ERRNO"
    fi
}

revert_file() {
    file_key "$1"
    revert_first=${2%%"$TAB"*}
    revert_now=absent
    [ ! -e "$ROOT$1" ] || { hash_of "$ROOT$1" && revert_now=$HASH; }
    if [ "$revert_first" = orig ]; then
        hash_of "$FILE_KEY.orig" || { not_reverted "$1" "$FILE_KEY.orig is gone"; return; }
        revert_first=$HASH
    fi
    # What a kill left behind.
    [ -n "$DRY_RUN" ] || rm -f "$ROOT$1.ringbench-new"
    if [ "$revert_now" = "$revert_first" ]; then
        report unchanged "$1"
        return
    fi
    case $TAB${2#*"$TAB"}$TAB in
        *"$TAB$revert_now$TAB"*) revert_contents "$1" ;;
        *) revert_edited "$1" ;;
    esac
}

revert_contents() {
    if [ -n "$DRY_RUN" ]; then
        report 'would undo' "$1" 'our block goes'
    elif [ "$revert_first" = absent ]; then
        if rm -f "$ROOT$1"; then report reverted "$1" 'removed: it was not there'; else not_reverted "$1" 'cannot be removed'; fi
    elif file_replace "$1" "$FILE_KEY.orig" "$ROOT$1"; then
        report reverted "$1"
    else
        not_reverted "$1" "$ERRNO"
    fi
}

revert_edited() {
    if [ "$revert_now" = absent ]; then
        kept "$1" 'somebody removed it'
    elif [ -n "$DRY_RUN" ]; then
        report 'would undo' "$1" 'edited since: only our block goes'
    elif ! file_strip_ours "$1"; then
        not_reverted "$1" "${ERRNO-}"
    elif [ "$FILE_STATE" = stripped ]; then
        kept "$1" 'edited since: only our block was taken out'
    else
        kept "$1" 'edited since: it has no block of ours any more'
    fi
}

main "$@"
