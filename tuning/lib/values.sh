# shellcheck shell=sh
# Reads and writes single values below /proc/sys and /sys.

# normalise_value PATH TEXT: WORDS becomes what two spellings of the same value have in common.
normalise_value() {
    normalise "$2"
    case $1 in
        # "always [madvise] never": the one in brackets is chosen.
        /sys/*)
            case " $WORDS " in
                *' ['*'] '*)
                    WORDS=${WORDS#*\[}
                    WORDS=${WORDS%%\]*}
                    ;;
            esac
            ;;
    esac
    case $1 in
        # Masks are printed in groups of 32 bits with leading zeros.
        */[rx]ps_cpus)
            mask_rest=$WORDS
            WORDS=''
            while :; do
                WORDS=$WORDS${mask_rest%%,*}
                case $mask_rest in *,*) mask_rest=${mask_rest#*,} ;; *) break ;; esac
            done
            while :; do case $WORDS in 0?*) WORDS=${WORDS#0} ;; *) break ;; esac done
            ;;
    esac
}

# VALUE becomes the value of PATH. Returns 1 where there is no such setting, 2 where it cannot be read
# (ERRNO says why).
value_read() {
    [ -e "$ROOT$1" ] || return 1
    if ! value_text=$(cat "$ROOT$1" 2>&1); then
        errno_name "$value_text"
        return 2
    fi
    normalise_value "$1" "$value_text"
    VALUE=$WORDS
}

# setting_state PATH =WANTED: SETTING becomes absent, refused (ERRNO), same or differs; VALUE and WANTED
# are in one spelling.
setting_state() {
    value_read "$1"
    case $? in
        1) SETTING=absent ;;
        2) SETTING=refused ;;
        *)
            normalise_value "$1" "${2#=}"
            WANTED=$WORDS
            if [ "$VALUE" = "$WANTED" ]; then SETTING=same; else SETTING=differs; fi
            ;;
    esac
}

# value_write PATH VALUE: writes, reads back and compares. Returns 1 with the reason in ERRNO. tee, not
# a redirection: dash calls every failed write "I/O error", and sysctl calls a read-only mount a
# missing permission.
value_write() {
    if ! value_text=$(printf '%s\n' "$2" | tee "$ROOT$1" 2>&1 >/dev/null); then
        errno_name "$value_text"
        return 1
    fi
    value_read "$1" || return 1
    normalise_value "$1" "$2"
    if [ "$VALUE" != "$WORDS" ]; then
        ERRNO="the kernel took it, but it reads back as '$VALUE'"
        return 1
    fi
}
