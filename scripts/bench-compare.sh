#!/usr/bin/env bash
# Compares ringserve with nginx and ringload with wrk on this machine: every server under every load
# generator, pinned, in interleaved and shuffled rounds. Writes a Markdown report and the raw runs.
# See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib/rounds.sh
. "$IN_DIR/scripts/lib/rounds.sh"
# shellcheck source=scripts/lib/peers.sh
. "$IN_DIR/scripts/lib/peers.sh"

COLUMNS_OF_RUNS=round,connections,pipeline,server,load,requests,requests_per_sec,p50_us,p99_us,errors,server_cpu_us,load_cpu_us,foreign_cpu_ms,steal_ms

usage() {
    cat <<END
Usage: scripts/bench-compare.sh [OPTIONS]

Drives ringserve and nginx with wrk and with ringload: keep-alive at each number of connections, and
pipelined at the first. Prints a report in Markdown: throughput, CPU-microseconds per request of
server and load generator, medians and spread, and ratios computed round by round.

  --rounds N            rounds; each measures every combination once (default 7)
  --seconds S           length of one run (default 3)
  --connections "LIST"  numbers of connections (default "64 512")
  --pipeline N          pipelining depth of the pipelined runs (default 16)
  --server-core N       core of the server (default: the first that this process may use)
  --load-core N         core of the load generator (default: the second)
  --seed N              seed of the order of runs (default: drawn, and printed)
  --output DIR          also write DIR/bench-compare.md and DIR/bench-compare.csv (the raw runs)
  --bin-dir DIR         take ringserve and ringload from DIR instead of building them
  --check               exit with 3 if a ratio misses its target
  -h, --help            print this

Exit codes: 0 measured, 1 it could not be done or requests failed, 2 bad arguments, 3 see --check.
END
}

parse_arguments() {
    ROUNDS=7 SECONDS_PER_RUN=3 CONNECTIONS=(64 512) PIPELINE=16
    SERVER_CORE='' LOAD_CORE='' OUTPUT='' BIN_DIR='' CHECK=0
    SEED=$((RANDOM + 1))
    local option count
    while (($# > 0)); do
        option=$1
        case $option in
        --rounds | --seconds | --connections | --pipeline | --server-core | --load-core | --seed | --output | --bin-dir)
            (($# > 1)) || die_usage "$option needs a value"
            shift
            ;;
        esac
        case $option in
        --rounds) want_count "$option" "$1" 1000 && ROUNDS=$1 ;;
        --seconds) want_count "$option" "$1" 3600 && SECONDS_PER_RUN=$1 ;;
        --connections)
            read -ra CONNECTIONS <<<"$1"
            ((${#CONNECTIONS[@]} > 0)) || die_usage "$option needs at least one number"
            for count in "${CONNECTIONS[@]}"; do want_count "$option" "$count" 10000; done
            ;;
        --pipeline) want_count "$option" "$1" 1000 && PIPELINE=$1 ;;
        --server-core) SERVER_CORE=$1 ;;
        --load-core) LOAD_CORE=$1 ;;
        --seed) want_count "$option" "$1" 32767 && SEED=$1 ;;
        --output) OUTPUT=$1 ;;
        --bin-dir) want_folder "$option" "$1" && BIN_DIR=$1 ;;
        --check) CHECK=1 ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die_usage "unknown argument '$option'" ;;
        esac
        shift
    done
}

check_tools() {
    PATH=$PATH:/usr/sbin:/sbin # where Debian keeps nginx, and users do not look
    local tool missing=()
    for tool in wrk nginx; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    ((${#missing[@]} == 0)) || die "${missing[*]} not found: apt-get install wrk nginx"
}

# --- Servers ------------------------------------------------------------------------------------

# Starts both; they stay up for all rounds, and the one that is not being driven sleeps.
# By name: where each answers, its processes, and the bytes of an answer.
declare -A URL_OF PIDS_OF BYTES_OF
start_servers() {
    local server
    for server in ringserve nginx; do
        # shellcheck disable=SC2119 # no flags beyond the usual ones
        case $server in
        ringserve) start_ringserve_arm || exit 1 ;;
        nginx) start_peer nginx "$SERVER_CORE" || exit 1 ;;
        esac
        verify_answer "$server" "$SERVER_URL"
        URL_OF[$server]=$SERVER_URL
        PIDS_OF[$server]=${SERVER_PIDS[*]}
        BYTES_OF[$server]=$ANSWER_BYTES
    done
}

# --- Runs ---------------------------------------------------------------------------------------

# run_with LOAD SERVER CONNECTIONS DEPTH SECONDS: one run; REPORT, LOAD_CPU_US afterwards.
run_with() {
    local load=$1 url=${URL_OF[$2]}/ connections=$3 depth=$4 seconds=$5
    local command=(taskset -c "$LOAD_CORE") parser
    if [[ $load == wrk ]]; then
        parser=wrk.awk
        command+=(wrk -t 1 -c "$connections" -d "${seconds}s" --latency)
        ((depth == 1)) || command+=(-s "$TMP/pipeline.lua")
    else
        parser=json.awk
        command+=("$RINGLOAD" -t 1 --cores "$LOAD_CORE" -c "$connections" -d "${seconds}s" --format json)
        ((depth == 1)) || command+=(-p "$depth")
    fi
    if ! run_load "$TMP/load.out" "$TMP/load.err" "${command[@]}" "$url" ||
        ! read_report "$parser" "$TMP/load.out" || ((REPORT[requests] == 0)); then
        note "$PROGRAM: $load against $2 with $connections connections failed:"
        sed 's/^/    /' "$TMP/load.out" "$TMP/load.err" >&2
        exit 1
    fi
}

# wrk sends in one write whatever its script's request() returns.
write_pipeline_script() {
    cat >"$TMP/pipeline.lua" <<END
function init(args)
  local requests = {}
  for i = 1, $PIPELINE do requests[i] = wrk.format("GET") end
  batch = table.concat(requests)
end
function request() return batch end
END
}

# measure ROUND CONNECTIONS DEPTH SERVER LOAD: one run, one line of $TMP/runs.csv.
measure() {
    local round=$1 connections=$2 depth=$3 server=$4 load=$5 pids before busy steal server_us foreign
    read -ra pids <<<"${PIDS_OF[$server]}"
    machine_ticks
    busy=$BUSY_TICKS steal=$STEAL_TICKS
    cpu_ns "${pids[@]}"
    before=$CPU_NS
    run_with "$load" "$server" "$connections" "$depth" "$SECONDS_PER_RUN"
    settle "${pids[@]}"
    server_us=$(((CPU_NS - before) / 1000))
    ((server_us > 0)) || die "this kernel keeps no run times in /proc/PID/task/*/schedstat"
    machine_ticks
    # What neither the server nor the load used of the machine's CPU was somebody else's.
    foreign=$(((BUSY_TICKS - busy) * 1000 / TICKS_PER_SEC - (server_us + LOAD_CPU_US) / 1000))
    ((foreign > 0)) || foreign=0
    printf '%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s\n' \
        "$round" "$connections" "$depth" "$server" "$load" "${REPORT[requests]}" \
        "${REPORT[requests_per_sec]}" "${REPORT[latency_us.p50]}" "${REPORT[latency_us.p99]}" \
        "${REPORT[errors]}" "$server_us" "$LOAD_CPU_US" "$foreign" \
        $(((STEAL_TICKS - steal) * 1000 / TICKS_PER_SEC)) >>"$TMP/runs.csv"
    FAILED_REQUESTS=$((FAILED_REQUESTS + REPORT[errors]))
}

# The four combinations that ratios are made of run next to each other, so that a machine that grows
# slower in a minute does so for all of them; their order, and that of the groups, is shuffled.
run_rounds() {
    local round group connections depth combination groups=() connection_count
    for connection_count in "${CONNECTIONS[@]}"; do
        groups+=("$connection_count 1")
    done
    ((PIPELINE == 1)) || groups+=("${CONNECTIONS[0]} $PIPELINE")
    local runs=$((ROUNDS * ${#groups[@]} * 4))
    note "$runs runs of $SECONDS_PER_RUN s, about $((runs * (SECONDS_PER_RUN * 10 + 4) / 600 + 1)) min; seed $SEED"
    RANDOM=$SEED
    for ((round = 1; round <= ROUNDS; round++)); do
        shuffle "${groups[@]}"
        for group in "${SHUFFLED[@]}"; do
            read -r connections depth <<<"$group"
            shuffle 'ringserve wrk' 'ringserve ringload' 'nginx wrk' 'nginx ringload'
            for combination in "${SHUFFLED[@]}"; do
                measure "$round" "$connections" "$depth" "${combination% *}" "${combination#* }"
            done
        done
        note "round $round of $ROUNDS done"
    done
}

# First runs pay for page faults and cold caches; these are thrown away.
warm_up() {
    local server load
    for server in ringserve nginx; do
        for load in wrk ringload; do
            run_with "$load" "$server" "${CONNECTIONS[0]}" 1 1
        done
    done
}

# --- The report ---------------------------------------------------------------------------------

describe_programs() {
    cat <<END
- Servers: $("$RINGSERVE" --version 2>/dev/null) with one shard, $(nginx -v 2>&1 | sed 's/.*: //') with one worker; answers of ${BYTES_OF[ringserve]} and ${BYTES_OF[nginx]} bytes to a request with \`Connection: close\`
- Load: $("$RINGLOAD" --version 2>/dev/null), $(wrk -v 2>&1 | sed -n '1s/ Copyright.*//p'); one thread each; over loopback
END
}

write_report() {
    local steal=$1 total=$2
    printf '# ringserve and ringload beside nginx and wrk\n\n'
    describe_machine
    describe_programs
    printf -- '- Runs: %s rounds of %s s, shuffled with seed %s; steal %s of all CPU time\n\n' \
        "$ROUNDS" "$SECONDS_PER_RUN" "$SEED" "$(awk -v s="$steal" -v t="$total" 'BEGIN { printf "%.2f %%", t ? 100 * s / t : 0 }')"
    awk -v seconds="$SECONDS_PER_RUN" -f "$IN_DIR/scripts/lib/stats.awk" \
        -f "$IN_DIR/scripts/lib/compare.awk" "$TMP/runs.csv"
}

main() {
    parse_arguments "$@"
    check_tools
    choose_cores
    set_up_cleanup
    if [[ -n $OUTPUT ]]; then
        mkdir -p "$OUTPUT" || die "cannot make the folder $OUTPUT"
    fi
    TICKS_PER_SEC=$(getconf CLK_TCK)
    find_programs "$BIN_DIR"
    raise_open_files 16384
    start_servers
    write_pipeline_script
    printf '%s\n' "$COLUMNS_OF_RUNS" >"$TMP/runs.csv"
    FAILED_REQUESTS=0
    warm_up
    machine_ticks
    local steal=$STEAL_TICKS started=$SECONDS
    run_rounds
    machine_ticks
    write_report $((STEAL_TICKS - steal)) $(((SECONDS - started) * TICKS_PER_SEC * $(nproc --all))) \
        >"$TMP/report.md" || die "cannot make the report"
    cat "$TMP/report.md"
    if [[ -n $OUTPUT ]]; then
        if ! cp "$TMP/report.md" "$OUTPUT/bench-compare.md" ||
            ! cp "$TMP/runs.csv" "$OUTPUT/bench-compare.csv"; then
            die "cannot write to $OUTPUT"
        fi
    fi
    ((FAILED_REQUESTS == 0)) || die "$FAILED_REQUESTS requests failed; see the column errors of the raw runs"
    if ((CHECK)) && grep -q '| missed |' "$TMP/report.md"; then
        note "$PROGRAM: a target was missed"
        exit 3
    fi
}

main "$@"
