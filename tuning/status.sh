#!/bin/sh
# Says what holds of a profile, or of what was applied. Changes nothing: see README.md beside this file.

# shellcheck source-path=SCRIPTDIR
# "a && b || c" is meant as it runs: c also where b fails.
# shellcheck disable=SC2015

set -u
PROGRAM=tuning/status.sh
HERE=$(cd "$(dirname "$0")" && pwd -P) || exit 1
ACCEPT='PROFILE --skip'
# shellcheck source=lib/common.sh
. "$HERE/lib/common.sh"
# shellcheck source=lib/keys.sh
. "$HERE/lib/keys.sh"
# shellcheck source=lib/values.sh
. "$HERE/lib/values.sh"
# shellcheck source=lib/profile.sh
. "$HERE/lib/profile.sh"
# shellcheck source=lib/journal.sh
. "$HERE/lib/journal.sh"
# shellcheck source=lib/files.sh
. "$HERE/lib/files.sh"
# shellcheck source=lib/limits.sh
. "$HERE/lib/limits.sh"

usage() {
    cat <<END
Usage: tuning/status.sh [PROFILE] [--skip PART]... [--root DIR] [--state DIR]

With PROFILE: which of its settings hold. Without: what tuning/apply.sh has applied, and what of that
was edited since.

Exit codes: 0 all holds (or nothing was applied), 3 something does not, 2 bad arguments or profile.
END
}

DIFFERS=''

main() {
    parse_options "$@"
    where_are_we
    if [ -n "$PROFILE" ]; then
        find_profile "$PROFILE"
        load_profile
        status_values
        status_profile_files
        status_cmdline
    elif journal_load; then
        status_journal
    elif [ -e "$STATE/lock" ]; then
        say "an apply was stopped before its first write: tuning/revert.sh tidies up"
    else
        say "nothing is applied ($STATE holds no journal)"
    fi
    [ -z "$DIFFERS" ] || exit "$EXIT_DIFFERS"
}

status_values() {
    while IFS=$TAB read -r status_need status_path status_name status_want; do
        [ -n "$status_need" ] || continue
        setting_state "$status_path" "$status_want"
        case $SETTING in
            absent) status_missing absent "$status_need" ;;
            refused) status_missing refused "$ERRNO" ;;
            same) report holds "$status_name = $VALUE" ;;
            differs)
                DIFFERS=yes
                report differs "$status_name = $VALUE" "the profile says $WANTED"
                ;;
        esac
    done <<END
$PLAN
END
}

# What need not be there is no difference.
status_missing() {
    [ "$status_need" = optional ] || DIFFERS=yes
    report "$1" "$status_name" "$2"
}

# Limits count only where the profile's block is in a file: --runtime sets none.
status_profile_files() {
    files_plan
    status_persistent=''
    while read -r status_path; do
        [ -n "$status_path" ] || continue
        if [ -e "$ROOT$status_path" ] && status_block "$status_path"; then
            report holds "$status_path" 'has the block of this profile'
            [ "$status_path" != "$LIMITS_FILE" ] || status_persistent=yes
        else
            report 'not set' "$status_path" 'no block of this profile'
        fi
    done <<END
$FILES
END
    [ -n "$LIMITS" ] && [ -z "$ROOT" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        status_own_limits
    elif [ -n "$status_persistent" ]; then
        limits_verify || DIFFERS=yes
    else
        limits_refusal
        [ -z "$LIMITS_REFUSED" ] || report 'not set' "$LIMITS_FILE" "and would be refused: $LIMITS_REFUSED"
    fi
}

status_block() {
    file_lines "$1"
    case $(cat "$ROOT$1") in
        *"$(block_begin "$PROFILE_NAME")$NEWLINE$FILE_LINES$(block_end "$PROFILE_NAME")"*) return 0 ;;
        *) return 1 ;;
    esac
}

# Without root no session can be opened; this one is one.
status_own_limits() {
    limit_item nofile
    limit_of "$(cat /proc/self/limits)" &&
        report 'this here' "nofile soft $SOFT, hard $HARD" 'another user needs root to be looked at'
}

status_cmdline() {
    while IFS= read -r status_line; do
        [ -n "$status_line" ] || continue
        if on_cmdline "$status_line"; then
            report holds "$status_line" 'the kernel was booted with it'
        else
            report 'boot only' "$status_line" 'never set here'
        fi
    done <<END
$CMDLINE
END
}

status_journal() {
    while IFS= read -r status_profile; do
        [ -z "$status_profile" ] || say "# profile $status_profile was applied"
    done <<END
$J_PROFILES
END
    ! journal_foreign || say "# in another network namespace, $J_NET: its net.* values cannot be seen from here"
    while IFS=$TAB read -r status_kind status_path status_rest; do
        case $status_kind in
            value) status_journal_value "$status_path" "$status_rest" ;;
            file) status_journal_file "$status_path" "$status_rest" ;;
        esac
    done <<END
$JOURNAL
END
}

status_journal_value() {
    name_of "$1"
    status_origin=${2%%"$TAB"*}
    if ! value_read "$1"; then
        DIFFERS=yes
        report absent "$NAME" "was ${status_origin#=}"
    elif is_ours "$VALUE" "$2"; then
        report holds "$NAME = $VALUE" "was ${status_origin#=}"
    elif [ "=$VALUE" = "$status_origin" ]; then
        DIFFERS=yes
        report differs "$NAME = $VALUE" "the original; not ours, ${2##*=}"
    else
        DIFFERS=yes
        report edited "$NAME = $VALUE" "ours: ${2##*=}; before: ${status_origin#=}"
    fi
}

status_journal_file() {
    HASH=absent
    [ ! -e "$ROOT$1" ] || hash_of "$ROOT$1"
    case $TAB${2#*"$TAB"}$TAB in
        *"$TAB$HASH$TAB"*) report holds "$1" ;;
        *)
            DIFFERS=yes
            report edited "$1" 'since it was written'
            ;;
    esac
}

main "$@"
