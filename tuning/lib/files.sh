# shellcheck shell=sh
# Edits files in marked blocks, one for each profile. All other bytes, the mode and the owner stay; a
# file changes by rename(2), so at any moment it is the old one or the new one.

SYSCTL_FILE=/etc/sysctl.d/90-ringbench.conf
TMPFILES_FILE=/etc/tmpfiles.d/90-ringbench.conf
LIMITS_FILE=/etc/security/limits.conf
PAM_FILES='/etc/pam.d/common-session /etc/pam.d/common-session-noninteractive'
MADE_BY='# Made by tuning/apply.sh of Ringbench; tuning/revert.sh removes it.'

block_begin() { printf '# >>> ringbench tuning: %s (tuning/revert.sh removes this block)' "$1"; }
block_end() { printf '# <<< ringbench tuning: %s' "$1"; }

# Prints a file without the block of profile $2, and with a newline at the end. A block whose end somebody removed is left alone:
# where it ends is not known.
strip_block() {
    strip_begin=$(block_begin "$2") strip_end=$(block_end "$2")
    strip_held=''
    while IFS= read -r strip_line || [ -n "$strip_line" ]; do
        case $strip_line in
            "$strip_begin")
                printf '%s' "$strip_held" || return 1
                strip_held=$strip_line$NEWLINE
                continue
                ;;
            "$strip_end") [ -z "$strip_held" ] || { strip_held=''; continue; } ;;
        esac
        if [ -n "$strip_held" ]; then
            strip_held=$strip_held$strip_line$NEWLINE
        else
            printf '%s\n' "$strip_line" || return 1
        fi
    done <"$1"
    printf '%s' "$strip_held"
}

# FILE_KEY becomes the name under which the state keeps copies of a file.
file_key() { FILE_KEY=$STATE/files/$(printf '%s' "${1#/}" | tr / _); }

# files_plan: FILES becomes one line for each file that the profile edits.
files_plan() {
    FILES=''
    [ -z "$SYSCTL_LINES" ] || FILES=$FILES$SYSCTL_FILE$NEWLINE
    [ -z "$SYS_LINES" ] || FILES=$FILES$TMPFILES_FILE$NEWLINE
    [ -z "$LIMITS" ] || FILES=$FILES$LIMITS_FILE$NEWLINE
    [ -z "$PAM" ] || for files_each in $PAM_FILES; do FILES=$FILES$files_each$NEWLINE; done
}

# FILE_LINES becomes what the profile puts into the file.
file_lines() {
    case $1 in
        "$SYSCTL_FILE") FILE_LINES=$SYSCTL_LINES ;;
        "$TMPFILES_FILE") FILE_LINES=$SYS_LINES ;;
        "$LIMITS_FILE") FILE_LINES=$LIMITS ;;
        *) FILE_LINES=$PAM ;;
    esac
}

# Returns 0 where a file is to be edited. Otherwise FILE_STATE is absent, refused or unchanged,
# FILE_WHY says why, and FILE_NEED whether that is a failure.
file_check() {
    FILE_STATE='' FILE_WHY='' FILE_NEED=required
    if [ -L "$ROOT$1" ]; then
        FILE_STATE=refused FILE_WHY='it is a symbolic link: a file of another place is not edited'
        return 1
    fi
    case $1 in
        "$SYSCTL_FILE" | "$TMPFILES_FILE") ;;
        "$LIMITS_FILE")
            [ -d "$ROOT${1%/*}" ] && return 0
            FILE_STATE=absent FILE_WHY="no ${1%/*}: pam_limits is not installed"
            return 1
            ;;
        *)
            # The session itself is looked at in the end.
            FILE_NEED=optional
            if [ ! -e "$ROOT$1" ]; then
                FILE_STATE=absent FILE_WHY='this system opens sessions by other files'
                return 1
            fi
            if pam_already "$ROOT$1"; then
                FILE_STATE=unchanged FILE_WHY='it loads pam_limits.so already'
                return 1
            fi
            ;;
    esac
}

# Outside the block of this profile.
pam_already() {
    while read -r pam_kind pam_rest; do
        case "$pam_kind $pam_rest" in session' '*pam_limits.so*) return 0 ;; esac
    done <<END
$(strip_block "$1" "$PROFILE_NAME")
END
    return 1
}

# Writes what the file should be to stdout.
file_wanted() {
    file_lines "$1"
    if [ -e "$ROOT$1" ]; then
        strip_block "$ROOT$1" "$PROFILE_NAME" || return 1
    elif [ "$1" != "$LIMITS_FILE" ]; then
        printf '%s\n' "$MADE_BY" || return 1
    fi
    printf '%s\n%s%s\n' "$(block_begin "$PROFILE_NAME")" "$FILE_LINES" "$(block_end "$PROFILE_NAME")"
}

# Renders the new contents, keeps the old and enters both into the journal; the journal is saved by
# the caller. Returns 1 with ERRNO where the state folder does not take it.
file_prepare() {
    file_key "$1"
    if ! prepare_text=$({ mkdir -p "$STATE/files" && file_wanted "$1" | tee "$FILE_KEY.new" >/dev/null &&
        rm -f "$FILE_KEY.before" && { [ ! -e "$ROOT$1" ] || cp -a "$ROOT$1" "$FILE_KEY.before"; }; } 2>&1); then
        errno_name "$prepare_text"
        return 1
    fi
    hash_of "$FILE_KEY.new" && prepare_new=$HASH || return 1
    prepare_now=absent
    [ ! -e "$ROOT$1" ] || { hash_of "$ROOT$1" && prepare_now=$HASH; }
    if journal_get file "$1"; then
        prepare_origin=${ENTRY%%"$TAB"*}
        prepare_ours=${ENTRY#*"$TAB"}
        prepare_known "$1" || prepare_origin=edited
    else
        prepare_ours='' prepare_origin=new
    fi
    case $prepare_origin in
        new | edited)
            if ! prepare_text=$(file_keep_original "$1" 2>&1); then
                errno_name "$prepare_text"
                return 1
            fi
            if [ -e "$ROOT$1" ]; then prepare_origin=orig; else prepare_origin=absent; fi
            ;;
    esac
    journal_put file "$1" "$prepare_origin$TAB$prepare_new${prepare_ours:+$TAB${prepare_ours##*"$TAB"}}"
}

# Is the file as we found it or as we left it?
prepare_known() {
    case $TAB$prepare_ours$TAB in *"$TAB$prepare_now$TAB"*) return 0 ;; esac
    if [ "$prepare_origin" = absent ]; then
        [ "$prepare_now" = absent ]
    else
        hash_of "$FILE_KEY.orig" && [ "$HASH" = "$prepare_now" ]
    fi
}

# Durable copy of the file as it is without us. Edits that were made after an earlier apply belong to
# it: whoever made them wants them kept.
file_keep_original() {
    rm -f "$FILE_KEY.orig" "$FILE_KEY.orig-new"
    [ -e "$ROOT$1" ] || return 0
    cp -a "$ROOT$1" "$FILE_KEY.orig-new" || return 1
    if [ "$prepare_origin" = edited ]; then
        strip_all "$ROOT$1" "$FILE_KEY.orig-new" || return 1
    fi
    sync "$FILE_KEY.orig-new" && mv -f "$FILE_KEY.orig-new" "$FILE_KEY.orig"
}

# strip_all FROM TO: without the block of any profile that was applied. TO keeps its mode.
strip_all() {
    strip_from=$1
    while IFS= read -r strip_name; do
        [ -n "$strip_name" ] || continue
        strip_block "$strip_from" "$strip_name" >"$2.strip" && cat "$2.strip" >"$2" || return 1
        strip_from=$2
    done <<END
$J_PROFILES
END
    rm -f "$2.strip"
}

# file_replace PATH CONTENTS [LIKE]: CONTENTS, and its time of change, with the other attributes of
# LIKE, take the place of PATH. Nothing of PATH changes unless it returns 0.
file_replace() {
    replace_new=$ROOT$1.ringbench-new
    if ! replace_text=$({
        rm -f "$replace_new"
        [ -z "${3-}" ] || cp -a "$3" "$replace_new"
    } 2>&1 && {
        (umask 022 && tee "$replace_new" <"$2" 2>&1 >/dev/null) && touch -r "$2" "$replace_new" 2>&1
    } && sync "$replace_new" 2>&1 && mv -f "$replace_new" "$ROOT$1" 2>&1 && sync "$ROOT${1%/*}" 2>&1); then
        errno_name "$replace_text"
        rm -f "$replace_new" 2>/dev/null
        return 1
    fi
}

# Puts the prepared contents in place. Returns 1 with ERRNO.
file_write() {
    file_key "$1"
    if [ ! -d "$ROOT${1%/*}" ] && ! write_text=$(mkdir -p "$ROOT${1%/*}" 2>&1); then
        errno_name "$write_text"
        return 1
    fi
    if [ -e "$ROOT$1" ]; then
        file_replace "$1" "$FILE_KEY.new" "$ROOT$1"
    else
        file_replace "$1" "$FILE_KEY.new"
    fi
}

# Back to what it was before this run. A file that is so already needs no room on the disk.
file_undo() {
    file_key "$1"
    if [ -e "$FILE_KEY.before" ] && hash_of "$FILE_KEY.before" && undo_hash=$HASH &&
        [ -e "$ROOT$1" ] && hash_of "$ROOT$1" && [ "$HASH" = "$undo_hash" ]; then
        return 0
    fi
    if [ -e "$FILE_KEY.before" ]; then
        file_replace "$1" "$FILE_KEY.before" "$FILE_KEY.before"
    else
        rm -f "$ROOT$1"
    fi
}

# Takes our part out of a file that was edited since. FILE_STATE says what came of it.
file_strip_ours() {
    file_key "$1"
    cp -a "$ROOT$1" "$FILE_KEY.kept" && strip_all "$ROOT$1" "$FILE_KEY.kept" || return 1
    hash_of "$FILE_KEY.kept" && strip_kept=$HASH
    hash_of "$ROOT$1"
    if [ "$strip_kept" = "$HASH" ]; then
        FILE_STATE=none
    else
        FILE_STATE=stripped
        file_replace "$1" "$FILE_KEY.kept" "$FILE_KEY.kept"
    fi
}
