# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153,SC2154 # set here and read by the script that sources this, or the reverse
# The points of scale.sh's axes, and its servers. To be sourced after lib.sh, rounds.sh and peers.sh.

# Connections from one address of the load: past half of the kernel's range of local ports (28,232 by
# default) each connect searches for long.
CONNECTIONS_PER_SOURCE=8000
# A shard's table of files takes as many as the limit on open files says; filled to this share, because
# the kernel's hash does not deal connections out evenly.
TABLE_PERCENT=75
MOST_SHARDS_ON_A_CORE=64
# What both ends of a connection take of the machine's memory at most, in KiB, its buffers included.
CONNECTION_KB=24
# How many connections are opened in a millisecond while those that are open ask without a pause: 6 to 10
# were seen (docs/results/2026-11-27/connections.md).
OPENED_PER_MS=4
# What is left out once all are open.
WARM_MS=500

# points_of AXIS: sets VALUES, those of it that can be measured here; the others are told and left out.
points_of() {
    local value why
    VALUES=()
    case $1 in
    connections) set -- "$1" "${CONNECTIONS[@]}" ;;
    shards) set -- "$1" "${SHARD_COUNTS[@]}" ;;
    pipeline) set -- "$1" "${DEPTHS[@]}" ;;
    bytes) set -- "$1" "${SIZES[@]}" ;;
    esac
    for value in "${@:2}"; do
        why=$(why_not_point "$1" "$value")
        if [[ -n $why ]]; then
            skip "$1 $value" "$why"
        else
            VALUES+=("$value")
        fi
    done
}

# why_not_point AXIS VALUE: what on this machine forbids it; nothing if it can be measured.
why_not_point() {
    local free_kb
    case $1 in
    connections)
        if (($(shards_for "$2") > MOST_SHARDS_ON_A_CORE)); then
            printf 'the limit of %s open files would take %s shards and load threads (ulimit -Hn)' \
                "$FILE_LIMIT" "$(shards_for "$2")"
            return
        fi
        free_kb=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
        (($2 * CONNECTION_KB < free_kb / 2)) ||
            printf 'both ends of them may take %s MiB, and %s MiB are free' \
                "$(($2 * CONNECTION_KB / 1024))" "$((free_kb / 1024))"
        ;;
    shards)
        (($2 <= ${#ALL_CORES[@]})) || printf 'there are %s cores' "${#ALL_CORES[@]}"
        ;;
    esac
}

# How many tables of files hold so many connections.
shards_for() {
    local each=$((FILE_LIMIT * TABLE_PERCENT / 100))
    printf '%s' $((($1 + each - 1) / each))
}

# plan AXIS VALUE: sets what is run there: COUNT (connections), DEPTH, BODY_BYTES, REQUEST_PATH, SHARDS,
# LOAD_THREADS, SERVER_CORES and LOAD_CORES (lists with commas), SOURCE_FLAGS and RUN_MS.
plan() {
    COUNT=$AT DEPTH=1 BODY_BYTES=${#BODY} REQUEST_PATH=/ SHARDS=1 LOAD_THREADS=1
    SERVER_CORES=$SERVER_CORE LOAD_CORES=$LOAD_CORE SOURCE_FLAGS=()
    case $1 in
    connections)
        COUNT=$2
        SHARDS=$(shards_for "$2")
        LOAD_THREADS=$SHARDS
        ((COUNT <= CONNECTIONS_PER_SOURCE)) ||
            SOURCE_FLAGS=(--source "127.0.0.2-127.0.0.$((2 + COUNT / CONNECTIONS_PER_SOURCE))")
        ;;
    shards)
        COUNT=$((AT * ${#ALL_CORES[@]}))
        SHARDS=$2
        local server=("${ALL_CORES[@]:0:$2}") load=("${ALL_CORES[@]:$2}")
        # None left: the load shares the server's.
        ((${#load[@]} > 0)) || load=("${ALL_CORES[@]}")
        SERVER_CORES=$(join_with , "${server[@]}")
        LOAD_CORES=$(join_with , "${load[@]}")
        LOAD_THREADS=${#load[@]}
        ;;
    pipeline) DEPTH=$2 ;;
    bytes)
        BODY_BYTES=$2
        REQUEST_PATH=/bytes/$2
        ;;
    esac
    # Opening takes the longer the more are open, as these ask meanwhile; what is measured comes after it.
    RUN_MS=$((SECONDS_PER_RUN * 1000 + WARM_MS + COUNT / OPENED_PER_MS))
}

join_with() {
    local IFS=$1
    shift
    printf '%s' "$*"
}

# --- Servers ------------------------------------------------------------------------------------

# The files of the bodies, for a server that makes none.
make_bodies() {
    local bytes
    mkdir -p "$TMP/files/bytes" || die "cannot make a folder in $TMP"
    for bytes in "${SIZES[@]}"; do
        head -c "$bytes" /dev/zero | tr '\0' x >"$TMP/files/bytes/$bytes" || die "cannot write to $TMP"
    done
}

# why_not_there ARM AXIS VALUE: why the arm cannot be measured there; nothing if it can.
why_not_there() {
    case $1,$2 in
    ringserve,* | nginx,*) ;;
    *,bytes) printf 'it has no bodies to order' ;;
    # Its threads have one table of files, ours and nginx's workers one each.
    *,connections) (($(shards_for "$3") == 1)) || printf 'the limit of %s open files is that of its one process' "$FILE_LIMIT" ;;
    esac
}

# start_scale_arm ARM: as `plan` says. Sets SERVER_URL, SERVER_PID and SERVER_PIDS.
start_scale_arm() {
    case $1 in
    ringserve)
        start_ringserve "$TMP/server" taskset -c "$SERVER_CORES" \
            "$RINGSERVE" --listen 127.0.0.1:0 --shards "$SHARDS" --cores "$SERVER_CORES" || return 1
        SERVER_PIDS=("$SERVER_PID")
        ;;
    nginx) start_nginx_files ;;
    *) start_peer "$1" "$SERVER_CORES" "$SHARDS" ;;
    esac
}

start_nginx_files() {
    local tries port children
    for ((tries = 0; tries < 10; tries++)); do
        # None that an outgoing connection could have.
        port=$((20000 + RANDOM % 10000))
        ! answers_at "$port" || continue
        taskset -c "$SERVER_CORES" "$IN_DIR/scripts/suites/nginx-files.sh" --listen "127.0.0.1:$port" \
            --threads "$SHARDS" --files "$TMP/files" --prefix "$TMP/nginx" \
            </dev/null >"$TMP/server.out" 2>"$TMP/server.err" &
        SERVER_PID=$!
        OWN_PIDS+=("$SERVER_PID")
        SERVER_URL=http://127.0.0.1:$port
        ! wait_for_workers "$port" || return 0
        end_process "$SERVER_PID"
        grep -qi 'address.* in use' "$TMP/server.err" || break
    done
    note "$PROGRAM: nginx did not start:"
    sed 's/^/    /' "$TMP/server.err" >&2
    return 1
}

# Until the port answers and all workers are there. Sets SERVER_PIDS.
wait_for_workers() {
    local tries children
    for ((tries = 0; tries < 200; tries++)); do
        kill -0 "$SERVER_PID" 2>/dev/null || return 1
        read -ra children < <(cat "/proc/$SERVER_PID/task/$SERVER_PID/children" 2>/dev/null)
        if ((${#children[@]} == SHARDS)) && answers_at "$1"; then
            SERVER_PIDS=("$SERVER_PID" "${children[@]}")
            return 0
        fi
        sleep 0.05
    done
    return 1
}

# --- What is seen beside the load ---------------------------------------------------------------

# core_ticks CORES: sets ALL_TICKS and SOFTIRQ_TICKS of these, since boot.
core_ticks() {
    local name user nice system idle wait irq softirq steal
    ALL_TICKS=0 SOFTIRQ_TICKS=0
    while read -r name user nice system idle wait irq softirq steal _; do
        [[ $name =~ ^cpu[0-9]+$ && ",$1," == *",${name#cpu},"* ]] || continue
        ALL_TICKS=$((ALL_TICKS + user + nice + system + idle + wait + irq + softirq + steal))
        SOFTIRQ_TICKS=$((SOFTIRQ_TICKS + softirq))
    done </proc/stat
}

# Sets SLAB_KB, what the kernel's slabs have; its sockets are in them.
slab_kb() { SLAB_KB=$(sed -n 's/^Slab: *\([0-9]*\) kB/\1/p' /proc/meminfo); }

# pss_kb PID...: sets PSS_KB, the memory of these with what they share split among those who share it.
pss_kb() {
    local pid name value
    PSS_KB=0
    for pid in "$@"; do
        while read -r name value _; do
            [[ $name != Pss: ]] || PSS_KB=$((PSS_KB + value))
        done <"/proc/$pid/smaps_rollup"
    done 2>/dev/null
}

# watch_server FILE: while a load of RUN_MS goes on, in the background: looks at memory and soft interrupts
# in the part of it that counts, and leaves "softirq_share pss_bytes slab_kb" in the file.
watch_server() {
    local length=$((SECONDS_PER_RUN * 1000)) before_all before_softirq
    # Up to shortly before the end, in case the load began sooner than this did.
    sleep_ms $((RUN_MS - length * 9 / 10))
    core_ticks "$SERVER_CORES"
    before_all=$ALL_TICKS before_softirq=$SOFTIRQ_TICKS
    sleep_ms $((length * 4 / 10))
    pss_kb "${SERVER_PIDS[@]}"
    slab_kb
    sleep_ms $((length * 4 / 10))
    core_ticks "$SERVER_CORES"
    awk -v softirq=$((SOFTIRQ_TICKS - before_softirq)) -v all=$((ALL_TICKS - before_all)) -v pss="$PSS_KB" \
        -v slab="$SLAB_KB" 'BEGIN { printf "%.4f %d %d\n", all ? softirq / all : 0, pss * 1024, slab }' >"$1"
}

sleep_ms() { sleep "$(($1 / 1000)).$(printf '%03d' $(($1 % 1000)))"; }
