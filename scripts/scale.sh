#!/usr/bin/env bash
# How throughput, CPU per request, latency and memory change with connections, shards, pipelining and the size of a
# body, for ringserve and one peer; and what that means for a large machine. See --help and docs/scale.md.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib/rounds.sh
. "$IN_DIR/scripts/lib/rounds.sh"
# shellcheck source=scripts/lib/peers.sh
. "$IN_DIR/scripts/lib/peers.sh"
# shellcheck source=scripts/lib/scale.sh
. "$IN_DIR/scripts/lib/scale.sh"

ALL_AXES=(connections shards pipeline bytes)

usage() {
    cat <<END
Usage: scripts/scale.sh [OPTIONS]

Measures ringserve and a peer along four axes, one varied at a time: connections, shards, pipelining depth, size of
the body. Prints a report in Markdown with an estimate for a machine of 64 cores; with --output also an HTML page
with plots, and the raw runs. Server and load have a core each, rounds are interleaved and shuffled. What this
machine's limits forbid is told and left out.

All of it is in a network namespace of its own (root, or unprivileged user namespaces). Needs unshare, ip and python3.

  --axes "LIST"         of ${ALL_AXES[*]} (default: all)
  --peer NAME           nginx (default), none, or another one of scripts/peers: that without bodies, and with
                        no more connections than one process may have files
  --connections "LIST"  default "1 10 100 1000 10000 20000 50000 100000"
  --shards "LIST"       default: 1, 2, 4 ... to the cores that this process may use
  --depths "LIST"       of pipelining, default "1 2 4 8 16 32 64"
  --bytes "LIST"        of a body, default "0 100 1000 10000 100000 1000000"
  --at N                connections on the other axes; for each core on that of shards (default 64)
  --quick               fewer points, 2 rounds of 1 s: to see whether it works
$ROUND_OPTIONS_HELP

Exit codes: 0 measured, 1 it could not be done or requests failed, 2 bad arguments.
END
}

parse_arguments() {
    set_round_defaults
    ROUNDS=5
    AXES=("${ALL_AXES[@]}") PEER=nginx AT=64 SHARD_COUNTS=()
    CONNECTIONS=(1 10 100 1000 10000 20000 50000 100000)
    DEPTHS=(1 2 4 8 16 32 64) SIZES=(0 100 1000 10000 100000 1000000)
    # First of all, so that what is given beside it counts.
    [[ " $* " != *' --quick '* ]] || set_quick
    while (($# > 0)); do
        case $1 in
        --axes | --peer | --connections | --shards | --depths | --bytes | --at)
            (($# > 1)) || die_usage "$1 needs a value"
            take_own_option "$1" "$2"
            shift 2
            ;;
        --quick) shift ;;
        --path | --workloads | --pipeline | --per-connection) die_usage "unknown argument '$1'" ;;
        *)
            take_round_option "$@" || die_usage "unknown argument '$1'"
            shift "$TAKEN"
            ;;
        esac
    done
}

set_quick() {
    ROUNDS=2 SECONDS_PER_RUN=1
    CONNECTIONS=(1 100 1000 10000) DEPTHS=(1 8 64) SIZES=(0 1000 100000)
}

take_own_option() {
    local word
    case $1 in
    --axes)
        read -ra AXES <<<"$2"
        ((${#AXES[@]} > 0)) || die_usage "$1 needs at least one name"
        for word in "${AXES[@]}"; do
            [[ " ${ALL_AXES[*]} " == *" $word "* ]] || die_usage "$1: no such axis: '$word' (${ALL_AXES[*]})"
        done
        ;;
    --peer)
        [[ $2 == none || ($2 =~ ^[A-Za-z0-9_-]+$ && -d $PEERS_DIR/$2) ]] ||
            die_usage "$1: no such peer: '$2' (none, or a folder of scripts/peers)"
        PEER=$2
        ;;
    --connections) want_counts "$1" "$2" 1000000 && CONNECTIONS=("${COUNTS[@]}") ;;
    --shards) want_counts "$1" "$2" 1024 && SHARD_COUNTS=("${COUNTS[@]}") ;;
    --depths) want_counts "$1" "$2" 1000 && DEPTHS=("${COUNTS[@]}") ;;
    --bytes)
        read -ra SIZES <<<"$2"
        ((${#SIZES[@]} > 0)) || die_usage "$1 needs at least one number"
        for word in "${SIZES[@]}"; do
            [[ $word =~ ^(0|[1-9][0-9]{0,8})$ ]] || die_usage "$1 takes whole numbers below 1000000000, not '$word'"
        done
        ;;
    --at) want_count "$1" "$2" 10000 && AT=$2 ;;
    esac
}

# Starts this script again where it has a network for itself.
enter_namespace() {
    local how=-rn
    ((EUID != 0)) || how=-n
    unshare "$how" true || die "no network namespace to be had: run it as root, or allow user namespaces"
    RINGBENCH_NAMESPACE=1 exec unshare "$how" bash "$IN_DIR/scripts/scale.sh" "$@"
}

set_up_network() {
    command -v ip >/dev/null || die "ip not found: apt-get install iproute2"
    ip link set lo up || die "cannot bring up the loopback"
    local setting settings=(
        net/core/somaxconn=65535
        net/ipv4/tcp_max_syn_backlog=65535
        # The peer's ports, so that no connection of the load takes one.
        net/ipv4/ip_local_reserved_ports=20000-29999
    )
    for setting in "${settings[@]}"; do
        printf '%s\n' "${setting#*=}" >"/proc/sys/${setting%%=*}" || die "cannot set ${setting%%=*} in the namespace"
    done
}

find_limits() {
    FILE_LIMIT=$(ulimit -Hn)
    [[ $FILE_LIMIT != unlimited ]] || FILE_LIMIT=1048576
    raise_open_files "$FILE_LIMIT"
    # The server's first, as on the other axes, and the load's last.
    local core count others=()
    while read -r core; do
        [[ $core == "$SERVER_CORE" || $core == "$LOAD_CORE" ]] || others+=("$core")
    done < <(allowed_cores)
    ALL_CORES=("$SERVER_CORE" "${others[@]}" "$LOAD_CORE")
    if ((${#SHARD_COUNTS[@]} == 0)); then
        for ((count = 1; count < ${#ALL_CORES[@]}; count *= 2)); do SHARD_COUNTS+=("$count"); done
        SHARD_COUNTS+=("${#ALL_CORES[@]}")
    fi
}

# Sets ARMS and POINTS ("AXIS VALUE" each).
find_points() {
    local axis value arm why
    ARMS=(ringserve)
    if [[ $PEER != none ]]; then
        why=$(why_not_peer "$PEER")
        if [[ -n $why ]]; then skip "$PEER" "$why"; else ARMS+=("$PEER"); fi
    fi
    POINTS=()
    for axis in "${AXES[@]}"; do
        points_of "$axis"
        for value in "${VALUES[@]}"; do
            POINTS+=("$axis $value")
            for arm in "${ARMS[@]}"; do
                why=$(why_not_there "$arm" "$axis" "$value")
                [[ -z $why ]] || skip "$arm, $axis $value" "$why"
            done
        done
    done
    ((${#POINTS[@]} > 0)) || die "nothing is left to measure"
}

start_arm() {
    plan connections 1
    start_scale_arm "$1"
}

# measure_point ROUND ARM AXIS VALUE: one run, one line of $RUNS.
measure_point() {
    local round=$1 arm=$2 axis=$3 value=$4 before busy slab watcher foreign softirq pss slab_now
    plan "$axis" "$value"
    start_scale_arm "$arm" || die "$arm did not start"
    settle "${SERVER_PIDS[@]}"
    before=$CPU_NS
    machine_ticks
    busy=$BUSY_TICKS
    slab_kb
    slab=$SLAB_KB
    rm -f "$TMP/watch" "$TMP/load.hlog"
    watch_server "$TMP/watch" &
    watcher=$!
    OWN_PIDS+=("$watcher")
    run_load "$TMP/load.json" "$TMP/load.err" taskset -c "$LOAD_CORES" "$RINGLOAD" -t "$LOAD_THREADS" \
        --cores "$LOAD_CORES" -c "$COUNT" -p "$DEPTH" -d "${RUN_MS}ms" -T 30s --format json --interval 250ms \
        --hlog "$TMP/load.hlog" "${SOURCE_FLAGS[@]}" "$SERVER_URL$REQUEST_PATH" || say_and_die "$arm"
    wait "$watcher"
    forget_process "$watcher"
    settle "${SERVER_PIDS[@]}"
    machine_ticks
    foreign=$(((BUSY_TICKS - busy) * 1000 / TICKS_PER_SEC - (CPU_NS - before) / 1000000 - LOAD_CPU_US / 1000))
    ((foreign > 0)) || foreign=0
    read -r softirq pss slab_now <"$TMP/watch" || die "nothing was seen of the server's memory"
    python3 "$IN_DIR/scripts/scale/collect.py" "$TMP/load.json" "$TMP/load.hlog" "$WARM_MS" "round=$round" "arm=$arm" \
        "axis=$axis" "value=$value" "connections=$COUNT" "pipeline=$DEPTH" "body_bytes=$BODY_BYTES" "shards=$SHARDS" \
        "server_cores=${SERVER_CORES//,/ }" "load_threads=$LOAD_THREADS" "load_cores=${LOAD_CORES//,/ }" \
        "softirq_share=$softirq" "pss_bytes=$pss" "slab_bytes=$(((slab_now - slab) * 1024))" \
        "foreign_cpu_ms=$foreign" >>"$RUNS" || say_and_die "$arm"
    stop_arm
}

say_and_die() {
    note "$PROGRAM: the run of ringload against $1 is of no use ($COUNT connections, x$DEPTH, $REQUEST_PATH):"
    sed 's/^/    /' "$TMP/load.err" "$TMP/server.err" >&2
    exit 1
}

# One point for one arm, where it can be had.
try_point() {
    [[ -n $(why_not_there "${@:2}") ]] || measure_point "$@"
}

run_points() {
    count_runs
    PYTHONPATH=$IN_DIR/scripts/scale python3 -c 'import figures; print(",".join(figures.COLUMNS))' >"$RUNS" ||
        die "cannot write to $RUNS"
    in_rounds try_point "${POINTS[@]}"
}

# Tells how long it is going to take; starting, looking and stopping take about 1.3 s of a run.
count_runs() {
    local point words arm runs=0 total_ms=0
    for point in "${POINTS[@]}"; do
        read -ra words <<<"$point"
        plan "${words[@]}"
        for arm in "${ARMS[@]}"; do
            [[ -z $(why_not_there "$arm" "${words[@]}") ]] || continue
            runs=$((runs + ROUNDS)) total_ms=$((total_ms + ROUNDS * (RUN_MS + 1300)))
        done
    done
    note "$runs runs, about $((total_ms / 60000 + 1)) min; seed $SEED"
}

write_facts() {
    describe_machine
    printf -- '- Servers: %s' "$("$RINGSERVE" --version)"
    if ((${#ARMS[@]} > 1)); then
        case $PEER in
        nginx) printf ', %s' "$("$IN_DIR/scripts/suites/nginx-files.sh" --version)" ;;
        *) printf ', %s' "$(peer_version "$PEER")" ;;
        esac
    fi
    printf '; at most %s open files for each process\n' "$FILE_LIMIT"
    printf -- '- Network: a namespace of its own, loopback; net.core.somaxconn and net.ipv4.tcp_max_syn_backlog 65535; an address of the load for each %s connections\n' \
        "$CONNECTIONS_PER_SOURCE"
    describe_runs
}

describe_runs() {
    machine_ticks
    local total=$(((SECONDS - STARTED) * TICKS_PER_SEC * $(nproc --all))) line
    printf -- '- Load: %s, a thread for each of its cores or, at many connections, for each table of files\n' \
        "$("$RINGLOAD" --version 2>/dev/null)"
    printf -- '- Runs: %s rounds, shuffled with seed %s, each against a freshly started server: %s s with all connections open, after %s ms and the time to open them; steal %s of all CPU time\n' \
        "$ROUNDS" "$SEED" "$SECONDS_PER_RUN" "$WARM_MS" \
        "$(awk -v s=$((STEAL_TICKS - STEAL_BEFORE)) -v t="$total" 'BEGIN { printf "%.2f %%", t ? 100 * s / t : 0 }')"
    for line in "${SKIPPED[@]}"; do printf -- '- Left out: %s\n' "$line"; done
}

main() {
    parse_arguments "$@"
    command -v python3 >/dev/null || die "python3 not found: apt-get install python3"
    export PYTHONDONTWRITEBYTECODE=1
    if [[ -z ${RINGBENCH_NAMESPACE-} ]]; then
        # Outside, where a build may fetch what it needs.
        find_programs "$BIN_DIR"
        enter_namespace "$@" --bin-dir "${RINGLOAD%/*}" --seed "$SEED"
    fi
    set_up_network
    prepare_rounds scale
    find_limits
    find_points
    make_bodies
    try_arms
    run_points
    write_facts >"$TMP/facts"
    python3 "$IN_DIR/scripts/scale/report.py" "$RUNS" "$TMP/facts" "$TMP/report.md" "$TMP/scale.html" ||
        die "cannot make the report"
    if [[ -n $OUTPUT ]]; then cp "$TMP/scale.html" "$OUTPUT/" || die "cannot write to $OUTPUT"; fi
    FAILED_REQUESTS=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "errors") at = i }
        NR > 1 { sum += $at } END { print sum + 0 }' "$RUNS")
    finish_rounds scale
}

main "$@"
