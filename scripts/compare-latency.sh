#!/usr/bin/env bash
# Whether ringload and wrk tell the same latencies of the same server at a rate that both can hold. See
# --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib/rounds.sh
. "$IN_DIR/scripts/lib/rounds.sh"
# shellcheck source=scripts/lib/peers.sh
. "$IN_DIR/scripts/lib/peers.sh"

SERVERS=(ringserve nginx)

usage() {
    cat <<END
Usage: scripts/compare-latency.sh [OPTIONS]

Drives ringserve and nginx with wrk and with ringload, one after the other, by the same command line: a Lua
script whose delay() makes each connection wait 5 to 15 ms before each request, so that neither the server
nor the load generator is at its limit. Reads both reports with the same expressions and prints, in
Markdown, requests per second and the latency distribution of each, and ringload's as a ratio to wrk's,
computed round by round. wrk-again is wrk once more: its difference from wrk is the noise.

  --connections "LIST"  numbers of connections (default "1 8 64 512")
${ROUND_OPTIONS_HELP}

Exit codes: 0 measured, 1 it could not be done or requests failed, 2 bad arguments.
END
}

parse_arguments() {
    set_round_defaults
    CONNECTIONS=(1 8 64 512)
    while (($# > 0)); do
        if [[ $1 == --pipeline || $1 == --per-connection || $1 == --path || $1 == --workloads ]]; then
            die_usage "unknown argument '$1'"
        elif take_round_option "$@"; then
            shift "$TAKEN"
        else
            die_usage "unknown argument '$1'"
        fi
    done
}

write_delay_script() {
    cat >"$TMP/delay.lua" <<'END'
function delay()
   return math.random(5, 15)
end
END
}

# run_loader LOADER CONNECTIONS: one run against SERVER_URL, REPORT afterwards. Both reports are read in the
# same way. Fails if the report names errors.
run_loader() {
    local loader=$1 count=$2 program=wrk
    [[ $loader == wrk* ]] || program=$RINGLOAD
    run_load "$TMP/load.out" "$TMP/load.err" taskset -c "$LOAD_CORE" "$program" -t 1 -c "$count" \
        -d "${SECONDS_PER_RUN}s" --latency -s "$TMP/delay.lua" "$SERVER_URL/" &&
        read_report wrk.awk "$TMP/load.out" && ((REPORT[requests] > 0 && REPORT[errors] == 0))
}

start_server() {
    # shellcheck disable=SC2119 # no flags beyond the usual ones
    if [[ $1 == ringserve ]]; then start_ringserve_arm; else start_peer "$1" "$SERVER_CORE"; fi
}

# In place of that of rounds.sh, which is ringload only: an arm is a load generator, and a shape has a server.
measure() {
    local round=$1 loader=$2 server=$3 count=$4
    start_server "$server" || die "$server did not start"
    run_loader "$loader" "$count" || {
        sed 's/^/    /' "$TMP/load.out" "$TMP/load.err" >&2
        die "$loader against $server failed"
    }
    stop_arm
    printf '%s,%s,%s,%s,%s,%s,%s,%s,%s,%s\n' "$round" "$server" "$count" "$loader" \
        "${REPORT[requests]}" "${REPORT[requests_per_sec]}" "${REPORT[latency_us.p50]}" \
        "${REPORT[latency_us.p75]}" "${REPORT[latency_us.p90]}" "${REPORT[latency_us.p99]}" >>"$RUNS"
}

write_report() {
    printf '# Latencies that wrk and ringload tell of the same server\n\n'
    describe_machine
    printf -- '- Load generators, one thread each, the same command line: %s; %s\n' \
        "$(wrk -v 2>&1 | sed -n '1s/ Copyright.*//p')" "$("$RINGLOAD" --version)"
    printf -- '- Servers, one thread each: %s; %s\n' "$("$RINGSERVE" --version)" "$(peer_version nginx)"
    printf -- '- %s rounds of %s s, shuffled with seed %s; each connection waits 5 to 15 ms before each request\n\n' \
        "$ROUNDS" "$SECONDS_PER_RUN" "$SEED"
    awk -v places="$(printf '%s;' "${SHAPES[@]}")" -f "$IN_DIR/scripts/lib/stats.awk" -f "$IN_DIR/scripts/lib/latency.awk" "$RUNS"
}

main() {
    parse_arguments "$@"
    command -v wrk >/dev/null || die "wrk not found: apt-get install wrk"
    local why
    why=$(why_not_peer nginx)
    [[ -z $why ]] || die "nginx: $why"
    PATH=$PATH:/usr/sbin:/sbin
    prepare_rounds compare-latency
    write_delay_script
    COLUMNS_OF_RUNS=round,server,connections,loader,requests,requests_per_sec,p50_us,p75_us,p90_us,p99_us
    ARMS=(wrk wrk-again ringload) SHAPES=()
    local server count
    for server in "${SERVERS[@]}"; do
        for count in "${CONNECTIONS[@]}"; do SHAPES+=("$server $count"); done
    done
    run_rounds
    write_report >"$TMP/report.md" || die "cannot make the report"
    finish_rounds compare-latency
}

main "$@"
