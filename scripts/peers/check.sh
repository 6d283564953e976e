#!/usr/bin/env bash
# Starts the peers that are set up, and looks whether each answers as it must and ends when it is told
# to. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=scripts/lib/peers.sh
. "$IN_DIR/scripts/lib/peers.sh"

usage() {
    cat <<END
Usage: scripts/peers/check.sh [--threads N] [NAME...]

Starts each peer of these names, or all, on a free port of 127.0.0.1, and looks whether it answers what
it serves, keeps connections, takes pipelined requests and such that come in pieces, and ends on SIGTERM
with all of its processes. Prints a table. What a benchmark does not come across is a remark: HEAD,
unknown paths, Date, Connection: close. One that is not set up (scripts/peers/setup.sh) is left out.

  --threads N   of each peer (default 2)
  -h, --help    print this

Needs python3. Exit codes: 0 all that are set up are right, 1 some are not or, where names were given,
are not set up, 2 bad arguments.
END
}

parse_arguments() {
    PEERS=() THREADS=2
    while (($# > 0)); do
        case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --threads)
            (($# > 1)) || die_usage "$1 needs a value"
            want_count "$1" "$2" 1024
            THREADS=$2
            shift
            ;;
        -*) die_usage "unknown argument '$1'" ;;
        *) want_peer "$1" && PEERS+=("$1") ;;
        esac
        shift
    done
    NAMED=${#PEERS[@]}
    ((NAMED > 0)) || mapfile -t PEERS < <(all_peers)
}

row() { printf '%-14s %-42s %-12s %s\n' "$@"; }

is_running() { [[ -e /proc/$1 && $(cut -d ' ' -f 3 "/proc/$1/stat" 2>/dev/null) != Z ]]; }

# Sets STATE and WORDS, the last two columns of the peer's row.
check_peer() {
    local peer=$1 paths verdict what why remarks=() failures=() good=() pid
    if ! start_peer "$peer" "$CORES" "$THREADS" 2>"$TMP/why"; then
        # Its own last words, if it had any.
        STATE=FAILED WORDS="does not start: $(sed 's/^    //' "$TMP/why" | tail -n 1)"
        return
    fi
    mapfile -t paths < <(peer_field "$peer" serves)
    python3 "$PEERS_DIR/check.py" "${SERVER_URL#http://}" "$PEERS_DIR/orders.json" "${paths[@]}" \
        >"$TMP/checked" 2>"$TMP/why" || [[ -s $TMP/checked ]] || failures+=("check.py: $(tail -n 1 "$TMP/why")")
    while IFS=$'\t' read -r verdict what why; do
        case $verdict in
        ok) good+=("$what") ;;
        failed) failures+=("$what: $why") ;;
        *) remarks+=("$why") ;;
        esac
    done <"$TMP/checked"
    kill -0 "$SERVER_PID" 2>/dev/null || failures+=("it ended by itself: $(tail -n 1 "$TMP/server.err")")
    # All that it has started by now, not only what was there when it first answered.
    mapfile -t SERVER_PIDS < <(process_tree "$SERVER_PID")
    end_peer
    for pid in "${SERVER_PIDS[@]}"; do
        is_running "$pid" || continue
        failures+=("process $pid of it is left")
        kill -s KILL "$pid"
    done
    STATE=ok WORDS=$(join "${remarks[@]}")
    if ((${#failures[@]} > 0)); then
        STATE=FAILED WORDS=$(join "${failures[@]}" "${remarks[@]}")
    fi
}

# Its children may take a moment longer than itself.
end_peer() {
    local tries pid left
    end_process "$SERVER_PID" 2>"$TMP/why" || true
    [[ ! -s $TMP/why ]] || failures+=('it does not end on SIGTERM')
    for ((tries = 0; tries < 100; tries++)); do
        left=0
        for pid in "${SERVER_PIDS[@]}"; do ! is_running "$pid" || left=1; done
        ((left)) || return 0
        sleep 0.05
    done
}

join() {
    local text
    text=$(printf '%s; ' "$@")
    printf '%s' "${text%; }"
}

main() {
    parse_arguments "$@"
    command -v python3 >/dev/null || die "python3 not found: apt-get install python3"
    set_up_cleanup
    CORES=$(allowed_cores | paste -sd ,)
    local peer version failed=0 checked=0 STATE WORDS
    row PEER VERSION STATE 'WHAT FAILED, AND REMARKS'
    for peer in "${PEERS[@]}"; do
        if ! version=$(peer_version "$peer" 2>"$TMP/why"); then
            row "$peer" - 'not set up' "$(tail -n 1 "$TMP/why")"
            ((NAMED == 0)) || failed=$((failed + 1))
            continue
        fi
        check_peer "$peer"
        row "$peer" "$version" "$STATE" "$WORDS"
        checked=$((checked + 1))
        [[ $STATE == ok ]] || failed=$((failed + 1))
    done
    note "$PROGRAM: $checked checked with $THREADS threads, $failed of ${#PEERS[@]} not right"
    ((failed == 0))
}

main "$@"
