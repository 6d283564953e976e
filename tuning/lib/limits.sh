# shellcheck shell=sh disable=SC2015
# Limits of login sessions: whether pam_limits can set them here, and whether a session really has them.

# ITEM_TITLE (its name in /proc/PID/limits) and ITEM_UNIT for an item of limits.conf(5). Returns 1
# for one that is not looked at.
limit_item() {
    ITEM_UNIT=1
    case $1 in
        nofile) ITEM_TITLE='Max open files' ;;
        nproc) ITEM_TITLE='Max processes' ;;
        sigpending) ITEM_TITLE='Max pending signals' ;;
        memlock) ITEM_TITLE='Max locked memory' ITEM_UNIT=1024 ;;
        stack) ITEM_TITLE='Max stack size' ITEM_UNIT=1024 ;;
        core) ITEM_TITLE='Max core file size' ITEM_UNIT=1024 ;;
        *) return 1 ;;
    esac
}

# LIMIT becomes a value of limits.conf as /proc/PID/limits would print it.
limit_value() {
    case $1 in
        unlimited | infinity | -1) LIMIT=unlimited ;;
        *[!0-9]*) LIMIT=$1 ;;
        *) LIMIT=$(($1 * ITEM_UNIT)) ;;
    esac
}

# SOFT and HARD of an item from the text of a /proc/PID/limits.
limit_of() {
    SOFT='' HARD=''
    while IFS= read -r limit_line; do
        case $limit_line in
            "$ITEM_TITLE"*)
                read -r SOFT HARD _ <<END
${limit_line#"$ITEM_TITLE"}
END
                return 0
                ;;
        esac
    done <<END
$1
END
    return 1
}

# Is $1 above $2?
limit_above() {
    [ "$2" != unlimited ] || return 1
    [ "$1" != unlimited ] || return 0
    [ "$1" -gt "$2" ] 2>/dev/null
}

# CAP_SYS_RESOURCE counts only in the first user namespace (kernel/sys.c, do_prlimit).
may_raise_limits() {
    read -r raise_inside _ raise_count </proc/self/uid_map || return 1
    [ "$raise_inside $raise_count" = '0 4294967295' ] || return 1
    while read -r raise_name raise_caps; do
        [ "$raise_name" != CapEff: ] || break
    done </proc/self/status
    # Bit 24: the lowest of the seventh digit from the right.
    raise_caps=${raise_caps%??????}
    case $raise_caps in *[13579bdf]) return 0 ;; *) return 1 ;; esac
}

# LIMITS_REFUSED becomes why the profile's limits must not be written here, or empty. pam_limits opens
# a session without an error where it could not raise a hard limit, and with a lower soft limit than
# before: so this is looked at first.
limits_refusal() {
    LIMITS_REFUSED='' raise_all=''
    ! may_raise_limits || raise_all=yes
    refusal_now=$(cat /proc/self/limits)
    limits_nr_open
    while read -r refusal_domain refusal_type refusal_item refusal_value; do
        [ -n "$refusal_domain" ] && limit_item "$refusal_item" && limit_of "$refusal_now" || continue
        limit_value "$refusal_value"
        if [ "$refusal_item" = nofile ] && limit_above "$LIMIT" "$NR_OPEN"; then
            LIMITS_REFUSED="$refusal_domain $refusal_type nofile $LIMIT is above fs.nr_open = $NR_OPEN"
        elif [ -z "$raise_all" ] && limit_above "$LIMIT" "$HARD"; then
            LIMITS_REFUSED="pam_limits cannot raise $refusal_item from the hard limit $HARD to $LIMIT without CAP_SYS_RESOURCE; a session would open with less than now, and no error"
        fi
        [ -z "$LIMITS_REFUSED" ] || return 0
    done <<END
$LIMITS
END
}

# NR_OPEN as it will be: the profile may set it.
limits_nr_open() {
    NR_OPEN=unlimited
    ! value_read /proc/sys/fs/nr_open || NR_OPEN=$VALUE
    case $PLAN in
        *"$TAB/proc/sys/fs/nr_open$TAB"*)
            NR_OPEN=${PLAN#*"$TAB/proc/sys/fs/nr_open$TAB"}
            NR_OPEN=${NR_OPEN#*=}
            NR_OPEN=${NR_OPEN%%"$NEWLINE"*}
            ;;
    esac
}

# SESSION becomes the limits of a session of user $1 that PAM opened. Returns 1 with the reason in it.
session_limits() {
    command -v su >/dev/null || { SESSION='there is no su'; return 1; }
    # The mark tells the answer from what login scripts print.
    session_text=$(timeout 30 su -l -s /bin/sh "$1" -c 'echo RINGBENCH-LIMITS; cat /proc/self/limits' \
        </dev/null 2>&1)
    case $session_text in
        *RINGBENCH-LIMITS*) SESSION=${session_text#*RINGBENCH-LIMITS"$NEWLINE"} ;;
        *)
            SESSION="no session of $1 opens: ${session_text##*"$NEWLINE"}"
            return 1
            ;;
    esac
}

# Reports each line of the profile's limits against a real session. Returns 1 where one does not hold.
limits_verify() {
    verify_failed=0
    for verify_user in root nobody; do
        case $verify_user in root) verify_domain=root ;; *) verify_domain='*' ;; esac
        limits_for "$verify_domain" || continue
        if ! session_limits "$verify_user"; then
            report refused "limits of $verify_user" "$SESSION"
            verify_failed=1
            continue
        fi
        verify_lines "$verify_user" "$verify_domain" || verify_failed=1
    done
    return "$verify_failed"
}

limits_for() {
    case $NEWLINE$LIMITS in *"$NEWLINE$1"[\ $TAB]*) return 0 ;; *) return 1 ;; esac
}

verify_lines() {
    lines_failed=0
    while read -r lines_domain lines_type lines_item lines_value; do
        [ "$lines_domain" = "$2" ] && limit_item "$lines_item" && limit_of "$SESSION" || continue
        limit_value "$lines_value"
        case $lines_type in
            soft) lines_has=$SOFT ;;
            hard) lines_has=$HARD ;;
            *) lines_has=$SOFT; [ "$SOFT" = "$HARD" ] || lines_has="$SOFT, hard $HARD" ;;
        esac
        if [ "$lines_has" = "$LIMIT" ]; then
            report holds "$lines_type $lines_item of a session of $1 = $LIMIT"
        else
            report refused "$lines_type $lines_item of a session of $1 = $LIMIT" "a session opens with $lines_has"
            lines_failed=1
        fi
    done <<END
$LIMITS
END
    return "$lines_failed"
}
