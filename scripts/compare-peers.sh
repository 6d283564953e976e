#!/usr/bin/env bash
# Compares ringserve with other servers on this machine, six unless told otherwise: the CPU time and the
# throughput of one core under the same load. Writes a Markdown report and the raw runs. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib/rounds.sh
. "$IN_DIR/scripts/lib/rounds.sh"
# shellcheck source=scripts/lib/peers.sh
. "$IN_DIR/scripts/lib/peers.sh"

DEFAULT_PEERS=(nginx h2o may_minihttp hyper actix-web ntex)

usage() {
    cat <<END
Usage: scripts/compare-peers.sh [OPTIONS]

Drives ringserve and its peers with ringload, each with one thread on one core: keep-alive at each number of connections; pipelined, and with connections that
the client closes after some requests, at the first. Prints a report in Markdown: throughput and CPU-
microseconds per request, median and spread, and ratios computed round by round.

  --peers "LIST"        the peers (default: ${DEFAULT_PEERS[*]};
                        any of scripts/peers); each is set up first, and one that cannot be is named
                        and left out
$SHAPE_OPTIONS_HELP
  --check               exit with 3 if a peer needs less CPU per request than ringserve
$ROUND_OPTIONS_HELP

Exit codes: 0 measured, 1 it could not be done or requests failed, 2 bad arguments, 3 see --check.
END
}

parse_arguments() {
    set_round_defaults
    local count peer
    PEERS=("${DEFAULT_PEERS[@]}") CHECK=0
    while (($# > 0)); do
        if take_round_option "$@"; then
            shift "$TAKEN"
            continue
        fi
        case $1 in
        --peers)
            (($# > 1)) || die_usage "$1 needs a value"
            read -ra PEERS <<<"$2"
            shift
            ;;
        --check) CHECK=1 ;;
        *) die_usage "unknown argument '$1'" ;;
        esac
        shift
    done
    for peer in "${PEERS[@]}"; do want_peer "$peer"; done
    [[ $REQUEST_PATH == / ]] || die_usage "--path: what the peers answer is checked for / only"
    SHAPES=()
    for count in "${CONNECTIONS[@]}"; do SHAPES+=("$count 1 0"); done
    SHAPES+=("${CONNECTIONS[0]} $PIPELINE 0" "${CONNECTIONS[0]} 1 $PER_CONNECTION")
}

# Sets up what has to be, and leaves out what cannot be used.
find_peers() {
    local peer why
    ARMS=(ringserve)
    for peer in "${PEERS[@]}"; do
        note "Setting up scripts/peers/$peer..."
        why=$(why_not_peer "$peer")
        if [[ -n $why ]]; then
            skip "$peer" "$why"
        else
            ARMS+=("$peer")
        fi
    done
}

start_arm() {
    # shellcheck disable=SC2119 # no flags beyond the usual ones
    case $1 in
    ringserve) start_ringserve_arm ;;
    *) start_peer "$1" "$SERVER_CORE" ;;
    esac
}

write_report() {
    local arm versions=()
    for arm in "${ARMS[@]}"; do
        case $arm in
        ringserve) versions+=("$("$RINGSERVE" --version)") ;;
        *) versions+=("$(peer_version "$arm")") ;;
        esac
        versions[-1]+=" (${ARM_BYTES[$arm]} bytes)"
    done
    printf '# ringserve beside its peers\n\n'
    describe_machine
    # shellcheck disable=SC2016 # the backquotes are Markdown's
    printf -- '- Servers, one thread each, with the bytes of an answer to a request with `Connection: close`: %s\n' \
        "$(printf '%s, ' "${versions[@]}" | sed 's/, $//')"
    describe_rounds
    tables verdict=1
}

main() {
    parse_arguments "$@"
    prepare_rounds compare-peers
    check_shapes
    find_peers
    try_arms
    run_rounds
    write_report >"$TMP/report.md" || die "cannot make the report"
    finish_rounds compare-peers
    if ((CHECK)) && grep -q 'is NOT ahead of' "$TMP/report.md"; then
        note "$PROGRAM: ringserve is not ahead of every peer"
        exit 3
    fi
}

main "$@"
