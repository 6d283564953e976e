#!/usr/bin/env bash
# Sets up the servers that ringserve is compared with, and says which of them can be had here. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=scripts/lib/peers.sh
. "$IN_DIR/scripts/lib/peers.sh"

usage() {
    cat <<END
Usage: scripts/peers/setup.sh [NAME...]

Installs or builds the peers of these names, or all, and prints a table: ready, with its version, or
why it cannot be had. What is built goes below the folder target; as root, Debian packages are
installed where one needs them. What is there already is left as it is.

Peers: $(all_peers | paste -sd ' ' | fold -s -w 90 | sed '2,$s/^/       /')

Exit codes: 0 all of them are ready, 1 some are not, 2 bad arguments.
END
}

parse_arguments() {
    local word
    PEERS=()
    for word in "$@"; do
        case $word in
        -h | --help)
            usage
            exit 0
            ;;
        -*) die_usage "unknown argument '$word'" ;;
        *) want_peer "$word" && PEERS+=("$word") ;;
        esac
    done
    ((${#PEERS[@]} > 0)) || mapfile -t PEERS < <(all_peers)
}

main() {
    parse_arguments "$@"
    local peer why state not_ready=0 rows=()
    set_up_cleanup
    for peer in "${PEERS[@]}"; do
        note "$peer: setting up..."
        why=$(why_not_peer "$peer")
        if [[ -z $why ]]; then
            state="ready: $(peer_version "$peer")"
        else
            state="cannot be had: $why"
            not_ready=$((not_ready + 1))
        fi
        rows+=("$(printf '%-16s %-10s %s' "$peer" "$(peer_field "$peer" language)" "$state")")
    done
    printf '%-16s %-10s %s\n' PEER LANGUAGE STATE
    printf '%s\n' "${rows[@]}"
    ((not_ready == 0)) || note "$PROGRAM: $not_ready of ${#PEERS[@]} cannot be had"
    ((not_ready == 0))
}

main "$@"
