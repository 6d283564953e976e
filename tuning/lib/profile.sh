# shellcheck shell=sh
# A message that names the file which is being read does not write to it.
# shellcheck disable=SC2094,SC2015
# Reads a profile: a folder with any of sysctl.conf (sysctl.d(5)), sys.conf (the "w" lines of
# tmpfiles.d(5)), limits.conf (limits.conf(5)), pam.conf (pam.d(5)) and cmdline.conf.

# PROFILE_DIR and PROFILE_NAME for a name under profiles/, or for a folder given by its path.
find_profile() {
    case $1 in
        */*) PROFILE_DIR=${1%/} ;;
        *) PROFILE_DIR=$HERE/profiles/$1 ;;
    esac
    if [ ! -d "$PROFILE_DIR" ]; then
        complain "no profile '$1': $PROFILE_DIR is not a folder. There are:"
        for profile_each in "$HERE"/profiles/*/; do
            profile_each=${profile_each%/}
            printf '  %s\n' "${profile_each##*/}" >&2
        done
        exit "$EXIT_USAGE"
    fi
    PROFILE_NAME=${PROFILE_DIR##*/}
    case $PROFILE_NAME in
        *[!A-Za-z0-9._-]* | '' | .*)
            die "$EXIT_USAGE" "a profile's folder is named with letters, digits, '.', '_' and '-', not '$PROFILE_NAME'"
            ;;
    esac
}

bad_line() { die "$EXIT_USAGE" "$1:$2: $3"; }

# PLAN becomes one line per setting, in the profile's order: required|optional, path, name as written
# and the value behind "=", with tabs between. LEFT_OUT becomes the names that --skip host leaves out.
# SYSCTL_LINES and SYS_LINES, LIMITS, PAM and CMDLINE are what goes into files, without comments.
load_profile() {
    PLAN='' LEFT_OUT='' SYSCTL_LINES='' SYS_LINES=''
    skipped sysctl || load_sysctl "$PROFILE_DIR/sysctl.conf"
    skipped sys || load_sys "$PROFILE_DIR/sys.conf"
    LIMITS='' PAM='' CMDLINE=''
    skipped limits || load_lines "$PROFILE_DIR/limits.conf" && LIMITS=$LINES_FOUND
    skipped pam || load_lines "$PROFILE_DIR/pam.conf" && PAM=$LINES_FOUND
    load_lines "$PROFILE_DIR/cmdline.conf" && CMDLINE=$LINES_FOUND
    check_limits_lines
    [ -n "$PLAN$LEFT_OUT$LIMITS$PAM$CMDLINE" ] || die "$EXIT_USAGE" "profile '$PROFILE_NAME' sets nothing: $PROFILE_DIR/"
}

# add_setting FILE LINE-NUMBER NEED PATH NAME VALUE. A pattern stands for all that it matches now.
# Returns 1 where the setting is left out.
add_setting() {
    case $4 in
        *[!A-Za-z0-9/._:*?@-]* | */../* | */..) bad_line "$1" "$2" "'$5' is not the name of a setting" ;;
    esac
    key_scope "$4"
    if [ "$SCOPE" = host ] && skipped host; then
        LEFT_OUT=$LEFT_OUT$5$NEWLINE
        return 1
    fi
    normalise "$6"
    for setting_file in "$ROOT"$4; do
        setting_path=${setting_file#"$ROOT"}
        setting_name=$5
        case $4 in *[*?]*) [ ! -e "$setting_file" ] || setting_name=$setting_path ;; esac
        forget_setting "$setting_path"
        PLAN="$PLAN$3$TAB$setting_path$TAB$setting_name$TAB=$WORDS$NEWLINE"
    done
}

# The last line of a profile for a setting counts, as with sysctl and systemd-tmpfiles.
forget_setting() {
    case $PLAN in *"$TAB$1$TAB"*) ;; *) return 0 ;; esac
    forget_plan=''
    while IFS= read -r forget_line; do
        case $forget_line in '' | *"$TAB$1$TAB"*) ;; *) forget_plan=$forget_plan$forget_line$NEWLINE ;; esac
    done <<END
$PLAN
END
    PLAN=$forget_plan
}

# A leading "-" means what it means to sysctl.d(5): this one may fail.
load_sysctl() {
    [ -e "$1" ] || return 0
    sysctl_number=0
    while IFS= read -r sysctl_line || [ -n "$sysctl_line" ]; do
        sysctl_number=$((sysctl_number + 1))
        normalise "$sysctl_line"
        case $WORDS in '' | '#'* | ';'*) continue ;; esac
        case $WORDS in *=*) ;; *) bad_line "$1" "$sysctl_number" "expected 'key = value', found '$WORDS'" ;; esac
        sysctl_need=required
        case $WORDS in -*) sysctl_need=optional WORDS=${WORDS#-} ;; esac
        sysctl_value=${WORDS#*=}
        normalise "${WORDS%%=*}"
        sysctl_name=$WORDS
        sysctl_path "$sysctl_name"
        add_setting "$1" "$sysctl_number" "$sysctl_need" "/proc/sys/$SYSCTL_PATH" "$sysctl_name" "$sysctl_value" &&
            SYSCTL_LINES=$SYSCTL_LINES$sysctl_line$NEWLINE
    done <"$1"
}

# SYSCTL_PATH for a key: with the first separator a dot, dots and slashes change places.
sysctl_path() {
    case ${1%%.*} in
        */*) SYSCTL_PATH=$1 ;;
        *) SYSCTL_PATH=$(printf '%s' "$1" | tr './' '/.') ;;
    esac
}

# "w PATH - - - - VALUE"; "w-" may fail, as in tmpfiles.d(5). @ALL_CPUS@ stands for the mask of all
# CPUs that are online: a mask is no number to write into a profile for every machine.
load_sys() {
    [ -e "$1" ] || return 0
    sys_number=0
    while read -r sys_type sys_path sys_mode sys_user sys_group sys_age sys_value || [ -n "$sys_type" ]; do
        sys_number=$((sys_number + 1))
        case $sys_type in
            '' | '#'*) continue ;;
            w) sys_need=required ;;
            w-) sys_need=optional ;;
            *) bad_line "$1" "$sys_number" "only lines of type 'w' and 'w-' can be applied and undone, not '$sys_type'" ;;
        esac
        [ "$sys_mode$sys_user$sys_group$sys_age" = ---- ] && [ -n "$sys_value" ] ||
            bad_line "$1" "$sys_number" "expected '$sys_type PATH - - - - VALUE'"
        case $sys_path in /sys/*) ;; *) bad_line "$1" "$sys_number" "'$sys_path' is not below /sys" ;; esac
        case $sys_value in
            @ALL_CPUS@)
                all_cpus_mask
                sys_value=$MASK
                ;;
        esac
        add_setting "$1" "$sys_number" "$sys_need" "$sys_path" "$sys_path" "$sys_value" &&
            SYS_LINES="$SYS_LINES$sys_type $sys_path - - - - $sys_value$NEWLINE"
    done <"$1"
}

# MASK for the list of /sys/devices/system/cpu/online ("0-3,8"), in comma-separated groups of 32 bits.
all_cpus_mask() {
    MASK=1
    [ -r "$ROOT/sys/devices/system/cpu/online" ] || return 0
    read -r mask_list <"$ROOT/sys/devices/system/cpu/online"
    MASK='' mask_low=0
    mask_last=${mask_list##*[,-]}
    while [ "$mask_low" -le "$mask_last" ]; do
        mask_group "$mask_low" "$mask_list"
        MASK=$(printf '%08x' "$mask_bits")${MASK:+,$MASK}
        mask_low=$((mask_low + 32))
    done
}

# mask_bits becomes the bits of the 32 CPUs from $1 on that the list $2 names.
mask_group() {
    mask_bits=0
    mask_rest=$2,
    while [ -n "$mask_rest" ]; do
        mask_range=${mask_rest%%,*}
        mask_rest=${mask_rest#*,}
        mask_cpu=${mask_range%-*}
        while [ "$mask_cpu" -le "${mask_range#*-}" ]; do
            if [ "$mask_cpu" -ge "$1" ] && [ "$mask_cpu" -lt $(($1 + 32)) ]; then
                mask_bits=$((mask_bits | 1 << (mask_cpu - $1)))
            fi
            mask_cpu=$((mask_cpu + 1))
        done
    done
}

# LINES_FOUND becomes the lines of a file that are not comments. Returns 1 without any.
load_lines() {
    LINES_FOUND=''
    [ -e "$1" ] || return 1
    while IFS= read -r lines_each || [ -n "$lines_each" ]; do
        normalise "$lines_each"
        case $WORDS in '' | '#'*) continue ;; esac
        LINES_FOUND=$LINES_FOUND$lines_each$NEWLINE
    done <"$1"
    [ -n "$LINES_FOUND" ]
}

check_limits_lines() {
    while read -r limits_domain limits_type limits_item limits_value limits_more; do
        [ -n "$limits_domain" ] || continue
        case $limits_type in
            soft | hard | -) [ -n "$limits_value" ] && [ -z "$limits_more" ] && continue ;;
        esac
        die "$EXIT_USAGE" "$PROFILE_DIR/limits.conf: expected 'DOMAIN soft|hard|- ITEM VALUE', found" \
            "'$limits_domain $limits_type $limits_item $limits_value $limits_more'"
    done <<END
$LIMITS
END
}

# Was the kernel booted with this parameter?
on_cmdline() {
    read -r cmdline_now 2>/dev/null <"$ROOT/proc/cmdline" || return 1
    normalise "$1"
    case " $cmdline_now " in *" $WORDS "*) return 0 ;; *) return 1 ;; esac
}
