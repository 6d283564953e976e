#!/usr/bin/env bash
# Compares load generators on this machine: the CPU time of one core that a request costs each of them
# against the same server. Writes a Markdown report and the raw runs. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib/rounds.sh
. "$IN_DIR/scripts/lib/rounds.sh"
# shellcheck source=scripts/lib/loaders.sh
. "$IN_DIR/scripts/lib/loaders.sh"

usage() {
    cat <<END
Usage: scripts/compare-loaders.sh [OPTIONS]

Drives ringserve with load generators (${ALL_LOADERS[*]}), one after the
other, one thread on one core: closed loop, keep-alive, at each number of connections. -lua: requests
come from a script, the same for both. wrk-again is wrk once more: its difference from wrk is the
noise. Prints a report in Markdown: CPU-microseconds per request of the load generator and requests
per second, median and spread, and ratios to wrk computed round by round.

  --loaders "LIST"      the load generators (default: all); wrk is always among them, one that is not
                        installed is named and left out
  --install-oha         build oha $OHA_VERSION into a cache folder if it is not there
  --connections "LIST"  numbers of connections (default "64 512 10000")
${ROUND_OPTIONS_HELP/also write the report and the raw runs (CSV) to DIR/the report and the raw runs (CSV) go to DIR (default docs/results/DATE)}

Exit codes: 0 measured, 1 it could not be done or requests failed, 2 bad arguments.
END
}

parse_arguments() {
    set_round_defaults
    CONNECTIONS=(64 512 10000) LOADERS=("${ALL_LOADERS[@]}") INSTALL_OHA=0
    OUTPUT=$IN_DIR/docs/results/$(date -u +%F)
    local loader count
    while (($# > 0)); do
        if [[ $1 == --pipeline || $1 == --per-connection || $1 == --path || $1 == --workloads ]]; then
            die_usage "unknown argument '$1'"
        elif take_round_option "$@"; then
            shift "$TAKEN"
            continue
        fi
        case $1 in
        --loaders)
            (($# > 1)) || die_usage "$1 needs a value"
            read -ra LOADERS <<<"$2"
            shift
            ;;
        --install-oha) INSTALL_OHA=1 ;;
        *) die_usage "unknown argument '$1'" ;;
        esac
        shift
    done
    for loader in "${LOADERS[@]}"; do
        [[ " ${ALL_LOADERS[*]} " == *" $loader "* ]] ||
            die_usage "--loaders: no such load generator: '$loader' (${ALL_LOADERS[*]})"
    done
    SHAPES=()
    for count in "${CONNECTIONS[@]}"; do SHAPES+=("$count 1 0"); done
}

# wrk first: it is what the others are compared with.
find_loaders() {
    local loader why
    ARMS=()
    find_oha "$INSTALL_OHA"
    why=$(why_not_loader wrk)
    [[ -z $why ]] || die "$why"
    for loader in wrk "${LOADERS[@]}"; do
        [[ " ${ARMS[*]-} " != *" $loader "* ]] || continue
        why=$(why_not_loader "$loader")
        if [[ -n $why ]]; then
            skip "$loader" "$why"
        else
            ARMS+=("$loader")
        fi
    done
}

# An arm is a load generator here; the server is the same for all.
start_arm() {
    LOADER=$1
    # shellcheck disable=SC2119 # no flags beyond the usual ones
    start_ringserve_arm
}

# In place of that of rounds.sh, which is ringload only. wrk knows no part of a second, and needs more
# than one before the first of many thousand connections has brought an answer.
load_shape() {
    local seconds=${1%s}
    [[ $1 != *ms ]] || seconds=$((1 + $2 / 5000))
    load_command "$LOADER" "$seconds" "$2"
    run_load "$TMP/load.out" "$TMP/load.err" taskset -c "$LOAD_CORE" "${LOAD_COMMAND[@]}" "$SERVER_URL/" &&
        read_load_report "$TMP/load.out" && ((REPORT[requests] > 0))
}

# In place of that of rounds.sh, for the same reason.
say_load_failed() {
    note "$PROGRAM: $1 failed:"
    sed 's/^/    /' "$TMP/load.out" "$TMP/load.err" "$TMP/server.err" >&2
}

write_report() {
    local loader again='' versions=()
    for loader in wrk ringload oha; do
        [[ " ${ARMS[*]} " != *" $loader"* ]] || versions+=("$(loader_version "$loader")")
    done
    [[ " ${ARMS[*]} " != *' wrk-again '* ]] || again=wrk-again
    printf '# Load generators beside each other\n\n'
    describe_machine
    printf -- '- Server: %s, one shard; load generators, one thread each: %s\n' "$("$RINGSERVE" --version)" \
        "$(printf '%s, ' "${versions[@]}" | sed 's/, $//')"
    describe_rounds
    tables whose=load "again=$again"
}

main() {
    parse_arguments "$@"
    prepare_rounds compare-loaders
    find_loaders
    write_lua_script
    try_arms
    run_rounds
    write_report >"$TMP/report.md" || die "cannot make the report"
    finish_rounds compare-loaders
}

main "$@"
