# shellcheck shell=sh
# The journal: what was there before the first write, and what was meant to be written. It is on disk,
# fsynced, before anything is changed, so that revert.sh can put everything back after a kill -9 or a
# power cut at any moment. It is only ever replaced as a whole.
#
# The file, with tabs between the fields; values stand behind "=", so that none is empty:
#   ringbench-tuning 1
#   boot  ID              the boot during which the originals were read
#   net   ID              the network namespace
#   profile NAME          one line for each profile applied, in order
#   value PATH =ORIGINAL =OURS [=OURS]    two of ours only while an apply is under way
#   file  PATH orig|absent HASH [HASH]    hashes of the contents that are ours
#   dir   PATH            a folder that was made

JOURNAL='' J_BOOT='' J_NET='' J_PROFILES='' # as loaded

# Returns 1 where there is none.
journal_load() {
    JOURNAL='' J_BOOT='' J_NET='' J_PROFILES=''
    [ -e "$STATE/journal" ] || return 1
    [ -r "$STATE/journal" ] || die "$EXIT_NEEDS_ROOT" "cannot read $STATE/journal: it needs root"
    read -r journal_head <"$STATE/journal"
    [ "$journal_head" = 'ringbench-tuning 1' ] ||
        die "$EXIT_NOT_UNDONE" "$STATE/journal is not a journal of this version (its first line is '$journal_head')"
    while IFS=$TAB read -r journal_kind journal_path journal_rest; do
        case $journal_kind in
            boot) J_BOOT=$journal_path ;;
            net) J_NET=$journal_path ;;
            profile) J_PROFILES="$J_PROFILES$journal_path$NEWLINE" ;;
            value | file | dir) JOURNAL="$JOURNAL$journal_kind$TAB$journal_path$TAB$journal_rest$NEWLINE" ;;
        esac
    done <"$STATE/journal"
}

# ENTRY becomes the fields behind the path. Returns 1 where there is no such entry.
journal_get() {
    case $NEWLINE$JOURNAL in
        *"$NEWLINE$1$TAB$2$TAB"*) ;;
        *) return 1 ;;
    esac
    ENTRY=$NEWLINE$JOURNAL
    ENTRY=${ENTRY#*"$NEWLINE$1$TAB$2$TAB"}
    ENTRY=${ENTRY%%"$NEWLINE"*}
}

# Replaces an entry where it stands, or adds one at the end: the order is that of the first write.
journal_put() {
    put_line="$1$TAB$2$TAB$3$NEWLINE"
    if journal_get "$1" "$2"; then
        put_before=$NEWLINE$JOURNAL
        put_before=${put_before%%"$NEWLINE$1$TAB$2$TAB"*}$NEWLINE
        put_after=${JOURNAL#*"$1$TAB$2$TAB$ENTRY$NEWLINE"}
        JOURNAL=${put_before#"$NEWLINE"}$put_line$put_after
    else
        JOURNAL=$JOURNAL$put_line
    fi
}

journal_drop() {
    journal_get "$1" "$2" || return 0
    put_before=$NEWLINE$JOURNAL
    put_before=${put_before%%"$NEWLINE$1$TAB$2$TAB"*}$NEWLINE
    JOURNAL=${put_before#"$NEWLINE"}${JOURNAL#*"$1$TAB$2$TAB$ENTRY$NEWLINE"}
}

# REVERSED becomes the lines of JOURNAL, the last first.
journal_reversed() {
    REVERSED=''
    while IFS= read -r reversed_line; do
        [ -z "$reversed_line" ] || REVERSED=$reversed_line$NEWLINE$REVERSED
    done <<END
$JOURNAL
END
}

# Durable when it returns 0; otherwise the old journal still stands and ERRNO says why.
journal_save() {
    if ! save_text=$(journal_text 2>&1 >"$STATE/journal.new") || [ -n "$save_text" ]; then
        # dash names no reason for a failed write: let a coreutil meet it.
        save_text=$(journal_text 2>/dev/null | tee "$STATE/journal.new" 2>&1 >/dev/null) ||
            { errno_name "$save_text"; rm -f "$STATE/journal.new"; return 1; }
    fi
    if ! save_text=$(sync "$STATE/journal.new" 2>&1 && mv -f "$STATE/journal.new" "$STATE/journal" 2>&1 &&
        sync "$STATE" "${STATE%/*}" 2>&1 && { [ ! -d "$STATE/files" ] || sync "$STATE/files" 2>&1; }); then
        errno_name "$save_text"
        return 1
    fi
}

journal_text() {
    printf 'ringbench-tuning 1\nboot\t%s\nnet\t%s\n' "$J_BOOT" "$J_NET" || return 1
    while IFS= read -r text_line; do
        [ -z "$text_line" ] || printf 'profile\t%s\n' "$text_line" || return 1
    done <<END
$J_PROFILES
END
    printf '%s' "$JOURNAL"
}

# BOOT and NET of this moment.
where_are_we() {
    BOOT=unknown NET=unknown
    [ ! -r /proc/sys/kernel/random/boot_id ] || read -r BOOT </proc/sys/kernel/random/boot_id
    NET=$(readlink /proc/self/ns/net) || NET=unknown
}

# Values of another network namespace must not be taken for those of this one. After a boot there is
# nothing left of the old ones.
journal_foreign() {
    [ "$J_NET" != "$NET" ] && [ "$J_BOOT" = "$BOOT" ] || return 1
    while IFS=$TAB read -r foreign_kind foreign_path _; do
        [ "$foreign_kind" = value ] || continue
        key_scope "$foreign_path"
        [ "$SCOPE" != namespace ] || return 0
    done <<END
$JOURNAL
END
    return 1
}

# is_ours VALUE FIELDS: is it one of those behind the original in an entry?
is_ours() {
    case $TAB${2#*"$TAB"}$TAB in *"$TAB=$1$TAB"*) return 0 ;; *) return 1 ;; esac
}

# NAME becomes what people call the setting of a path.
name_of() {
    NAME=$1
    case $1 in
        /proc/sys/*.*) NAME=${1#/proc/sys/} ;;
        /proc/sys/*) NAME=$(printf '%s' "${1#/proc/sys/}" | tr / .) ;;
    esac
}

# Removes the state when all is as before. The journal goes first: without its copies it would ask for
# what is not there, while copies without a journal are only swept up. Folders in use stay.
state_remove() {
    rm -f "$STATE/journal"
    rm -f "$STATE/journal.new"
    rm -rf "$STATE/files"
    lock_release
    folder_remove
}

folder_remove() {
    rmdir "$STATE" 2>/dev/null || return 0
    case $STATE in */ringbench/tuning) rmdir "${STATE%/tuning}" 2>/dev/null || : ;; esac
}

# LOCK_SELF tells this process from a later one with the same number.
lock_identity() {
    LOCK_SELF=''
    [ -r "/proc/$1/stat" ] || return 1
    read -r lock_stat 2>/dev/null <"/proc/$1/stat" || return 1
    lock_stat=${lock_stat##*) }
    # A zombie holds nothing: it was killed, and its parent has not noticed.
    case $lock_stat in Z*) return 1 ;; esac
    # The 22nd field of proc(5) is the start time; two went with the name.
    # shellcheck disable=SC2086
    set -- "$1" $lock_stat
    LOCK_SELF="$1 ${21}"
}

# Takes the lock, or that of a process that is gone. The file appears with its contents by link(2), so
# nobody sees it empty. Returns 1 with the reason in ERRNO.
lock_take() {
    if ! lock_text=$(mkdir -p "$STATE" 2>&1); then
        errno_name "$lock_text"
        return 1
    fi
    lock_identity $$ || LOCK_SELF="$$ unknown"
    lock_mine=$LOCK_SELF
    lock_tries=0
    if ! lock_text=$(printf '%s\n' "$lock_mine" | tee "$STATE/lock.$$" 2>&1 >/dev/null); then
        errno_name "$lock_text"
        rm -f "$STATE/lock.$$"
        return 1
    fi
    until ln "$STATE/lock.$$" "$STATE/lock" 2>/dev/null; do
        lock_tries=$((lock_tries + 1))
        read -r lock_holder 2>/dev/null <"$STATE/lock" || lock_holder=''
        if [ -n "$lock_holder" ] && lock_identity "${lock_holder%% *}" && [ "$LOCK_SELF" = "$lock_holder" ] ||
            [ "$lock_tries" -gt 5 ]; then
            rm -f "$STATE/lock.$$"
            ERRNO="process ${lock_holder%% *} is at work with $STATE"
            return 1
        fi
        rm -f "$STATE/lock"
    done
    rm -f "$STATE/lock.$$"
    LOCKED=yes
}

# For who did not get it.
lock_give_up() {
    rm -f "$STATE/lock.$$"
    folder_remove
}

lock_release() {
    [ -n "${LOCKED-}" ] || return 0
    # Those of killed processes too: who holds the lock is alone.
    rm -f "$STATE/lock" "$STATE"/lock.*
    LOCKED=''
}
