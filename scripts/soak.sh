#!/usr/bin/env bash
# Loads ringserve for minutes, hours or days with everything that a server meets, restarts it meanwhile,
# and says at the end whether anything was lost or leaks. See --help and docs/soak.md.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib/rounds.sh
. "$IN_DIR/scripts/lib/rounds.sh"

MOST_HOURS=1000

usage() {
    cat <<END
Usage: scripts/soak.sh [OPTIONS]

Runs ringserve under a mixed load on 127.0.0.1: connections that stay, 1 % of all that come and go every
second, and beside them a few slow readers, resets in mid-request, garbage, and requests that stop half-way.
The server is restarted under load (SIGUSR2 and SIGTERM). Memory, descriptors, threads, CPU, the kernel's
sockets and the server's own counters are written down all the time, and at the end each of them is judged
for growth. Leaves a report (soak.md, soak.html), CSV files and HDR logs in a folder.

  --connections N        in all (default 20000)
  --rate R               requests per second, in an open loop (default 5000)
  --hours H, --minutes M length of the load (default 10 minutes)
  --restart-every TIME   such as 90s, 30m, 1h, or never (default 1h, or half of the length if that is less)
  --interval S           seconds from one look to the next (default 5; 1 up to half an hour, 0.5 up to five
                         minutes)
  --engine NAME          the engine of ringserve (default: its own)
  --server-cores LIST    cores of the server (default: the first that this process may use)
  --load-cores LIST      cores of the load (default: the second)
  --debug-leak BYTES     let ringserve leak so much for each connection that has closed: must be found
  --output DIR           folder for report and figures (default soak-DATE in the current one)
  --bin-dir DIR          take ringserve and ringload from DIR instead of building them
  -h, --help             this text

All of it is in a network namespace of its own where there is one to be had (root, or unprivileged user
namespaces), so that the kernel's counters are those of the soak; else in the machine's, where drops in
listen queues and growth in sockets are not judged. Needs python3 (3.10 or newer); unshare and ip for
the namespace.

Exit codes: 0 passed, 1 could not be done, 2 bad arguments, 3 failed (requests lost, errors that the load
does not explain, connections missing at the end, listen drops, a crash, a leak), 130 or 143 told to end,
with a report of what was until then.
END
}

parse_arguments() {
    CROWD=20000 RATE=5000 LENGTH_S=600 RESTART_S='' INTERVAL='' ENGINE='' LEAK=0
    SERVER_CORES='' LOAD_CORES='' OUTPUT='' BIN_DIR=''
    while (($# > 0)); do
        case $1 in
        -h | --help) usage && exit 0 ;;
        --connections | --rate | --hours | --minutes | --restart-every | --interval | --engine | --debug-leak | \
            --server-cores | --load-cores | --output | --bin-dir) (($# > 1)) || die_usage "$1 needs a value" ;;
        *) die_usage "unknown argument '$1'" ;;
        esac
        take_option "$1" "$2"
        shift 2
    done
    ((CROWD >= 100)) || die_usage "--connections takes a whole number from 100 to 1000000, not '$CROWD'"
    [[ -n $RESTART_S ]] || RESTART_S=$((LENGTH_S > 7200 ? 3600 : LENGTH_S / 2))
    if [[ -z $INTERVAL ]]; then
        INTERVAL=5
        ((LENGTH_S > 1800)) || INTERVAL=1
        ((LENGTH_S > 300)) || INTERVAL=0.5
    fi
}

take_option() {
    case $1 in
    --connections) want_count "$1" "$2" 1000000 && CROWD=$2 ;;
    --rate) want_count "$1" "$2" 10000000 && RATE=$2 ;;
    --hours) want_count "$1" "$2" "$MOST_HOURS" && LENGTH_S=$(($2 * 3600)) ;;
    --minutes) want_count "$1" "$2" $((MOST_HOURS * 60)) && LENGTH_S=$(($2 * 60)) ;;
    --restart-every) want_time "$1" "$2" && RESTART_S=$TIME_S ;;
    --interval) want_count "$1" "$2" 60 && INTERVAL=$2 ;;
    --engine)
        case $2 in
        auto | uring | epoll | glommio) ENGINE=$2 ;;
        *) die_usage "--engine takes auto, uring, epoll or glommio, not '$2'" ;;
        esac
        ;;
    --debug-leak) want_count "$1" "$2" 1048576 && LEAK=$2 ;;
    --server-cores) want_cores "$1" "$2" && SERVER_CORES=$CORES ;;
    --load-cores) want_cores "$1" "$2" && LOAD_CORES=$CORES ;;
    --output) OUTPUT=$2 ;;
    --bin-dir) want_folder "$1" "$2" && BIN_DIR=$2 ;;
    esac
}

# want_time OPTION TIME: sets TIME_S, whole seconds; 0 for never.
want_time() {
    TIME_S=0
    [[ $2 != never ]] || return 0
    [[ $2 =~ ^([1-9][0-9]{0,6})(s|m|h)$ ]] || die_usage "$1 takes a time such as 90s, 30m or 1h, or never, not '$2'"
    case ${BASH_REMATCH[2]} in
    s) TIME_S=${BASH_REMATCH[1]} ;;
    m) TIME_S=$((BASH_REMATCH[1] * 60)) ;;
    h) TIME_S=$((BASH_REMATCH[1] * 3600)) ;;
    esac
    ((TIME_S >= 20)) || die_usage "$1: a restart takes some seconds: 20s is the least, not '$2'"
}

# want_cores OPTION LIST: sets CORES, all of them with commas between.
want_cores() {
    local core allowed
    [[ $2 =~ ^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$ ]] ||
        die_usage "$1 takes a list of cores such as 0,2-3, not '$2'"
    allowed=$(allowed_cores)
    for core in $(expand_list "$2"); do
        grep -qxF -- "$core" <<<"$allowed" ||
            die_usage "$1: core $core is not one that this process may use (${allowed//$'\n'/ })"
    done
    CORES=$(expand_list "$2" | paste -sd ,)
    [[ -n $CORES ]] || die_usage "$1: there is no core in '$2'"
}

choose_soak_cores() {
    local cores
    mapfile -t cores < <(allowed_cores)
    # With one core they share it; the report says so.
    SERVER_CORES=${SERVER_CORES:-${cores[0]}}
    LOAD_CORES=${LOAD_CORES:-${cores[1]:-${cores[0]}}}
    # For describe_machine.
    SERVER_CORE=${SERVER_CORES%%,*} LOAD_CORE=${LOAD_CORES%%,*}
}

# Starts this script again where it has a network for itself, if it can.
enter_namespace() {
    local how=-rn
    ((EUID != 0)) || how=-n
    PATH=$PATH:/usr/sbin:/sbin # where Debian keeps ip, and users do not look
    if command -v ip >/dev/null && unshare "$how" ip link set lo up 2>/dev/null; then
        RINGBENCH_NAMESPACE=1 exec unshare "$how" bash "$IN_DIR/scripts/soak.sh" "$@"
    fi
    note "No network namespace to be had here: the kernel's counters are those of the whole machine, and are not judged."
}

# Descriptors. With io_uring connections are in the rings' own tables, each as large as this limit.
find_open_files() {
    OPEN_FILES=$(ulimit -Hn)
    [[ $OPEN_FILES != unlimited ]] || OPEN_FILES=1048576
    if [[ $ENGINE == epoll || $ENGINE == glommio ]] && ((CROWD * 21 / 20 + 500 > OPEN_FILES)); then
        die "with --engine $ENGINE each connection is an open file, and the limit is $OPEN_FILES: ask for" \
            "$(((OPEN_FILES - 500) * 20 / 21)) connections at most, or raise it (ulimit -Hn)"
    fi
}

make_output() {
    OUTPUT=${OUTPUT:-soak-$(date -u '+%Y-%m-%dT%H%M%SZ')}
    mkdir -p "$OUTPUT" || die "cannot make the folder $OUTPUT"
    OUTPUT=$(cd "$OUTPUT" && pwd) || die "cannot enter $OUTPUT"
    [[ ! -e $OUTPUT/samples.csv ]] || die "$OUTPUT has a soak in it already: give --output another folder"
    : >"$OUTPUT/samples.csv" || die "cannot write to $OUTPUT"
    rm "$OUTPUT/samples.csv"
}

describe_soak() {
    describe_machine
    printf -- '- Server: %s%s; load: %s; over loopback\n' "$("$RINGSERVE" --version)" "${ENGINE:+, engine $ENGINE}" \
        "$("$RINGLOAD" --version)"
    # shellcheck disable=SC2016 # the backticks are Markdown's
    printf -- '- Command: `scripts/soak.sh --connections %s --rate %s --minutes %s%s`\n' "$CROWD" "$RATE" \
        "$((LENGTH_S / 60))" "$( ((LEAK == 0)) || printf ' --debug-leak %s' "$LEAK")"
}

# Runs it to its end, passing on what this script is told. Returns its exit code.
run_soak() {
    local command status=0 pid signal
    command=(python3 -B "$IN_DIR/scripts/soak/run.py" --ringserve "$RINGSERVE" --ringload "$RINGLOAD"
        --output "$OUTPUT" --pids "$TMP/pids" --about "$TMP/about" --open-files "$OPEN_FILES"
        --connections "$CROWD" --rate "$RATE" --seconds "$LENGTH_S" --restart-every "$RESTART_S"
        --interval "$INTERVAL" --server-cores "$SERVER_CORES" --load-cores "$LOAD_CORES" --debug-leak "$LEAK")
    [[ -z $ENGINE ]] || command+=(--engine "$ENGINE")
    [[ -z ${RINGBENCH_NAMESPACE-} ]] || command+=(--own-network)
    ! knows "$RINGSERVE" --drain-grace || command+=(--drain-grace)
    "${command[@]}" </dev/null &
    pid=$!
    OWN_PIDS+=("$pid")
    for signal in INT TERM HUP; do
        # shellcheck disable=SC2064 # the names are meant to be filled in now
        trap "kill -s $signal $pid 2>/dev/null" "$signal"
    done
    wait "$pid" || status=$?
    # A signal to this script ends the waiting, not the soak.
    while kill -0 "$pid" 2>/dev/null; do
        status=0
        wait "$pid" || status=$?
    done
    forget_process "$pid"
    return "$status"
}

# What is still there of what the soak started: only if that was killed.
end_orphans() {
    local pid program
    [[ -r $TMP/pids ]] || return 0
    while read -r pid; do
        program=$(readlink "/proc/$pid/exe" 2>/dev/null) || continue
        # The number may be somebody else's by now.
        [[ $program != "$RINGSERVE" && $program != "$RINGLOAD" ]] || OWN_PIDS+=("$pid")
    done <"$TMP/pids"
}

main() {
    parse_arguments "$@"
    command -v python3 >/dev/null || die "python3 not found: apt-get install python3"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || die "needs python3 3.10 or newer, not $(python3 --version)"
    choose_soak_cores
    find_open_files
    # Outside of the namespace, where a build may fetch what it needs.
    find_programs "$BIN_DIR"
    make_output
    [[ -n ${RINGBENCH_NAMESPACE-} ]] || enter_namespace "$@" --bin-dir "${RINGLOAD%/*}" --output "$OUTPUT"
    [[ -z ${RINGBENCH_NAMESPACE-} ]] || ip link set lo up || die "cannot bring up the loopback"
    RINGSERVE=$(readlink -f "$RINGSERVE") RINGLOAD=$(readlink -f "$RINGLOAD")
    set_up_cleanup
    describe_soak >"$TMP/about"
    local status=0
    run_soak || status=$?
    end_orphans
    if [[ -s $OUTPUT/soak.md ]]; then
        cat "$OUTPUT/soak.md"
        note "The report: $OUTPUT/soak.md and soak.html"
    else
        # Of arguments that cannot be, nothing is left behind.
        rmdir "$OUTPUT" 2>/dev/null
    fi
    case $status in
    [0-3] | 129 | 130 | 143) exit "$status" ;;
    *) die "the soak did not come to its end (status $status); what it left is in $OUTPUT" ;;
    esac
}

main "$@"
