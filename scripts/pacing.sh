#!/usr/bin/env bash
# How exactly ringload keeps a rate: asked and achieved, and how late requests leave. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib/rounds.sh
. "$IN_DIR/scripts/lib/rounds.sh"
# shellcheck source=scripts/lib/pacing.sh
. "$IN_DIR/scripts/lib/pacing.sh"

usage() {
    cat <<END
Usage: scripts/pacing.sh [OPTIONS]

Drives ringserve with ringload in an open loop at constant rates, each without and with --spin, server
and load on a core each. Prints a table in Markdown: the rate asked and achieved, the time from when
requests were due to when they left (send lag), the same of those that found an idle connection (own
lag: ringload's part in it), and the time from there to the response (service).

  --seconds S           length of one run (default 30)
  --rates "LIST"        requests per second (default "1000 10000 50000")
  --connections N       connections (default 64)
  --spin TIME           for runs with --spin (default 100us)
  --server-core N       core of the server (default: the first that this process may use)
  --load-core N         core of the load generator (default: the second)
  --bin-dir DIR         take ringserve and ringload from DIR instead of building them
  -h, --help            print this

Exit codes: 0 each rate was kept to within $MOST_ERROR_PERCENT %, 1 one was not, or it could not be done, 2 bad
arguments.
END
}

parse_arguments() {
    SECONDS_PER_RUN=30 RATES=(1000 10000 50000) COUNT=64 SPIN=100us
    SERVER_CORE='' LOAD_CORE='' BIN_DIR=''
    local option
    while (($# > 0)); do
        option=$1
        case $option in
        --seconds | --rates | --connections | --spin | --server-core | --load-core | --bin-dir)
            (($# > 1)) || die_usage "$option needs a value"
            shift
            ;;
        esac
        case $option in
        --seconds) want_count "$option" "$1" 3600 && SECONDS_PER_RUN=$1 ;;
        --rates) want_counts "$option" "$1" 10000000 && RATES=("${COUNTS[@]}") ;;
        --connections) want_count "$option" "$1" 10000 && COUNT=$1 ;;
        --spin)
            [[ $1 =~ ^[1-9][0-9]{0,5}(us|ms)$ ]] || die_usage "$option takes a time such as 100us, not '$1'"
            SPIN=$1
            ;;
        --server-core) SERVER_CORE=$1 ;;
        --load-core) LOAD_CORE=$1 ;;
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

# pace RATE SECONDS [FLAG...]: one run; REPORT afterwards.
pace() {
    local rate=$1 seconds=$2
    shift 2
    if ! run_load "$TMP/load.out" "$TMP/load.err" taskset -c "$LOAD_CORE" "$RINGLOAD" -t 1 --cores "$LOAD_CORE" \
        -c "$COUNT" -d "${seconds}s" -R "$rate" --format json "$@" "$SERVER_URL/" ||
        ! read_report json.awk "$TMP/load.out" || ((REPORT[errors] > 0)); then
        note "$PROGRAM: ringload at $rate/s failed:"
        sed 's/^/    /' "$TMP/load.out" "$TMP/load.err" >&2
        exit 1
    fi
}

main() {
    parse_arguments "$@"
    choose_cores
    set_up_cleanup
    find_programs "$BIN_DIR"
    raise_open_files 12000
    # shellcheck disable=SC2119 # no flags beyond the usual ones
    start_ringserve_arm || exit 1
    # The first requests pay for page faults and cold caches; these are thrown away.
    pace "${RATES[0]}" 1
    printf '# How exactly ringload keeps a rate\n\n'
    describe_machine
    printf -- '- %s and %s; %s connections, one thread; each run %s s\n\n' "$("$RINGLOAD" --version)" \
        "$("$RINGSERVE" --version)" "$COUNT" "$SECONDS_PER_RUN"
    pacing_heading
    local rate spin flags missed=0
    for rate in "${RATES[@]}"; do
        for spin in no "$SPIN"; do
            flags=()
            [[ $spin == no ]] || flags=(--spin "$spin")
            pace "$rate" "$SECONDS_PER_RUN" "${flags[@]}"
            rate_error "$rate" "${REPORT[requests_per_sec]}" || missed=$((missed + 1))
            pacing_row "$spin"
        done
    done
    ((missed == 0)) || die "$missed runs were more than $MOST_ERROR_PERCENT % off the rate asked for"
}

main "$@"
