# shellcheck shell=sh
# One run of apply.sh: snapshot, journal, writes, and the way back when something required fails.

# What this run changed, newest first: value|file, path, =value before.
DONE='' STARTED=''

run_start() {
    if journal_foreign; then
        lock_release
        die "$EXIT_FAILED" "$STATE holds the originals of another network namespace ($J_NET, this is $NET)." \
            "Run tuning/revert.sh there, or --state DIR for a state of its own. Nothing was changed"
    fi
    JOURNAL_BEFORE=$JOURNAL PROFILES_BEFORE=$J_PROFILES
    BOOT_BEFORE=$J_BOOT NET_BEFORE=$J_NET
    STARTED=yes
}

# Before the first write: every key is looked at, and its original and ours are on disk. What is known
# to fail already fails here, with nothing to undo.
prepare_all() {
    TARGETS='' FILE_TARGETS='' REQUIRED_FAILED=0
    prepare_values
    prepare_limits
    prepare_files
    if [ "$REQUIRED_FAILED" != 0 ]; then
        complain "$REQUIRED_FAILED required settings cannot be made. Nothing was changed"
        run_abandon
        exit "$EXIT_FAILED"
    fi
    J_BOOT=$BOOT J_NET=$NET
    case $NEWLINE$J_PROFILES in
        *"$NEWLINE$PROFILE_NAME$NEWLINE"*) ;;
        *) J_PROFILES=$J_PROFILES$PROFILE_NAME$NEWLINE ;;
    esac
    journal_save || cannot_keep "$ERRNO"
}

cannot_keep() {
    complain "cannot keep the originals in $STATE: $1. Nothing was changed"
    run_abandon
    exit "$EXIT_FAILED"
}

# The state as it was before this run; only for a run that has written nothing else.
run_abandon() {
    rm -f "$STATE"/files/*.new "$STATE"/files/*.before
    if [ -e "$STATE/journal" ]; then lock_release; else state_remove; fi
}

failed() {
    report "$2" "$3" "$4"
    [ "$1" = optional ] || REQUIRED_FAILED=$((REQUIRED_FAILED + 1))
}

prepare_values() {
    if [ -n "$PLAN" ] && [ -n "$ROOT" ] && [ ! -e "$ROOT/proc/sys" ] && [ ! -e "$ROOT/sys" ]; then
        report 'not set' 'kernel settings' "no $ROOT/proc/sys: the running kernel is left alone"
        return
    fi
    while IFS=$TAB read -r value_need value_path value_name value_want; do
        [ -n "$value_need" ] || continue
        value_read "$value_path"
        case $? in
            1) failed "$value_need" absent "$value_name" "$value_need" ;;
            2) failed "$value_need" refused "$value_name" "$ERRNO" ;;
            *) prepare_value ;;
        esac
    done <<END
$PLAN
END
}

prepare_value() {
    normalise_value "$value_path" "${value_want#=}"
    value_want="=$WORDS"
    if ! journal_get value "$value_path"; then
        if [ "=$VALUE" = "$value_want" ]; then
            report unchanged "$value_name = $VALUE"
            return
        fi
        journal_put value "$value_path" "=$VALUE$TAB$value_want"
    else
        value_origin=${ENTRY%%"$TAB"*}
        if ! is_ours "$VALUE" "$ENTRY"; then
            if [ "$J_BOOT" != "$BOOT" ]; then
                # Another boot began from another value.
                value_origin="=$VALUE"
            elif [ "=$VALUE" != "$value_origin" ]; then
                report edited "$value_name = $VALUE" "by somebody else since the last apply; revert.sh will go back to ${value_origin#=}"
            fi
        fi
        journal_put value "$value_path" "$value_origin$TAB$value_want$TAB${ENTRY##*"$TAB"}"
    fi
    TARGETS="$TARGETS$value_need$TAB$value_path$TAB$value_name$TAB$value_want$TAB=$VALUE$NEWLINE"
}

prepare_limits() {
    [ "$MODE" = persistent ] && [ -n "$LIMITS" ] && [ -z "$ROOT" ] || return 0
    limits_refusal
    [ -z "$LIMITS_REFUSED" ] ||
        failed required refused "$LIMITS_FILE" "$LIMITS_REFUSED; --skip limits --skip pam leaves them out"
}

prepare_files() {
    while read -r file_path; do
        [ -n "$file_path" ] || continue
        if ! file_check "$file_path"; then
            failed "$FILE_NEED" "$FILE_STATE" "$file_path" "$FILE_WHY"
            continue
        fi
        file_prepare "$file_path" || cannot_keep "$ERRNO"
        [ -d "$ROOT${file_path%/*}" ] || journal_put dir "${file_path%/*}" -
        FILE_TARGETS=$FILE_TARGETS$file_path$NEWLINE
    done <<END
$FILES
END
}

write_values() {
    while IFS=$TAB read -r value_need value_path value_name value_want value_before; do
        [ -n "$value_need" ] || continue
        if [ "$value_before" = "$value_want" ]; then
            journal_put value "$value_path" "$(origin_of value "$value_path")$TAB$value_want"
            report unchanged "$value_name = ${value_want#=}"
            continue
        fi
        DONE="value$TAB$value_path$TAB$value_before$NEWLINE$DONE"
        if value_write "$value_path" "${value_want#=}"; then
            report_written
        else
            write_refused "$ERRNO"
        fi
    done <<END
$TARGETS
END
}

origin_of() { journal_get "$1" "$2" && printf '%s' "${ENTRY%%"$TAB"*}"; }

report_written() {
    journal_put value "$value_path" "$(origin_of value "$value_path")$TAB$value_want"
    restart_note "$value_path"
    case $WHEN$NOTE in
        listen?* | socket?*) report restart "$value_name = ${value_want#=}" "was ${value_before#=}; not effective until restart: $NOTE" ;;
        *) report applied "$value_name = ${value_want#=}" "was ${value_before#=}${NOTE:+; $NOTE}" ;;
    esac
}

# The kernel may have taken half of it: what was there before is put back at once.
write_refused() {
    failed "$value_need" refused "$value_name = ${value_want#=}" "$1"
    if value_read "$value_path" && [ "=$VALUE" != "$value_before" ]; then
        value_write "$value_path" "${value_before#=}" || run_failed
    fi
    DONE=${DONE#*"$NEWLINE"}
    entry_forget value "$value_path"
    [ "$value_need" = optional ] || run_failed
}

# The entry becomes what it was before this run.
entry_forget() {
    forget_journal=$JOURNAL
    JOURNAL=$JOURNAL_BEFORE
    if journal_get "$1" "$2"; then
        forget_entry=$ENTRY
        JOURNAL=$forget_journal
        journal_put "$1" "$2" "$forget_entry"
    else
        JOURNAL=$forget_journal
        journal_drop "$1" "$2"
    fi
}

write_files() {
    while read -r file_path; do
        [ -n "$file_path" ] || continue
        file_key "$file_path"
        hash_of "$FILE_KEY.new" || run_failed
        file_new=$HASH
        if [ -e "$ROOT$file_path" ] && hash_of "$ROOT$file_path" && [ "$HASH" = "$file_new" ]; then
            report unchanged "$file_path"
        else
            DONE="file$TAB$file_path$TAB-$NEWLINE$DONE"
            if ! file_write "$file_path"; then
                failed required refused "$file_path" "$ERRNO"
                run_failed
            fi
            report applied "$file_path" 'a marked block'
        fi
        journal_put file "$file_path" "$(origin_of file "$file_path")$TAB$file_new"
    done <<END
$FILE_TARGETS
END
}

# Files alone prove nothing: a session must open with the limits.
verify_session() {
    [ "$MODE" = persistent ] && [ -n "$LIMITS" ] || return 0
    if [ -n "$ROOT" ]; then
        report 'not set' 'limits of a session' "$ROOT opens none; check with status.sh where it runs"
    elif ! limits_verify; then
        run_failed
    fi
}

run_failed() {
    trap '' INT TERM HUP
    complain 'something required failed'
    run_undo
    exit "$EXIT_FAILED"
}

# Newest first. Where something cannot be put back the journal stays as it is.
run_undo() {
    undo_failed=0
    while IFS=$TAB read -r undo_kind undo_path undo_before; do
        case $undo_kind in
            value) value_write "$undo_path" "${undo_before#=}" || undo_problem ;;
            file) file_undo "$undo_path" || undo_problem ;;
        esac
    done <<END
$DONE
END
    if [ "$undo_failed" != 0 ]; then
        lock_release
        complain "could not put back $undo_failed of what was changed; the originals are in $STATE: run tuning/revert.sh"
        exit "$EXIT_NOT_UNDONE"
    fi
    remove_made_folders
    JOURNAL=$JOURNAL_BEFORE J_PROFILES=$PROFILES_BEFORE J_BOOT=$BOOT_BEFORE J_NET=$NET_BEFORE
    rm -f "$STATE"/files/*.new "$STATE"/files/*.before
    if [ -z "$JOURNAL" ]; then
        state_remove
    else
        # The wider journal covers this state too.
        journal_save || complain "$STATE/journal could not be tidied ($ERRNO); revert.sh still works"
        lock_release
    fi
    complain 'all that this run had changed was put back'
}

undo_problem() {
    undo_failed=$((undo_failed + 1))
    name_of "$undo_path"
    report 'not undone' "$NAME" "$ERRNO"
}

# Folders that an entry says we made, if they are empty again.
remove_made_folders() {
    while IFS=$TAB read -r made_kind made_path _; do
        [ "$made_kind" != dir ] || rmdir "$ROOT$made_path" 2>/dev/null || :
    done <<END
$JOURNAL
END
}

# Makes the journal as narrow as the truth.
run_commit() {
    trap '' INT TERM HUP
    report_not_set
    if [ -z "$JOURNAL" ]; then
        state_remove
        return
    fi
    journal_save || complain "$STATE/journal could not be tidied ($ERRNO); revert.sh still works"
    rm -f "$STATE"/files/*.new "$STATE"/files/*.before
    lock_release
}
