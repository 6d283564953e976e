#!/usr/bin/env bash
# Stops ringserve for a second in the middle of runs of ringload and draws what each kind of run tells
# of it: the plot in docs/coordinated-omission.md. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib/rounds.sh
. "$IN_DIR/scripts/lib/rounds.sh"

usage() {
    cat <<END
Usage: scripts/omission.sh [OPTIONS]

Loads ringserve in an open and in a closed loop, stops it (SIGSTOP) for a tenth of each run, and draws
latencies by percentile: response and service times of the open loop, latencies of the closed loop as
they are and corrected. Needs python3. Writes omission.svg, and the two reports as JSON beside it.

  --seconds S           length of one run (default 10)
  --rate N              of the open loop, per second (default 1000)
  --connections N       connections (default 4)
  --output DIR          where to (default docs/img; the reports only if this is given)
  --bin-dir DIR         take ringserve and ringload from DIR instead of building them
  -h, --help            print this

Exit codes: 0 drawn, 1 it could not be done, 2 bad arguments.
END
}

parse_arguments() {
    LENGTH=10 RATE=1000 COUNT=4 OUTPUT='' BIN_DIR='' SERVER_CORE='' LOAD_CORE=''
    local option
    while (($# > 0)); do
        option=$1
        case $option in
        --seconds | --rate | --connections | --output | --bin-dir)
            (($# > 1)) || die_usage "$option needs a value"
            shift
            ;;
        esac
        case $option in
        --seconds) want_count "$option" "$1" 600 && LENGTH=$1 ;;
        --rate) want_count "$option" "$1" 100000 && RATE=$1 ;;
        --connections) want_count "$option" "$1" 10000 && COUNT=$1 ;;
        --output) OUTPUT=$1 ;;
        --bin-dir) want_folder "$option" "$1" && BIN_DIR=$1 ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die_usage "unknown argument '$option'" ;;
        esac
        shift
    done
}

# load REPORT SECONDS [FLAG...]: a run of ringload.
load() {
    local report=$1 seconds=$2
    shift 2
    run_load "$TMP/load.out" "$TMP/load.err" taskset -c "$LOAD_CORE" "$RINGLOAD" -t 1 --cores "$LOAD_CORE" \
        --no-observe -c "$COUNT" -d "${seconds}s" --json "$report" "$@" "$SERVER_URL/" || {
        sed 's/^/    /' "$TMP/load.out" "$TMP/load.err" >&2
        die "ringload failed"
    }
}

# The same with the server stopped for a tenth of the run, from 4/10 of it on.
load_with_stall() {
    (
        sleep "$(awk -v s="$LENGTH" 'BEGIN { print s * 0.4 }')"
        kill -s STOP "$SERVER_PID"
        sleep "$(awk -v s="$LENGTH" 'BEGIN { print s * 0.1 }')"
        kill -s CONT "$SERVER_PID"
    ) &
    local stall=$!
    load "$1" "$LENGTH" "${@:2}"
    wait "$stall"
}

main() {
    parse_arguments "$@"
    command -v python3 >/dev/null || die "python3 not found: apt-get install python3"
    choose_cores
    set_up_cleanup
    find_programs "$BIN_DIR"
    local out=${OUTPUT:-$IN_DIR/docs/img}
    mkdir -p "$out" || die "cannot make the folder $out"
    # shellcheck disable=SC2119 # no flags beyond the usual ones
    start_ringserve_arm || exit 1
    # The interval at which a connection of the closed loop sends: what the correction is to suppose.
    load "$TMP/calm.json" 2
    read_report json.awk "$TMP/calm.json" || die "ringload's report cannot be read"
    local interval
    interval=$(awk -v rate="${REPORT[requests_per_sec]}" -v count="$COUNT" 'BEGIN { printf "%d", 1e6 * count / rate + 0.5 }')
    load_with_stall "$TMP/open.json" -R "$RATE"
    load_with_stall "$TMP/closed.json" --expected-interval "${interval}us"
    python3 "$IN_DIR/scripts/lib/omission.py" "$out/omission.svg" \
        "A server that stops for a tenth of a run of $LENGTH s" \
        "open loop, $RATE/s: response time" "$TMP/open.json" latency \
        "closed loop: latency" "$TMP/closed.json" latency \
        "closed loop, corrected with $interval us" "$TMP/closed.json" corrected_latency \
        "open loop: service time" "$TMP/open.json" service_time || die "the plot cannot be drawn"
    [[ -z $OUTPUT ]] || cp "$TMP/open.json" "$TMP/closed.json" "$OUTPUT/" || die "cannot write to $OUTPUT"
    note "$out/omission.svg"
}

main "$@"
