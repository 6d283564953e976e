# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153,SC2154 # set here and read by the script that sources this, or the reverse
# The load generators of compare-loaders.sh. To be sourced after lib.sh and rounds.sh.

OHA_VERSION=1.15.0
ALL_LOADERS=(wrk wrk-again ringload wrk-lua ringload-lua oha)

# What both make their requests with, one after the other, each another one.
write_lua_script() {
    cat >"$TMP/requests.lua" <<'END'
local count = 0

function request()
   count = count + 1
   return wrk.format("GET", "/?number=" .. count)
end
END
}

# why_not_loader NAME: why it cannot be used here; nothing if it can.
why_not_loader() {
    case $1 in
    wrk*) command -v wrk >/dev/null || echo 'wrk not found: apt-get install wrk' ;;
    oha) [[ -n $OHA ]] || echo 'oha not found: give --install-oha, or put it into PATH' ;;
    esac
}

# find_oha INSTALL: sets OHA to oha's path, if there is one: in PATH, or in a folder of ours, where it is
# built first if INSTALL is 1.
find_oha() {
    local root=${XDG_CACHE_HOME:-${HOME-}/.cache}/ringbench/oha-$OHA_VERSION
    OHA=$(command -v oha) && return
    if ((${1-0})) && ! [[ -x $root/bin/oha ]]; then
        note "Building oha $OHA_VERSION..."
        cargo install oha --version "$OHA_VERSION" --locked --root "$root" >&2 ||
            note "oha could not be built"
    fi
    [[ ! -x $root/bin/oha ]] || OHA=$root/bin/oha
}

loader_version() {
    case $1 in
    wrk) wrk -v 2>&1 | sed -n '1s/ Copyright.*//p' ;;
    ringload) "$RINGLOAD" --version ;;
    oha) "$OHA" --version ;;
    esac
}

# load_command LOADER SECONDS CONNECTIONS: sets LOAD_COMMAND, without the URL, and PARSER. One thread.
load_command() {
    local loader=$1 seconds=$2 connections=$3
    case $loader in
    wrk*)
        PARSER=wrk.awk
        LOAD_COMMAND=(wrk -t 1 -c "$connections" -d "${seconds}s" --latency)
        ;;
    ringload*)
        PARSER=json.awk
        # What wrk does not look at is not looked at here either.
        LOAD_COMMAND=("$RINGLOAD" -t 1 --cores "$LOAD_CORE" -c "$connections" -d "${seconds}s" --no-observe --format json)
        ;;
    oha)
        PARSER=oha
        # Pinned to one core it takes one thread.
        LOAD_COMMAND=("$OHA" -z "${seconds}s" -c "$connections" --no-tui --output-format json)
        ;;
    esac
    [[ $loader != *-lua ]] || LOAD_COMMAND+=(-s "$TMP/requests.lua")
}

# read_load_report FILE: REPORT from what PARSER is for.
read_load_report() {
    if [[ $PARSER != oha ]]; then
        read_report "$PARSER" "$1"
        return
    fi
    awk -f "$IN_DIR/scripts/lib/json.awk" "$1" >"$TMP/oha.flat" && read_report oha.awk "$TMP/oha.flat"
}
