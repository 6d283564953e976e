# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153,SC2154 # set here and read by the scripts that source this, or the reverse
# Interleaved rounds: several servers ("arms") under several shapes of load, measured by turns.
# To be sourced after lib.sh.
#
# A script that uses this sets ARMS (names, the first is what the others are compared with), SHAPES
# ("connections pipeline requests_per_connection" each, 0 for no limit), and has a function usage, and a function start_arm NAME that starts that server with start_ringserve or start_peer. A server is started
# anew for each run: where its memory happened to be laid is part of the spread then, and not a bias
# of one arm.

COLUMNS_OF_RUNS=round,arm,connections,pipeline,requests_per_connection,path,requests,requests_per_sec,p50_us,p99_us,errors,reconnects,server_cpu_us,load_cpu_us,load_wall_ms,foreign_cpu_ms,steal_ms
BODY='Hello, World!'

# --- Options that all such scripts take ---------------------------------------------------------

ROUND_OPTIONS_HELP='  --rounds N            rounds; each measures every combination once (default 7)
  --seconds S           length of one run (default 3)
  --server-core N       core of the server (default: the first that this process may use)
  --load-core N         core of the load generator (default: the second)
  --seed N              seed of the order of runs (default: drawn, and printed)
  --output DIR          also write the report and the raw runs (CSV) to DIR
  --bin-dir DIR         take ringserve and ringload from DIR instead of building them
  -h, --help            print this'
SHAPE_OPTIONS_HELP='  --connections "LIST"  numbers of connections (default "64 512")
  --pipeline N          pipelining depth of pipelined runs (default 16)
  --per-connection N    requests per connection of short connections (default 10)'

set_round_defaults() {
    ROUNDS=7 SECONDS_PER_RUN=3 SERVER_CORE='' LOAD_CORE='' OUTPUT='' BIN_DIR=''
    CONNECTIONS=(64 512) PIPELINE=16 PER_CONNECTION=10 REQUEST_PATH=/ WORKLOADS=()
    SEED=$((RANDOM + 1))
}

# take_round_option WORD...: whether the first word is one of these options; then TAKEN is the
# number of words it used. Needs a function usage.
take_round_option() {
    local option=$1
    case $option in
    --rounds | --seconds | --server-core | --load-core | --seed | --output | --bin-dir) ;;
    --connections | --pipeline | --per-connection | --path | --workloads) ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) return 1 ;;
    esac
    (($# > 1)) || die_usage "$option needs a value"
    TAKEN=2
    case $option in
    --rounds) want_count "$option" "$2" 1000 && ROUNDS=$2 ;;
    --seconds) want_count "$option" "$2" 3600 && SECONDS_PER_RUN=$2 ;;
    --server-core) SERVER_CORE=$2 ;;
    --load-core) LOAD_CORE=$2 ;;
    --seed) want_count "$option" "$2" 32767 && SEED=$2 ;;
    --output) OUTPUT=$2 ;;
    --bin-dir) want_folder "$option" "$2" && BIN_DIR=$2 ;;
    --connections) want_counts "$option" "$2" 15000 && CONNECTIONS=("${COUNTS[@]}") ;;
    --pipeline) want_count "$option" "$2" 1000 && PIPELINE=$2 ;;
    --per-connection) want_count "$option" "$2" 1000000 && PER_CONNECTION=$2 ;;
    --path)
        [[ $2 =~ ^/[^[:space:],\;]*$ ]] || die_usage "$option takes a path such as /orders, not '$2'"
        REQUEST_PATH=$2
        ;;
    --workloads) want_workloads "$2" ;;
    esac
}

want_workloads() {
    local workload
    read -ra WORKLOADS <<<"$1"
    ((${#WORKLOADS[@]} > 0)) || die_usage "--workloads needs at least one name"
    for workload in "${WORKLOADS[@]}"; do
        case $workload in
        keep-alive | pipelined | short) ;;
        *) die_usage "--workloads: no such workload: '$workload' (keep-alive, pipelined, short)" ;;
        esac
    done
}

# make_shapes: every workload at every number of connections.
make_shapes() {
    local workload count
    SHAPES=()
    for count in "${CONNECTIONS[@]}"; do
        for workload in "${WORKLOADS[@]}"; do
            case $workload in
            keep-alive) SHAPES+=("$count 1 0") ;;
            pipelined) SHAPES+=("$count $PIPELINE 0") ;;
            short) SHAPES+=("$count 1 $PER_CONNECTION") ;;
            esac
        done
    done
}

# want_counts OPTION "LIST" MAX: sets COUNTS.
want_counts() {
    local count
    read -ra COUNTS <<<"$2"
    ((${#COUNTS[@]} > 0)) || die_usage "$1 needs at least one number"
    for count in "${COUNTS[@]}"; do want_count "$1" "$count" "$3"; done
}

choose_cores() {
    command -v taskset >/dev/null || die "taskset not found: apt-get install util-linux"
    local cores core
    mapfile -t cores < <(allowed_cores)
    ((${#cores[@]} >= 2)) || die "needs two cores, one for the server and one for the load"
    SERVER_CORE=${SERVER_CORE:-${cores[0]}}
    LOAD_CORE=${LOAD_CORE:-${cores[1]}}
    for core in "$SERVER_CORE" "$LOAD_CORE"; do
        printf '%s\n' "${cores[@]}" | grep -qxF -- "$core" ||
            die_usage "core $core is not one that this process may use (${cores[*]})"
    done
    [[ $SERVER_CORE != "$LOAD_CORE" ]] || die_usage "server and load need a core each"
}

# knows PROGRAM FLAG: whether the program's help names the flag. Asked once of each program; not in a
# pipe, because a program whose output is not read to its end fails.
declare -A HELP_OF
knows() {
    [[ -v HELP_OF[$1] ]] || HELP_OF[$1]=$("$1" --help 2>/dev/null)
    grep -qE -- "(^|[^-[:alnum:]])$2([^-[:alnum:]]|\$)" <<<"${HELP_OF[$1]}"
}

# --- Servers ------------------------------------------------------------------------------------

# With the flags of an arm, one shard, on the server's core. Sets SERVER_URL and SERVER_PIDS.
start_ringserve_arm() {
    start_ringserve "$TMP/server" taskset -c "$SERVER_CORE" \
        "$RINGSERVE" --listen 127.0.0.1:0 --shards 1 --cores "$SERVER_CORE" "$@" || return 1
    SERVER_PIDS=("$SERVER_PID")
}

stop_arm() { end_process "$SERVER_PID" || true; }

# A server that answers with an error page can be very fast. Sets ANSWER_BYTES. Reads by the length
# that the answer gives, because not every server closes when it is asked to.
verify_answer() {
    local name=$1 authority=${2#http://} line head='' length=0 body='' connection
    exec {connection}<>"/dev/tcp/${authority%:*}/${authority##*:}" || die "cannot connect to $name"
    printf 'GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$authority" >&"$connection"
    while read -r -t 5 line <&"$connection"; do
        head+=$line$'\n'
        [[ $line != $'\r' ]] || break
        [[ ${line,,} != content-length:* ]] || length=${line//[^0-9]/}
    done
    ((length == 0)) || read -r -t 5 -N "$length" body <&"$connection"
    exec {connection}>&-
    [[ $head == 'HTTP/1.1 200 '* && $body == "$BODY" && ${head,,} == *$'\ndate:'* ]] ||
        die "$name does not answer GET / with 200, a Date and '$BODY' but with: ${head:0:200}$body"
    ANSWER_BYTES=$((${#head} + ${#body}))
}

# --- Runs ---------------------------------------------------------------------------------------

# Sets BUSY_TICKS and STEAL_TICKS, those of all cores since boot, in clock ticks.
machine_ticks() {
    local user nice system irq softirq
    read -r _ user nice system _ _ irq softirq STEAL_TICKS _ </proc/stat
    BUSY_TICKS=$((user + nice + system + irq + softirq))
}

# shuffle ITEM...: sets SHUFFLED, in an order that SEED decides.
shuffle() {
    local i j held
    SHUFFLED=("$@")
    for ((i = $# - 1; i > 0; i--)); do
        j=$((RANDOM % (i + 1)))
        held=${SHUFFLED[i]} SHUFFLED[i]=${SHUFFLED[j]} SHUFFLED[j]=$held
    done
}

# load_shape DURATION CONNECTIONS PIPELINE REQUESTS_PER_CONNECTION: one run of ringload against
# SERVER_URL; REPORT and LOAD_CPU_US afterwards.
load_shape() {
    local command=(taskset -c "$LOAD_CORE" "$RINGLOAD" -t 1 --cores "$LOAD_CORE" -d "$1" -c "$2" --format json)
    (($3 == 1)) || command+=(-p "$3")
    (($4 == 0)) || command+=(--requests-per-connection "$4")
    run_load "$TMP/load.out" "$TMP/load.err" "${command[@]}" "$SERVER_URL$REQUEST_PATH" &&
        read_report json.awk "$TMP/load.out" && ((REPORT[requests] > 0))
}

say_load_failed() {
    note "$PROGRAM: ringload against $1 failed:"
    sed 's/^/    /' "$TMP/load.out" "$TMP/load.err" "$TMP/server.err" >&2
}

# Starts every arm once, before hours are spent: what it answers must be right. An arm that does
# not start is left out, and SKIPPED says so; the first one must start.
try_arms() {
    local arm kept=()
    for arm in "${ARMS[@]}"; do
        if start_arm "$arm" 2>"$TMP/why"; then
            verify_answer "$arm" "$SERVER_URL"
            kept+=("$arm")
            ARM_BYTES[$arm]=$ANSWER_BYTES
            stop_arm
        else
            cat "$TMP/why" >&2
            [[ $arm != "${ARMS[0]}" ]] || die "the arm that all others are compared with does not start"
            skip "$arm" "it does not start: $(sed -n 's/^    //p' "$TMP/why" | head -n 1)"
        fi
    done
    ARMS=("${kept[@]}")
}

SKIPPED=()
declare -A ARM_BYTES
skip() {
    SKIPPED+=("$1: $2")
    note "left out: $1: $2"
}

# measure ROUND ARM CONNECTIONS PIPELINE REQUESTS_PER_CONNECTION: one run, one line of $RUNS.
measure() {
    local round=$1 arm=$2 before busy steal server_us foreign started wall_ms
    shift 2
    start_arm "$arm" || die "$arm did not start"
    # The first requests pay for page faults and cold caches; these are thrown away.
    load_shape 300ms "$@" || { say_load_failed "$arm" && exit 1; }
    settle "${SERVER_PIDS[@]}"
    before=$CPU_NS
    machine_ticks
    busy=$BUSY_TICKS steal=$STEAL_TICKS
    started=${EPOCHREALTIME/./}
    load_shape "${SECONDS_PER_RUN}s" "$@" || { say_load_failed "$arm" && exit 1; }
    wall_ms=$(((${EPOCHREALTIME/./} - started) / 1000))
    settle "${SERVER_PIDS[@]}"
    server_us=$(((CPU_NS - before) / 1000))
    ((server_us > 0)) || die "this kernel keeps no run times in /proc/PID/task/*/schedstat"
    machine_ticks
    # What neither the server nor the load used of the machine's CPU was somebody else's.
    foreign=$(((BUSY_TICKS - busy) * 1000 / TICKS_PER_SEC - (server_us + LOAD_CPU_US) / 1000))
    ((foreign > 0)) || foreign=0
    printf '%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s\n' "$round" "$arm" "$@" "$REQUEST_PATH" \
        "${REPORT[requests]}" "${REPORT[requests_per_sec]}" "${REPORT[latency_us.p50]}" \
        "${REPORT[latency_us.p99]}" "${REPORT[errors]}" "${REPORT[reconnects]-0}" "$server_us" \
        "$LOAD_CPU_US" "$wall_ms" "$foreign" $(((STEAL_TICKS - steal) * 1000 / TICKS_PER_SEC)) >>"$RUNS"
    FAILED_REQUESTS=$((FAILED_REQUESTS + REPORT[errors]))
    stop_arm
}

# in_rounds FUNCTION SHAPE...: FUNCTION ROUND ARM WORD... for each round, shape (its words) and arm. All arms
# of one shape run next to each other, so that a machine that grows slower in a minute does so for all of
# them; their order, and that of the shapes, is shuffled by SEED.
in_rounds() {
    local call=$1 round shape words arm
    shift
    RANDOM=$SEED
    machine_ticks
    STEAL_BEFORE=$STEAL_TICKS STARTED=$SECONDS
    for ((round = 1; round <= ROUNDS; round++)); do
        shuffle "$@"
        for shape in "${SHUFFLED[@]}"; do
            read -ra words <<<"$shape"
            shuffle "${ARMS[@]}"
            for arm in "${SHUFFLED[@]}"; do "$call" "$round" "$arm" "${words[@]}"; done
        done
        note "round $round of $ROUNDS done"
    done
}

run_rounds() {
    local runs=$((ROUNDS * ${#SHAPES[@]} * ${#ARMS[@]}))
    note "$runs runs of $SECONDS_PER_RUN s, about $((runs * (SECONDS_PER_RUN * 10 + 9) / 600 + 1)) min; seed $SEED"
    FAILED_REQUESTS=0
    printf '%s\n' "$COLUMNS_OF_RUNS" >"$RUNS"
    in_rounds measure "${SHAPES[@]}"
}

# Leaves out the shapes that this ringload cannot make.
check_shapes() {
    local shape words kept=()
    for shape in "${SHAPES[@]}"; do
        read -ra words <<<"$shape"
        if ((words[2] > 0)) && ! knows "$RINGLOAD" --requests-per-connection; then
            skip "c=${words[0]}, ${words[2]} requests per connection" \
                "this ringload has no --requests-per-connection"
        else
            kept+=("$shape")
        fi
    done
    SHAPES=("${kept[@]}")
    ((${#SHAPES[@]} > 0)) || die "nothing is left to measure"
}

# --- The report ---------------------------------------------------------------------------------

describe_machine() {
    local vulnerability mitigations=()
    for vulnerability in /sys/devices/system/cpu/vulnerabilities/*; do
        [[ $(cat "$vulnerability" 2>/dev/null) != Mitigation* ]] || mitigations+=("${vulnerability##*/}")
    done
    local siblings=/sys/devices/system/cpu/cpu$SERVER_CORE/topology/thread_siblings_list shared='no'
    if [[ -r $siblings ]] && expand_list "$(<"$siblings")" | grep -qx "$LOAD_CORE"; then
        shared='yes: they are hyperthreads of one core'
    fi
    cat <<END
- Date: $(date -u '+%Y-%m-%d %H:%M UTC'); revision $(git -C "$IN_DIR" describe --always --dirty 2>/dev/null || echo unknown)
- CPU: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc --all) cores$(grep -qw hypervisor /proc/cpuinfo && echo ', virtual machine'); server on core $SERVER_CORE, load on core $LOAD_CORE; shared core: $shared
- Kernel: $(uname -srm); congestion control $(cat /proc/sys/net/ipv4/tcp_congestion_control 2>/dev/null || echo unknown); mitigations in force: ${mitigations[*]:-none}
END
}

# describe_rounds: the rest of what a reader must know before any figure.
describe_rounds() {
    machine_ticks
    local total=$(((SECONDS - STARTED) * TICKS_PER_SEC * $(nproc --all))) line
    printf -- '- Load: %s, one thread, over loopback\n' "$("$RINGLOAD" --version 2>/dev/null)"
    printf -- '- Runs: %s rounds of %s s, shuffled with seed %s, each against a freshly started server; steal %s of all CPU time\n' \
        "$ROUNDS" "$SECONDS_PER_RUN" "$SEED" \
        "$(awk -v s=$((STEAL_TICKS - STEAL_BEFORE)) -v t="$total" 'BEGIN { printf "%.2f %%", t ? 100 * s / t : 0 }')"
    for line in "${SKIPPED[@]}"; do printf -- '- Left out: %s\n' "$line"; done
    printf '\n'
}

# prepare_rounds NAME: what all such scripts do between their arguments and their runs. NAME is that
# of the report.
prepare_rounds() {
    choose_cores
    set_up_cleanup
    TICKS_PER_SEC=$(getconf CLK_TCK)
    RUNS=$TMP/runs.csv
    if [[ -n $OUTPUT ]]; then
        mkdir -p "$OUTPUT" || die "cannot make the folder $OUTPUT"
        # From the start, so that what was measured is there even if the end is not reached.
        RUNS=$OUTPUT/$1.csv
        : >"$RUNS" || die "cannot write to $OUTPUT"
    fi
    find_programs "$BIN_DIR"
    raise_open_files 20000
}

# finish_rounds NAME: prints $TMP/report.md, which is whole now, and keeps it.
finish_rounds() {
    cat "$TMP/report.md"
    if [[ -n $OUTPUT ]]; then
        cp "$TMP/report.md" "$OUTPUT/$1.md" || die "cannot write to $OUTPUT"
    fi
    ((FAILED_REQUESTS == 0)) || die "$FAILED_REQUESTS requests failed; see the column errors of the raw runs"
}

# tables NAME=VALUE...: the tables of the report, with these variables for arms.awk.
tables() {
    local variables=() pair
    for pair in "$@"; do variables+=(-v "$pair"); done
    awk -v seconds="$SECONDS_PER_RUN" -v arms="$(printf '%s;' "${ARMS[@]}")" "${variables[@]}" \
        -f "$IN_DIR/scripts/lib/stats.awk" -f "$IN_DIR/scripts/lib/arms.awk" "$RUNS"
}
