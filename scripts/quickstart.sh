#!/usr/bin/env bash
# Builds ringserve and ringload, lets one drive the other on this machine, and prints a table.
# Needs a Rust toolchain and nothing else; no root. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CONNECTIONS=(10 100 1000)

usage() {
    cat <<END
Usage: scripts/quickstart.sh [--seconds N] [--bin-dir DIR]

Builds ringserve and ringload, starts the server on a free port of 127.0.0.1, drives it with
${CONNECTIONS[*]} connections in turn, prints one table and stops the server.

  --seconds N     how long each of the runs takes (default 3)
  --bin-dir DIR   take ringserve and ringload from DIR instead of building them
  -h, --help      print this

Exit codes: 0 all went well and no request failed, 1 something did not, 2 bad arguments.
END
}

parse_arguments() {
    SECONDS_PER_RUN=3
    BIN_DIR=
    while (($# > 0)); do
        case $1 in
        --seconds)
            want_count "$1" "${2-}" 3600
            SECONDS_PER_RUN=$2
            shift
            ;;
        --bin-dir)
            want_folder "$1" "${2-}" && BIN_DIR=$2
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die_usage "unknown argument '$1'" ;;
        esac
        shift
    done
}

# Server and load on a core each, where there are two: else they take turns on one, and the figures
# tell as much about the scheduler as about the programs.
choose_cores() {
    local cores
    mapfile -t cores < <(allowed_cores)
    if ((${#cores[@]} >= 2)); then
        SERVER_PLACE=(--shards 1 --cores "${cores[0]}")
        LOAD_PLACE=(-t 1 --cores "${cores[1]}")
        PLACE_NOTE="Server: one shard on core ${cores[0]}; load: one shard on core ${cores[1]}."
    else
        SERVER_PLACE=(--shards 1)
        LOAD_PLACE=(-t 1)
        PLACE_NOTE="Only one core here: server and load take turns on it, so the figures are low."
    fi
}

# measure CONNECTIONS: one run; appends its row to $TMP/rows, and what ringload warns of to WARNINGS.
measure() {
    local connections=$1 before
    cpu_ns "$SERVER_PID"
    before=$CPU_NS
    if ! run_load "$TMP/load.json" "$TMP/load.err" "$RINGLOAD" -c "$connections" \
        "${LOAD_PLACE[@]}" -d "${SECONDS_PER_RUN}s" --format json "$SERVER_URL/"; then
        note "$PROGRAM: ringload failed with $connections connections:"
        sed 's/^/    /' "$TMP/load.err" >&2
        return 1
    fi
    settle "$SERVER_PID"
    read_report json.awk "$TMP/load.json" || {
        note "$PROGRAM: cannot read ringload's report:"
        sed 's/^/    /' "$TMP/load.json" >&2
        return 1
    }
    printf '%s\t' "$connections" "${REPORT[requests]}" "${REPORT[requests_per_sec]}" \
        "${REPORT[latency_us.p50]}" "${REPORT[latency_us.p99]}" "${REPORT[latency_us.max]}" \
        "${REPORT[transfer_bytes_per_sec]}" "${REPORT[errors]}" "$((CPU_NS - before))" >>"$TMP/rows"
    printf '%s\n' "$LOAD_CPU_US" >>"$TMP/rows"
    ERRORS=$((ERRORS + REPORT[errors]))
    local name
    for name in "${!REPORT[@]}"; do
        [[ $name != warnings.* ]] || WARNINGS+=("Warning, with $connections connections: ${REPORT[$name]}")
    done
}

print_table() {
    awk -F '\t' '
        function time(us) {
            if (us < 1000) return sprintf("%.0f us", us)
            if (us < 1000000) return sprintf("%.2f ms", us / 1000)
            return sprintf("%.2f s", us / 1000000)
        }
        # The kernel may keep no run times; a zero would be taken for a figure.
        function per_request(us) { return us > 0 && $2 > 0 ? sprintf("%.2f us", us / $2) : "-" }
        BEGIN {
            row = "%11s  %12s  %9s  %9s  %9s  %12s  %6s  %11s  %11s\n"
            printf row, "", "", "", "", "", "", "", "server CPU", "load CPU"
            printf row, "connections", "requests/s", "p50", "p99", "max", "transfer/s", "errors", \
                "per request", "per request"
        }
        {
            printf row, $1, sprintf("%.0f", $3), time($4), time($5), time($6), \
                sprintf("%.2f MiB", $7 / 1048576), $8, per_request($9 / 1000), per_request($10)
        }' "$TMP/rows"
}

main() {
    local connections
    parse_arguments "$@"
    set_up_cleanup
    find_programs "$BIN_DIR"
    raise_open_files 8192
    choose_cores
    start_ringserve "$TMP/server" "$RINGSERVE" --listen 127.0.0.1:0 "${SERVER_PLACE[@]}" || exit 1
    note "ringserve answers on $SERVER_URL. $PLACE_NOTE"
    ERRORS=0 WARNINGS=()
    for connections in "${CONNECTIONS[@]}"; do
        note "GET / with $connections connections for $SECONDS_PER_RUN s..."
        measure "$connections" || {
            sed 's/^/    ringserve: /' "$TMP/server.err" >&2
            exit 1
        }
    done
    end_process "$SERVER_PID" || die "ringserve did not stop cleanly: $(tail -n 3 "$TMP/server.err")"
    printf '\n'
    print_table
    printf '\n'
    printf '%s\n' "$PLACE_NOTE" \
        "Latency is measured from handing a request to the kernel to its complete response (closed loop)." \
        "CPU per request is scheduler run time: it holds where throughput is shaken by a noisy neighbour."
    ((${#WARNINGS[@]} == 0)) || printf '%s\n' "${WARNINGS[@]}"
    ((ERRORS == 0)) || die "$ERRORS requests failed; the figures above are not to be trusted"
}

main "$@"
