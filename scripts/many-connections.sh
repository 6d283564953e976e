#!/usr/bin/env bash
# Opens tens of thousands of connections from one ringload process, and sees whether all of them are
# used, what they cost and how long opening and closing them takes. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Open files per process: the usual hard limit of a system that nobody has tuned is near.
OPEN_FILES=20000
# What a connection may cost ringload itself, in bytes.
BYTES_MOST=1024
# Longer than this, and opening or closing was not "a few seconds".
OPENING_MOST_S=10
CLOSING_MOST_S=5

usage() {
    cat <<END
Usage: scripts/many-connections.sh [OPTIONS]

Runs ringload with 30,000 and with 60,000 connections (these from several source addresses) against
ringserve, in a closed and in an open loop, each process with at most $OPEN_FILES open files. Prints a
table in Markdown, and fails if a connection was not used, anything failed, a connection cost ringload
$BYTES_MOST bytes or more, or opening or closing took too long.

All of it is in a network namespace of its own (root, or unprivileged user namespaces), where
net.ipv4.ip_local_port_range is 1024 to 65535. Needs unshare and ip.

  --seconds N       length of each run (default 8)
  --bin-dir DIR     use the ringserve and ringload in DIR instead of building them
  --output FILE     write the table there, too
  -h, --help        this text

Exit codes: 0 all passed, 1 something failed or could not be done, 2 bad arguments.
END
}

parse_arguments() {
    SECONDS_PER_RUN=8 BIN_DIR='' OUTPUT=''
    while (($# > 0)); do
        case $1 in
        --seconds) want_count "$1" "${2-}" 600 && SECONDS_PER_RUN=$2 ;;
        --bin-dir) BIN_DIR=${2:?a folder} ;;
        --output) OUTPUT=${2:?a file} ;;
        -h | --help) usage && exit 0 ;;
        *) die_usage "unknown argument '$1'" ;;
        esac
        shift 2
    done
}

# Starts this script again where it has a network for itself.
enter_namespace() {
    local how=-rn
    ((EUID != 0)) || how=-n
    [[ -z ${RINGBENCH_NAMESPACE-} ]] || return 0
    unshare "$how" true || die "no network namespace to be had: run it as root, or allow user namespaces"
    RINGBENCH_NAMESPACE=1 exec unshare "$how" bash "$IN_DIR/scripts/many-connections.sh" "$@"
}

set_up_network() {
    ip link set lo up || die "cannot bring up the loopback"
    echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range || die "cannot set the range of local ports"
}

limit_open_files() {
    local hard
    hard=$(ulimit -Hn)
    if [[ $hard == unlimited ]] || ((hard > OPEN_FILES)); then
        ulimit -SHn "$OPEN_FILES"
    elif ((hard < OPEN_FILES)); then
        die "the limit on open files is $hard: $OPEN_FILES are needed (ulimit -Hn)"
    fi
}

# watch_memory PID: until it has ended. Sets PEAK_KB, the most memory that it had.
watch_memory() {
    local name value status state=
    PEAK_KB=0
    # The shell may wait for what has ended at any time, or not yet.
    while [[ $state != Z ]] && exec {status}<"/proc/$1/status"; do
        while read -r name value _; do
            case $name in
            State:) state=$value ;;
            VmHWM:) PEAK_KB=$value ;;
            esac
        done <&"$status"
        exec {status}<&-
        sleep 0.02
    done 2>/dev/null
}

# load FLAG...: one run against a server of its own. Sets REPORT, and PEAK_KB, the most memory that
# ringload had, and WALL_MS, from its start to its end.
load() {
    local pid from status=0
    start_ringserve "$TMP/server" "$RINGSERVE" --listen 127.0.0.1:0 --shards 4 --reuse-port || die "no server"
    from=${EPOCHREALTIME//[.,]/}
    "$RINGLOAD" --format json "$@" "$SERVER_URL" </dev/null >"$TMP/load.json" 2>"$TMP/load.err" &
    pid=$!
    OWN_PIDS+=("$pid")
    watch_memory "$pid"
    wait "$pid" || status=$?
    WALL_MS=$(((${EPOCHREALTIME//[.,]/} - from) / 1000))
    forget_process "$pid"
    end_process "$SERVER_PID"
    ((status == 0)) || note "ringload ended with $status: $(<"$TMP/load.err")"
    read_report json.awk "$TMP/load.json" || die "ringload made no report"
    return "$status"
}

# check NAME CONNECTIONS THREADS FLAG...: a line of the table.
check() {
    local name=$1 connections=$2 threads=$3 base_kb opening_ms=0 verdict=passed failed=()
    shift 3
    # The same without the crowd, to know what ringload takes in any case.
    load -t "$threads" -c "$threads" -d 1s "$@" || failed+=("run without the crowd")
    base_kb=$PEAK_KB
    load -t "$threads" -c "$connections" -d "${SECONDS_PER_RUN}s" "$@" || failed+=(run)
    local bytes=$(((PEAK_KB - base_kb) * 1024 / connections)) figure
    for figure in peak opened answered; do
        ((${REPORT[connections.$figure]:-0} == connections)) || failed+=("$figure ${REPORT[connections.$figure]:-none}")
    done
    ((REPORT[errors] == 0)) || failed+=("${REPORT[errors]} errors")
    ((bytes < BYTES_MOST)) || failed+=("$bytes bytes")
    local all_open_us=${REPORT[connections.all_open_us]:-}
    if [[ $all_open_us =~ ^[0-9]+$ ]]; then
        ((all_open_us < OPENING_MOST_S * 1000000)) || failed+=("opening")
    else
        all_open_us=0
        failed+=("never all open")
    fi
    # A schedule begins when all are open; a closed loop does not wait for that.
    [[ $* != *-R* ]] || opening_ms=$((all_open_us / 1000))
    local closing_ms=$((WALL_MS - opening_ms - REPORT[duration_us] / 1000))
    ((closing_ms < CLOSING_MOST_S * 1000)) || failed+=("closing")
    ((${#failed[@]} == 0)) || { verdict="FAILED: ${failed[*]}" && FAILED=1; }
    printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$name" "$connections" \
        "${REPORT[connections.answered]:-}" "${REPORT[requests]}" "${REPORT[errors]}" \
        "$(seconds "$((all_open_us / 1000))")" "$(seconds "$closing_ms")" "$bytes" \
        "$((base_kb / 1024))" "$((PEAK_KB / 1024))" "$verdict" >>"$TMP/table"
    tail -n 1 "$TMP/table" >&2
}

seconds() { awk -v ms="$1" 'BEGIN { printf "%.2f", ms / 1000 }'; }

write_report() {
    cat <<END
# Tens of thousands of connections from one ringload

- Date: $(date -u '+%Y-%m-%d %H:%M UTC'); revision $(git -C "$IN_DIR" describe --always --dirty 2>/dev/null || echo unknown)
- CPU: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc --all) cores; load average at the start $LOAD_AVERAGE
- Kernel: $(uname -srm); a network namespace of its own, local ports 1024 to 65535
- Open files: at most $(ulimit -Hn) per process, ringload's as well as the server's
- Server: $("$RINGSERVE" --version), 4 shards, \`--reuse-port\`; load: $("$RINGLOAD" --version); both on all cores
- Runs of $SECONDS_PER_RUN s: \`scripts/many-connections.sh --seconds $SECONDS_PER_RUN\`

| run | connections | gave an answer | requests | errors | all open after, s | start and end beside that, s | bytes per connection | ringload without them, MiB | with them, MiB | verdict |
|---|---|---|---|---|---|---|---|---|---|---|
END
    cat "$TMP/table"
    cat <<END

*Bytes per connection*: the most memory that ringload had (VmHWM), less that of the same run with one
connection per thread, divided by the connections. The kernel's sockets are not in it. *Start and end*:
from the start of the process to its end, less the time of the run and of opening where that comes before it.
END
}

main() {
    parse_arguments "$@"
    if [[ -z ${RINGBENCH_NAMESPACE-} ]]; then
        # Outside, where a build may fetch what it needs.
        find_programs "$BIN_DIR"
        enter_namespace --seconds "$SECONDS_PER_RUN" --bin-dir "${RINGLOAD%/*}" ${OUTPUT:+--output "$OUTPUT"}
    fi
    find_programs "$BIN_DIR"
    set_up_network
    limit_open_files
    set_up_cleanup
    LOAD_AVERAGE=$(cut -d ' ' -f 1 /proc/loadavg)
    FAILED=0
    local many=(--source 127.0.0.2-127.0.0.9)
    check 'closed loop' 30000 2
    check 'open loop, 8,000/s' 30000 2 -R 8000
    check 'closed loop, 8 sources' 60000 4 "${many[@]}"
    check 'open loop, 12,000/s, 8 sources' 60000 4 -R 12000 "${many[@]}"
    write_report >"$TMP/report"
    [[ -z $OUTPUT ]] || cp "$TMP/report" "$OUTPUT" || die "cannot write $OUTPUT"
    cat "$TMP/report"
    exit "$FAILED"
}

main "$@"
