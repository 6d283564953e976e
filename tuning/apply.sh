#!/bin/sh
# Applies a tuning profile so that it can be undone: see README.md beside this file.

# shellcheck source-path=SCRIPTDIR
# "a && b || c" is meant as it runs: c also where b fails.
# shellcheck disable=SC2015

set -u
PROGRAM=tuning/apply.sh
HERE=$(cd "$(dirname "$0")" && pwd -P) || exit 1
ACCEPT='PROFILE --runtime --persistent --dry-run --skip'
# A reader that goes away (| head) must not stop a run half way.
trap '' PIPE
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
# shellcheck source=lib/run.sh
. "$HERE/lib/run.sh"

usage() {
    cat <<END
Usage: tuning/apply.sh PROFILE [--runtime|--persistent] [--dry-run] [--skip PART]... [--root DIR]

PROFILE is a folder under tuning/profiles/, or any folder by a path with a slash in it.

  --runtime      the running kernel's settings only; gone after a boot (the default)
  --persistent   those, and files in /etc so that they come back, and limits of login sessions
  --dry-run      print the exact changes and make none
  --skip PART    leave out sysctl, sys, limits or pam; or host: all kernel settings that are not
                 private to a network namespace
  --root DIR     everything below DIR: DIR/etc, DIR/var, DIR/proc/sys, DIR/sys
  --state DIR    where the originals are kept (default: /var/lib/ringbench/tuning)

Exit codes: 0 applied, 1 failed and undone, 2 bad arguments or profile, 4 needs root, 5 failed and
could not be undone entirely (run tuning/revert.sh).
END
}

main() {
    parse_options "$@"
    [ -n "$PROFILE" ] || { usage >&2; exit "$EXIT_USAGE"; }
    find_profile "$PROFILE"
    load_profile
    FILES=''
    [ "$MODE" = runtime ] || files_plan
    where_are_we
    if [ -n "$DRY_RUN" ]; then
        journal_load || :
        dry_run
        exit "$EXIT_OK"
    fi
    if ! is_root; then
        without_root
        exit "$EXIT_NEEDS_ROOT"
    fi
    trap 'interrupted 130' INT
    trap 'interrupted 143' TERM HUP
    lock_take || { lock_give_up; die "$EXIT_FAILED" "cannot keep the originals in $STATE: $ERRNO. Nothing was changed"; }
    journal_load || :
    run_start
    prepare_all
    write_values
    write_files
    verify_session
    run_commit
}

dry_run() {
    say "# profile $PROFILE_NAME, $MODE: what would change (nothing was)"
    while IFS=$TAB read -r dry_need dry_path dry_name dry_want; do
        [ -n "$dry_need" ] || continue
        setting_state "$dry_path" "$dry_want"
        case $SETTING in
            absent) report absent "$dry_name" "$dry_need" ;;
            refused) report refused "$dry_name" "$ERRNO" ;;
            same) report unchanged "$dry_name = $VALUE" ;;
            differs) printf -- '-%s = %s\n+%s = %s\n' "$dry_name" "$VALUE" "$dry_name" "$WANTED" ;;
        esac
    done <<END
$PLAN
END
    while read -r dry_path; do
        [ -z "$dry_path" ] || dry_run_file "$dry_path"
    done <<END
$FILES
END
    report_not_set
}

dry_run_file() {
    if ! file_check "$1"; then
        report "$FILE_STATE" "$1" "$FILE_WHY"
        return
    fi
    say "@@ $ROOT$1"
    [ -e "$ROOT$1" ] || [ "$1" = "$LIMITS_FILE" ] || say "+$MADE_BY"
    file_lines "$1"
    while IFS= read -r dry_line; do
        [ -z "$dry_line" ] || say "+$dry_line"
    done <<END
$(block_begin "$PROFILE_NAME")
$FILE_LINES$(block_end "$PROFILE_NAME")
END
}

# Says what holds already and what root would be needed for.
without_root() {
    root_missing=0
    while IFS=$TAB read -r root_need root_path root_name root_want; do
        [ -n "$root_need" ] || continue
        setting_state "$root_path" "$root_want"
        case $SETTING in
            absent) report absent "$root_name" "$root_need" ;;
            refused) report refused "$root_name" "$ERRNO" ;;
            same) report unchanged "$root_name = $VALUE" 'holds already' ;;
            differs)
                report 'needs root' "$root_name = $WANTED" "is $VALUE"
                root_missing=$((root_missing + 1))
                ;;
        esac
    done <<END
$PLAN
END
    while read -r root_path; do
        [ -z "$root_path" ] || report 'needs root' "a block in $root_path"
    done <<END
$FILES
END
    report_not_set
    complain "needs root (or, for net.* alone, a network namespace of your own: unshare -Urn)." \
        "$root_missing kernel settings would change; nothing was changed"
}

# What a profile has beside that which this run sets.
report_not_set() {
    while IFS= read -r boot_line; do
        [ -z "$boot_line" ] || report 'not set' "$boot_line" 'a setting of the whole host, and those are skipped'
    done <<END
$LEFT_OUT
END
    [ "$MODE" = persistent ] || [ -z "$LIMITS$PAM" ] ||
        report 'not set' 'limits of login sessions' 'only with --persistent'
    while IFS= read -r boot_line; do
        [ -n "$boot_line" ] || continue
        if on_cmdline "$boot_line"; then boot_now='the kernel was booted with it'; else boot_now='never set here'; fi
        report 'boot only' "$boot_line" "$boot_now"
    done <<END
$CMDLINE
END
}

interrupted() {
    trap '' INT TERM HUP
    complain 'interrupted'
    if [ -n "$STARTED" ]; then
        run_undo
    elif [ -n "${LOCKED-}" ]; then
        run_abandon
    else
        lock_give_up
    fi
    exit "$1"
}

main "$@"
