#!/usr/bin/env bash
# Tells what each feature of ringserve is worth on this machine: switches one at a time and measures it
# beside the default. Writes a Markdown report and the raw runs. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib/rounds.sh
. "$IN_DIR/scripts/lib/rounds.sh"

# The same as the default, so that its differences are what chance makes of nothing.
AGAIN='default again'

# Each arm is the flags that it adds to the default.
ALL_ARMS=(
    --no-direct-descriptors
    --no-multishot
    --no-defer-taskrun
    --sqpoll
    --incremental-buffers
    '--buffers 128'
    '--send-zc-bytes 1'
    '--napi-busy-poll-us 50'
    '--batch-wait 16 --batch-wait-us 50'
    --incoming-cpu
    '--engine epoll'
    '--engine glommio'
)

usage() {
    cat <<END
Usage: scripts/ablate.sh [OPTIONS]

Runs ringserve as it is by default, once more the same, and with each of these in turn, interleaved:

$(printf '  %s\n' "${ALL_ARMS[@]}")

Drives each with ringload and prints a report in Markdown: what each costs or saves in CPU-
microseconds per request, and its throughput, to the default in the same round, with the spread. A
difference within that of the two identical servers is said to be none.

  --only "WORDS"        measure only the arms whose flags contain one of these words
  --add "FLAGS"         measure this one too; may be repeated
  --workloads "LIST"    of keep-alive, pipelined and short (default "keep-alive pipelined")
  --path PATH           what to ask for (default /)
$SHAPE_OPTIONS_HELP
$ROUND_OPTIONS_HELP

Exit codes: 0 measured, 1 it could not be done or requests failed, 2 bad arguments.
END
}

parse_arguments() {
    set_round_defaults
    WORKLOADS=(keep-alive pipelined)
    local only=() added=() arm word
    while (($# > 0)); do
        if take_round_option "$@"; then
            shift "$TAKEN"
            continue
        fi
        case $1 in
        --only | --add) (($# > 1)) || die_usage "$1 needs a value" ;;
        *) die_usage "unknown argument '$1'" ;;
        esac
        case $1 in
        --only) read -ra only <<<"$2" ;;
        --add)
            [[ $2 == --* && $2 != *[,\;]* ]] || die_usage "--add takes flags of ringserve, not '$2'"
            added+=("$2")
            ;;
        esac
        shift 2
    done
    WANTED=()
    for arm in "${ALL_ARMS[@]}"; do
        for word in "${only[@]---}"; do
            if [[ $arm == *"$word"* ]]; then
                WANTED+=("$arm")
                break
            fi
        done
    done
    WANTED+=("${added[@]}")
    ((${#WANTED[@]} > 0)) || die_usage "--only leaves nothing: ${only[*]}"
}

# Leaves out what this ringserve does not have.
find_arms() {
    local arm word unknown
    ARMS=(default "$AGAIN")
    for arm in "${WANTED[@]}"; do
        unknown=
        for word in $arm; do
            # Names of flags and engines, not numbers.
            [[ $word =~ ^[0-9]+$ ]] || knows "$RINGSERVE" "$word" || unknown=$word
        done
        if [[ -n $unknown ]]; then
            skip "$arm" "this ringserve does not know $unknown"
        else
            ARMS+=("$arm")
        fi
    done
}

start_arm() {
    local flags=()
    case $1 in
    default | "$AGAIN") ;;
    *) read -ra flags <<<"$1" ;;
    esac
    start_ringserve_arm "${flags[@]}"
}

write_report() {
    printf '# What each feature of ringserve is worth\n\n'
    describe_machine
    printf -- '- Server: %s, one shard; every arm is the default with the flags it is named by\n' \
        "$("$RINGSERVE" --version)"
    describe_rounds
    tables "again=$AGAIN"
    if [[ " ${ARMS[*]} " == *' --sqpoll '* ]]; then
        # shellcheck disable=SC2016 # the backquotes are Markdown's
        printf '%s\n' '- With `--sqpoll` the kernel has a thread of its own for the ring; its CPU time is in that of the server, and if' \
            '  it runs on the core of the load generator, throughput is that of three programs on two cores.'
    fi
}

main() {
    parse_arguments "$@"
    make_shapes
    prepare_rounds ablate
    check_shapes
    find_arms
    try_arms
    run_rounds
    write_report >"$TMP/report.md" || die "cannot make the report"
    finish_rounds ablate
}

main "$@"
