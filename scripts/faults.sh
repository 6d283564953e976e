#!/usr/bin/env bash
# Does to ringserve what happens to servers: clients that die or dawdle, descriptors that run out,
# restarts under load, long runs. Each case ends by itself and says what it saw. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib/rounds.sh
. "$IN_DIR/scripts/lib/rounds.sh"
# shellcheck source=scripts/lib/faults.sh
. "$IN_DIR/scripts/lib/faults.sh"

ALL_CASES=(kill-client fd-limit max-connections sigterm hot-restart slow-clients million-requests)

usage() {
    cat <<END
Usage: scripts/faults.sh [OPTIONS] CASE...

Starts ringserve on a free port of 127.0.0.1 for each case, and prints a report in Markdown with the
numbers of both sides and a verdict. Cases, or \`all\`:

  kill-client       kill -9 of a client with 10,000 connections: all are freed, service goes on
  fd-limit          more connections than file descriptors: accepting pauses and resumes, connections
                    that are there are served
  max-connections   the same for --max-connections
  sigterm           SIGTERM under load: as many requests answered as sent and as received
  hot-restart       three new servers in turn take over the port under load: no request fails
  slow-clients      5,000 clients that send a byte a second and 5,000 that never read their answers,
                    beside a well-behaved load (needs python3)
  million-requests  24 million requests: resident memory stays flat

  --engine NAME     the engine of ringserve (default: its own)
  --connections N   of kill-client, and of slow-clients in all (default 10000)
  --millions N      millions of requests of million-requests (default 24)
  --seconds S       length of the measured loads of slow-clients (default 5)
  --server-core N   core of the server (default: the first that this process may use)
  --load-core N     core of the load generator (default: the second)
  --output DIR      also write DIR/faults.md, DIR/faults.csv and DIR/faults-rss.csv
  --bin-dir DIR     take ringserve and ringload from DIR instead of building them
  -h, --help        print this

Exit codes: 0 all passed or could not be tried with this ringserve, 1 a case failed, 2 bad arguments.
END
}

parse_arguments() {
    set_round_defaults
    SECONDS_PER_RUN=5 MILLIONS=24 CROWD=10000 ENGINE=() CASES=()
    local name
    while (($# > 0)); do
        case $1 in
        --seconds | --server-core | --load-core | --output | --bin-dir | -h | --help)
            take_round_option "$@"
            shift "$TAKEN"
            continue
            ;;
        --engine | --connections | --millions) (($# > 1)) || die_usage "$1 needs a value" ;;
        -*) die_usage "unknown argument '$1'" ;;
        esac
        case $1 in
        --engine) ENGINE=(--engine "$2") && shift ;;
        --connections) want_count "$1" "$2" 15000 && CROWD=$2 && shift ;;
        --millions) want_count "$1" "$2" 100000 && MILLIONS=$2 && shift ;;
        all) CASES+=("${ALL_CASES[@]}") ;;
        *) CASES+=("$1") ;;
        esac
        shift
    done
    ((${#CASES[@]} > 0)) || die_usage "no case given (${ALL_CASES[*]}, or all)"
    for name in "${CASES[@]}"; do
        [[ " ${ALL_CASES[*]} " == *" $name "* ]] || die_usage "no such case: '$name' (${ALL_CASES[*]}, or all)"
    done
}

# --- A client that dies -------------------------------------------------------------------------

try_kill_client() {
    # Hardly more room than one such client needs: whatever is not freed is missed by the next.
    start_server --max-connections $((CROWD + 200)) || return 1
    local rss
    rss=$(rss_kib "$SERVER_PID")
    start_load crowd -c "$CROWD" -d 60s
    wait_for_sockets "$SERVER_PORT" -ge "$CROWD" 30 || {
        expect "the client opens $CROWD connections within 30 s" 0
        return
    }
    fact 'connections at the kill' "$ESTABLISHED"
    fact 'resident memory before and with them, KiB' "$rss, $(rss_kib "$SERVER_PID")"
    kill -s KILL "$LOAD_PID"
    wait "$LOAD_PID" 2>/dev/null
    forget_process "$LOAD_PID"
    local started=${EPOCHREALTIME/./}
    wait_for_sockets "$SERVER_PORT" -eq 0 10
    fact 'sockets of the server left, ms after the client was gone' \
        "$((ESTABLISHED + CLOSING)), $(((${EPOCHREALTIME/./} - started) / 1000))"
    expect 'the server frees every connection within 10 s' $((ESTABLISHED + CLOSING == 0))
    run_checked_load after -c 64 -d 2s
    expect 'a load of 64 connections is served without an error' $((REPORT[errors] == 0))
    run_checked_load again -c "$CROWD" -d 5s
    fact 'connections of a second client at its peak' "${REPORT[connections.peak]}"
    expect "a second client gets $CROWD connections without an error" \
        $((REPORT[errors] == 0 && ${REPORT[connections.peak]} == CROWD))
    stop_server
}

# --- More connections than there is room for ----------------------------------------------------

try_fd_limit() {
    OPEN_FILES=256
    start_server --no-direct-descriptors || return 1
    OPEN_FILES=
    crowd_out
}

try_max_connections() {
    start_server --max-connections 200 || return 1
    crowd_out
}

# Room for some 200: 100 connections that are there before, 300 that are too many, and 64 after them.
crowd_out() {
    start_load steady -c 100 -d 12s
    local steady=$LOAD_PID
    wait_for_sockets "$SERVER_PORT" -ge 100 5
    start_load many -c 300 -d 3s -T 1s
    wait_for_sockets "$SERVER_PORT" -ge 200 3
    fact 'descriptors of the server under pressure' "$(descriptors "$SERVER_PID")"
    wait_for_end "$LOAD_PID" 30
    read_load many
    fact 'of 300 connections too many: requests, errors' "${REPORT[requests]}, ${REPORT[errors]}"
    fact 'their errors by kind' "$(errors_by_kind)"
    expect 'the limit was reached' $((REPORT[errors] > 0))
    expect 'those that got in were served' $((REPORT[requests] > 0))
    wait_for_sockets "$SERVER_PORT" -le 100 5
    expect 'the 300 are gone when their client is' $((ESTABLISHED + CLOSING <= 100))
    run_checked_load after -c 64 -d 2s
    fact 'of 64 connections afterwards: requests, errors' "${REPORT[requests]}, ${REPORT[errors]}"
    expect 'accepting has resumed' $((REPORT[errors] == 0 && ${REPORT[connections.peak]} == 64))
    wait_for_end "$steady" 30
    read_load steady
    fact 'of the 100 connections that were there before: requests, errors, longest answer in ms' \
        "${REPORT[requests]}, ${REPORT[errors]}, $((${REPORT[latency_us.max]%.*} / 1000))"
    expect 'connections that were there noticed nothing' $((REPORT[errors] == 0))
    stop_server
}

# --- A server that is told to stop --------------------------------------------------------------

# Closed loop, so every request that was sent is answered or lost: three counts must be the same.
try_sigterm() {
    local round pipeline sent
    for round in 1 2 3; do
        for pipeline in 1 16; do
            start_server || return 1
            start_load stop -c 64 -p "$pipeline" -d 3s
            wait_for_cpu "$SERVER_PID" 300000
            local started=${EPOCHREALTIME/./}
            # One SIGTERM: a second would drop what is left.
            stop_server
            fact "x$pipeline, round $round: ms to stop" $(((${EPOCHREALTIME/./} - started) / 1000))
            wait_for_end "$LOAD_PID" 30
            read_load stop
            sent=$((REPORT[bytes_written] / REQUEST_BYTES))
            fact "x$pipeline, round $round: requests sent, answered by the server, answers received" \
                "$sent, $ANSWERED, ${REPORT[requests]}"
            fact "x$pipeline, round $round: connections that broke, other errors" \
                "$((${REPORT[errors.read]} + ${REPORT[errors.write]})), $((${REPORT[errors.timeout]} + ${REPORT[errors.status]}))"
            expect "x$pipeline, round $round: none is lost, no connection breaks" \
                $((ANSWERED == REPORT[requests] && sent == ANSWERED && ${REPORT[errors.read]} == 0 && ${REPORT[errors.write]} == 0))
        done
    done
}

# SO_REUSEPORT: the new server listens beside the old one before that is told to stop.
try_hot_restart() {
    local restart old=() answered=0
    start_server --reuse-port || return 1
    start_load over -c 64 -d 8s
    for restart in 1 2 3; do
        wait_for_cpu "$SERVER_PID" 300000
        old=("$SERVER_PID" "$SERVER_LOG")
        LISTEN=127.0.0.1:$SERVER_PORT start_server --reuse-port || return 1
        local new=("$SERVER_PID" "$SERVER_LOG")
        SERVER_PID=${old[0]} SERVER_LOG=${old[1]}
        stop_server
        answered=$((answered + ANSWERED))
        fact "server $restart: requests answered when it had stopped" "$ANSWERED"
        SERVER_PID=${new[0]} SERVER_LOG=${new[1]}
    done
    wait_for_end "$LOAD_PID" 30
    read_load over
    stop_server
    answered=$((answered + ANSWERED))
    fact 'the last server: requests answered' "$ANSWERED"
    fact 'requests answered by the servers, answers received, unanswered when the load ended' \
        "$answered, ${REPORT[requests]}, ${REPORT[unanswered.count]}"
    fact 'errors, reconnects of the client' "${REPORT[errors]}, ${REPORT[reconnects]}"
    fact 'their kinds' "$(errors_by_kind)"
    fact 'net.ipv4.tcp_migrate_req' "$(cat /proc/sys/net/ipv4/tcp_migrate_req 2>/dev/null)"
    expect 'no request failed' $((REPORT[errors] == 0))
    expect 'every answer arrived' \
        $((answered >= REPORT[requests] && answered <= REPORT[requests] + ${REPORT[unanswered.count]}))
    expect 'every connection changed servers three times' $((REPORT[reconnects] >= 3 * 64))
}

# --- Clients that dawdle ------------------------------------------------------------------------

BIG_PATH=/bytes/10000000

try_slow_clients() {
    local deadline_s=10 half=$((CROWD / 2)) before client rss_before rss_most kind most
    command -v python3 >/dev/null || {
        skip_case 'needs python3'
        return
    }
    start_server --header-timeout "${deadline_s}s" --send-timeout "${deadline_s}s" || return 1
    asks_for "$BIG_PATH" || {
        skip_case "this ringserve has no $BIG_PATH"
        end_process "$SERVER_PID"
        return
    }
    run_checked_load alone -c 64 -d "${SECONDS_PER_RUN}s"
    before=${REPORT[latency_us.p99]}
    fact 'load average' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
    fact 'well-behaved load alone: requests/s, p99 us' "${REPORT[requests_per_sec]}, $before"
    rss_before=$(rss_kib "$SERVER_PID")
    : >"$TMP/slow.out" # it is read below, maybe before the shell has opened it for the client
    # Nice, because it shares the load generator's core, and must not add to its latencies.
    nice -n 19 taskset -c "$LOAD_CORE" python3 "$IN_DIR/scripts/faults/slow_clients.py" \
        --senders "$half" --readers "$half" --path "$BIG_PATH" --seconds $((deadline_s * 4)) "127.0.0.1:$SERVER_PORT" \
        </dev/null >"$TMP/slow.out" 2>"$TMP/slow.err" &
    client=$!
    OWN_PIDS+=("$client")
    wait_until 30 grep -q ready "$TMP/slow.out" || {
        sed 's/^/    /' "$TMP/slow.err" >&2
        expect "$CROWD slow clients connect within 30 s" 0
        return
    }
    start_load beside -c 64 -d "${SECONDS_PER_RUN}s"
    sample_rss "$SERVER_PID" "$LOAD_PID" slow-clients
    rss_most=$RSS_MOST
    count_sockets "$SERVER_PORT"
    fact 'connections when the measured load ended' "$ESTABLISHED"
    fact 'kernel memory of all TCP sockets then, MiB' "$(tcp_memory_mib)"
    wait_for_end "$LOAD_PID" 30
    read_load beside
    fact 'well-behaved load beside them: requests/s, p99 us, longest answer in ms, errors' \
        "${REPORT[requests_per_sec]}, ${REPORT[latency_us.p99]}, $((${REPORT[latency_us.max]%.*} / 1000)), ${REPORT[errors]}"
    ((REPORT[errors] == 0)) || fact 'their kinds' "$(errors_by_kind)"
    expect 'its p99 is within twice that of before, without an error' \
        "$(awk -v a="$before" -v b="${REPORT[latency_us.p99]}" -v e="${REPORT[errors]}" 'BEGIN { print (b <= 2 * a && e == 0) }')"
    wait_for_end "$client" $((deadline_s * 5))
    while read -r kind REPLY; do fact "slow clients: $kind" "$REPLY"; done < <(grep -v ready "$TMP/slow.out")
    # A send may have moved a little when its deadline comes, and then has another one.
    most=$((3 * deadline_s))
    if resets_readers; then
        expect "every slow client has seen its end within $most s" "$(awk -v half="$half" -v most="$most" '
            $1 ~ /\.closed$/ { closed += $2 == half }
            $1 ~ /\.closed_after_s\.max$/ { in_time += $2 <= most }
            END { print closed == 2 && in_time == 2 }' "$TMP/slow.out")"
    else
        fact 'not expected' 'that readers see their end: a ring sets SO_LINGER since Linux 6.7'
    fi
    wait_for_sockets "$SERVER_PORT" -eq 0 $((deadline_s * 2))
    fact 'sockets of the server left' "$ESTABLISHED established, $CLOSING closing"
    expect 'every slow client is closed by its deadline' $((ESTABLISHED + CLOSING == 0))
    fact 'resident memory before, at most, afterwards, KiB' "$rss_before, $rss_most, $(rss_kib "$SERVER_PID")"
    fact 'resident memory per slow client, KiB' "$(awk -v d=$((rss_most - rss_before)) -v n="$CROWD" 'BEGIN { printf "%.1f", d / n }')"
    # A client that reads nothing may cost 256 KiB (README.md), one that sends a head slowly next to
    # nothing; there are as many of the one as of the other.
    expect 'resident memory grows by at most 128 KiB per slow client' $((rss_most - rss_before <= 128 * CROWD))
    stop_server
}

# Whether a reader, which sees no end behind what it does not read, is told by a reset.
resets_readers() {
    [[ $(printf '6.7\n%s\n' "$(uname -r)" | sort -V | head -n 1) == 6.7 || ${ENGINE[1]-uring} != uring ]]
}

# --- Long runs ----------------------------------------------------------------------------------

try_million_requests() {
    start_server || return 1
    start_load long -c 64 -p 16 -n "${MILLIONS}000000"
    sample_rss "$SERVER_PID" "$LOAD_PID" million-requests
    wait_for_end "$LOAD_PID" 30
    read_load long
    fact 'requests answered, errors' "${REPORT[requests]}, ${REPORT[errors]}"
    expect "$MILLIONS million requests are answered without an error" \
        $((REPORT[requests] == MILLIONS * 1000000 && REPORT[errors] == 0))
    fact 'resident memory after a tenth of the time, at most since then, at the end, KiB' \
        "$RSS_SETTLED, $RSS_MOST_SETTLED, $(rss_kib "$SERVER_PID")"
    fact 'samples' "$RSS_SAMPLES"
    expect 'resident memory grows by at most 1 MiB after the first tenth' $((RSS_MOST_SETTLED - RSS_SETTLED <= 1024))
    stop_server
    fact 'requests answered by the server' "$ANSWERED"
    expect 'both sides counted the same' $((ANSWERED == REPORT[requests]))
}

main() {
    parse_arguments "$@"
    choose_cores
    set_up_cleanup
    if [[ -n $OUTPUT ]]; then
        mkdir -p "$OUTPUT" || die "cannot make the folder $OUTPUT"
    fi
    find_programs "$BIN_DIR"
    raise_open_files 20000
    run_cases
    if [[ -n $OUTPUT ]]; then
        cp "$TMP/faults.md" "$TMP/faults.csv" "$TMP/faults-rss.csv" "$OUTPUT/" || die "cannot write to $OUTPUT"
    fi
    ((FAILED_CASES == 0)) || die "$FAILED_CASES of ${#CASES[@]} cases failed"
}

main "$@"
