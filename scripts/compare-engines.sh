#!/usr/bin/env bash
# Compares the engines of ringserve on this machine: io_uring, epoll and glommio under the same routes
# and the same load. Writes a Markdown report and the raw runs. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib/rounds.sh
. "$IN_DIR/scripts/lib/rounds.sh"

usage() {
    cat <<END
Usage: scripts/compare-engines.sh [OPTIONS]

Drives ringserve with ringload, on each engine in turn (uring, epoll, glommio), interleaved. Prints a
report in Markdown: throughput and CPU-microseconds per request, median and spread, and ratios
computed round by round.

  --workloads "LIST"    of keep-alive, pipelined and short (default all three)
  --path PATH           what to ask for (default /)
${SHAPE_OPTIONS_HELP/64 512/64 512 10000}
$ROUND_OPTIONS_HELP

Exit codes: 0 measured, 1 it could not be done or requests failed, 2 bad arguments.
END
}

parse_arguments() {
    set_round_defaults
    WORKLOADS=(keep-alive pipelined short) CONNECTIONS=(64 512 10000)
    while (($# > 0)); do
        take_round_option "$@" || die_usage "unknown argument '$1'"
        shift "$TAKEN"
    done
}

find_arms() {
    local engine
    ARMS=()
    for engine in uring epoll glommio; do
        if knows "$RINGSERVE" "$engine"; then
            ARMS+=("$engine")
        else
            skip "$engine" "this ringserve has no such engine"
        fi
    done
}

start_arm() { start_ringserve_arm --engine "$1"; }

write_report() {
    printf '# The engines of ringserve beside each other\n\n'
    describe_machine
    printf -- '- Server: %s, one shard\n' "$("$RINGSERVE" --version)"
    describe_rounds
    tables verdict=1
}

main() {
    parse_arguments "$@"
    make_shapes
    prepare_rounds compare-engines
    check_shapes
    find_arms
    try_arms
    run_rounds
    write_report >"$TMP/report.md" || die "cannot make the report"
    finish_rounds compare-engines
}

main "$@"
