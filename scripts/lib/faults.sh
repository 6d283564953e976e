# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153,SC2154 # set here and read by faults.sh, or the reverse
# What the cases of faults.sh are made of: a server, loads in the background, counts of both sides, and
# a report. To be sourced after lib.sh and rounds.sh.

# --- Cases and their report ---------------------------------------------------------------------

FAILED_CASES=0

# Runs CASES one after the other; $TMP/faults.md and $TMP/faults.csv afterwards.
run_cases() {
    local status
    {
        printf '# What was done to ringserve, and what it did\n\n'
        describe_machine
        printf -- '- Server: %s %s; load: %s; over loopback\n' "$("$RINGSERVE" --version)" "${ENGINE[*]}" \
            "$("$RINGLOAD" --version)"
    } | tee "$TMP/faults.md"
    printf 'case,name,value\n' >"$TMP/faults.csv"
    printf 'case,ms,rss_kib\n' >"$TMP/faults-rss.csv"
    for CASE in "${CASES[@]}"; do
        say "
## $CASE
"
        CASE_FAILED=0 CASE_SKIPPED='' LISTEN=127.0.0.1:0 OPEN_FILES=''
        status=0
        "try_${CASE//-/_}" || status=$?
        end_leftovers
        conclude "$status"
    done
}

say() { printf '%s\n' "$1" | tee -a "$TMP/faults.md"; }

# fact NAME VALUE: something that was seen.
fact() {
    say "- $1: $2"
    printf '%s,"%s","%s"\n' "$CASE" "$1" "$2" >>"$TMP/faults.csv"
}

# expect WHAT TRUE: something that must be, 0 if it is not.
expect() {
    if (($2)); then
        say "- ok: $1"
    else
        say "- **failed**: $1"
        CASE_FAILED=1
    fi
}

skip_case() { CASE_SKIPPED=$1; }

conclude() {
    local verdict=passed
    if [[ -n $CASE_SKIPPED ]]; then
        verdict="not tried: $CASE_SKIPPED"
    elif ((CASE_FAILED || $1)); then
        verdict=FAILED
        FAILED_CASES=$((FAILED_CASES + 1))
    fi
    say "
$CASE: $verdict"
    printf '%s,verdict,"%s"\n' "$CASE" "$verdict" >>"$TMP/faults.csv"
}

# A case that stopped half-way leaves its processes.
end_leftovers() {
    local pid
    for pid in "${OWN_PIDS[@]}"; do end_process "$pid"; done
}

# --- The server ---------------------------------------------------------------------------------

# start_server FLAGS...: on LISTEN, with OPEN_FILES as its limit of descriptors if that is set. Sets
# SERVER_PID, SERVER_URL, SERVER_PORT and SERVER_LOG. Skips the case if the flags are not known.
SERVERS=0
start_server() {
    local word command=(taskset -c "$SERVER_CORE" "$RINGSERVE")
    for word in "$@"; do
        if [[ $word == --* ]] && ! knows "$RINGSERVE" "$word"; then
            skip_case "this ringserve does not know $word"
            return 1
        fi
    done
    [[ -z $OPEN_FILES ]] || command=(prlimit --nofile="$OPEN_FILES:$OPEN_FILES" "${command[@]}")
    SERVERS=$((SERVERS + 1))
    SERVER_LOG=$TMP/server$SERVERS
    start_ringserve "$SERVER_LOG" "${command[@]}" --listen "$LISTEN" --shards 1 --cores "$SERVER_CORE" \
        "${ENGINE[@]}" "$@" || return 1
    SERVER_PORT=${SERVER_URL##*:}
    # What ringload sends: request line, Host and an empty line.
    local request
    printf -v request 'GET / HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n\r\n' "$SERVER_PORT"
    REQUEST_BYTES=${#request}
}

# Sees to it that the server stops cleanly, and reads its account: ANSWERED.
stop_server() {
    local status=0 line
    end_process "$SERVER_PID" || status=$?
    expect "the server stops with code 0" $((status == 0))
    line=$(grep 'stopped after' "$SERVER_LOG.err")
    ANSWERED=0
    if [[ $line =~ stopped\ after\ ([0-9]+)\ request ]]; then
        ANSWERED=${BASH_REMATCH[1]}
    else
        expect "the server says how many requests it answered: $(tail -n 3 "$SERVER_LOG.err")" 0
    fi
    say "- server: ${line#ringserve: }"
}

# asks_for PATH: whether the server answers that with 200.
asks_for() {
    local line='' connection
    exec {connection}<>"/dev/tcp/127.0.0.1/$SERVER_PORT" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n' "$1" >&"$connection"
    read -r -t 5 line <&"$connection"
    exec {connection}>&-
    [[ $line == 'HTTP/1.1 200 '* ]]
}

# --- Loads --------------------------------------------------------------------------------------

# start_load NAME OPTIONS...: ringload in the background, against the server. Sets LOAD_PID.
start_load() {
    local name=$1
    shift
    taskset -c "$LOAD_CORE" "$RINGLOAD" -t 1 --cores "$LOAD_CORE" --format json "$@" "$SERVER_URL/" \
        </dev/null >"$TMP/$name.json" 2>"$TMP/$name.err" &
    LOAD_PID=$!
    OWN_PIDS+=("$LOAD_PID")
}

# read_load NAME: its report, in REPORT. One that cannot be read is a failure, with zeros.
read_load() {
    read_report json.awk "$TMP/$1.json" && return
    sed 's/^/    /' "$TMP/$1.err" >&2
    expect "ringload's report ($1) can be read: $(head -n 1 "$TMP/$1.err")" 0
    REPORT=([requests]=0 [errors]=1 [errors.read]=0 [errors.write]=0 [errors.timeout]=0 [errors.status]=0 [bytes_written]=0 [reconnects]=0
        [connections.peak]=0 [unanswered.count]=0 [latency_us.max]=0 [latency_us.p99]=0 [requests_per_sec]=0)
}

run_checked_load() {
    start_load "$@"
    wait_for_end "$LOAD_PID" 60
    read_load "$1"
}

errors_by_kind() {
    local name
    for name in "${!REPORT[@]}"; do
        [[ $name != errors.* && $name != status.* ]] || printf '%s %s, ' "$name" "${REPORT[$name]}"
    done | tr '\n' ' ' | sed 's/, $//'
}

# --- Waiting, always with a deadline ------------------------------------------------------------

# wait_until SECONDS COMMAND...: until the command succeeds.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS <= deadline)) || return 1
        sleep 0.02
    done
}

# wait_for_end PID SECONDS: a process of ours that is to end by itself; killed if it does not.
wait_for_end() {
    if ! wait_until "$2" is_gone "$1"; then
        expect "process $1 ends by itself within $2 s" 0
    fi
    end_process "$1" || true
}

# A process that has ended but was not waited for yet is as good as gone.
is_gone() {
    local state
    { read -r _ _ state _ <"/proc/$1/stat"; } 2>/dev/null || return 0
    [[ $state == Z ]]
}

# wait_for_cpu PID US: until it has used so much more CPU time, that is, is well under load. 10 s at
# most.
wait_for_cpu() {
    cpu_ns "$1"
    CPU_GOAL=$((CPU_NS + $2 * 1000))
    wait_until 10 has_used "$1"
}

has_used() {
    cpu_ns "$1"
    ((CPU_NS >= CPU_GOAL))
}

# wait_for_sockets PORT OPERATOR COUNT SECONDS: until the server's sockets are that many.
wait_for_sockets() { wait_until "$4" sockets_are "$1" "$2" "$3"; }

sockets_are() {
    count_sockets "$1"
    test "$((ESTABLISHED + CLOSING))" "$2" "$3"
}

# --- What the kernel knows ----------------------------------------------------------------------

# count_sockets PORT: sets ESTABLISHED and CLOSING, of those whose own port that is. TIME_WAIT is no
# socket any more, and whoever closes first has it.
count_sockets() {
    read -r ESTABLISHED CLOSING < <(
        awk -v port=":$(printf '%04X' "$1")" '
            substr($2, length($2) - 4) == port {
                if ($4 == "01") established++
                else if ($4 != "0A" && $4 != "06") closing++
            }
            END { print established + 0, closing + 0 }' /proc/net/tcp
    )
}

rss_kib() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$1/status"; }

descriptors() {
    local all=("/proc/$1/fd/"*)
    printf '%s' "${#all[@]}"
}

tcp_memory_mib() { awk '$1 == "TCP:" { print int($11 * 4096 / 1048576) }' /proc/net/sockstat; }

# sample_rss PID WHILE_PID CASE: the first's resident memory, five times a second for as long as the
# second runs. Sets RSS_SAMPLES, RSS_MOST and, of the last nine tenths, RSS_SETTLED (the first) and
# RSS_MOST_SETTLED.
sample_rss() {
    local started=${EPOCHREALTIME/./} samples=() rss
    while ! is_gone "$2"; do
        rss=$(rss_kib "$1")
        [[ -n $rss ]] || break
        samples+=("$rss")
        printf '%s,%s,%s\n' "$3" $(((${EPOCHREALTIME/./} - started) / 1000)) "$rss" >>"$TMP/faults-rss.csv"
        sleep 0.2
    done
    RSS_SAMPLES=${#samples[@]}
    RSS_SETTLED=${samples[RSS_SAMPLES / 10]-0}
    RSS_MOST=$(printf '%s\n' "${samples[@]}" | sort -n | tail -n 1)
    RSS_MOST_SETTLED=$(printf '%s\n' "${samples[@]:RSS_SAMPLES / 10}" | sort -n | tail -n 1)
}
