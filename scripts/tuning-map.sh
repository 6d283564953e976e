#!/usr/bin/env bash
# Which kernel settings of the profiles change anything on this machine: each alone against the kernel's
# defaults. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PROFILES=(throughput soak)
declare -A SCENARIO_FLAGS=(
    [keep-alive]='-c 64'
    [short]='-c 64 --requests-per-connection 10'
    [many]='-c 10000 --timeout 10s'
)
ALL_SCENARIOS=(keep-alive short many)
# 10,000 connections take their time to open, in both arms at once.
MANY_EXTRA_SECONDS=1

usage() {
    cat <<END
Usage: scripts/tuning-map.sh [OPTIONS]

Compares each key of the tuning profiles ${PROFILES[*]}, alone, with the kernel's defaults by
'ringload ab' (duet: both arms at the same time, each in a network namespace of its own), under three
loads: keep-alive (64 connections), short (10 requests per connection) and many (10,000 connections).
Writes tables in Markdown: effect on requests per second, on the server's CPU per request and on p99, with
intervals and verdicts. Keys of the whole host are listed, and compared one arm after the other with --host.

  --profiles "LIST"     folders below tuning/profiles (default "${PROFILES[*]}")
  --keys "LIST"         just these keys (default: all)
  --scenarios "LIST"    of keep-alive, short and many (default: all)
  --rounds N            rounds of each comparison, at least 10 (default 12)
  --seconds S           length of one run, 1 to 60; $MANY_EXTRA_SECONDS more for many (default 1)
  --host                also set keys of the whole host for the time of a run (root; see tuning/README.md)
  --output DIR          where tuning-map.md and the raw runs (CSV) go (default docs/results/DATE)
  --bin-dir DIR         take ringserve and ringload from DIR instead of building them
  -h, --help            print this

It takes root, or a kernel that lets users make user namespaces. About 4 s for each round of a comparison.

Exit codes: 0 measured, 1 it could not be done, 2 bad arguments.
END
}

parse_arguments() {
    SCENARIOS=("${ALL_SCENARIOS[@]}") KEYS=() ROUNDS=12 SECONDS_PER_RUN=1 HOST=0 BIN_DIR=''
    OUTPUT=$IN_DIR/docs/results/$(date -u +%F)
    local option scenario
    while (($# > 0)); do
        option=$1
        case $option in
        --profiles | --keys | --scenarios | --rounds | --seconds | --output | --bin-dir)
            (($# > 1)) || die_usage "$option needs a value"
            shift
            ;;
        esac
        case $option in
        --profiles) read -ra PROFILES <<<"$1" ;;
        --keys) read -ra KEYS <<<"$1" ;;
        --scenarios) read -ra SCENARIOS <<<"$1" ;;
        --rounds) want_count "$option" "$1" 1000 && ROUNDS=$1 ;;
        --seconds) want_count "$option" "$1" 60 && SECONDS_PER_RUN=$1 ;;
        --host) HOST=1 ;;
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
    ((ROUNDS >= 10)) || die_usage "--rounds: fewer than 10 rounds can show nothing"
    for scenario in "${SCENARIOS[@]}"; do
        [[ -v SCENARIO_FLAGS[$scenario] ]] ||
            die_usage "--scenarios: no such scenario: '$scenario' (${ALL_SCENARIOS[*]})"
    done
}

# Sets SETTINGS: "key = value" of each key of the profiles, once for each value.
read_settings() {
    local profile file key value line wanted
    SETTINGS=()
    for profile in "${PROFILES[@]}"; do
        file=$IN_DIR/tuning/profiles/$profile/sysctl.conf
        [[ -r $file ]] || die_usage "--profiles: there is no $file"
        while IFS='=' read -r key value; do
            key=${key#-}
            read -r key <<<"$key"
            read -r value <<<"$value"
            line="$key = $value"
            for wanted in "${KEYS[@]-$key}"; do
                [[ $wanted != "$key" ]] || [[ $'\n'$(printf '%s\n' "${SETTINGS[@]-}")$'\n' == *$'\n'"$line"$'\n'* ]] ||
                    SETTINGS+=("$line")
            done
        done < <(grep -E '^-?[a-z]' "$file")
    done
    ((${#SETTINGS[@]} > 0)) || die_usage "no key to compare"
}

# fate KEY VALUE: what becomes of it in a network namespace: applied, unchanged, refused, host or absent.
# Only net.* can be private to one; whatever else is there to be seen is the host's, and root would write
# that. A key of net.* that turns out to be the host's after all is put back.
fate() {
    local path=/proc/sys/${1//.//} host='' outcome
    [[ ! -e $path ]] || host=$(<"$path")
    if [[ $1 == net.* ]] && "${NAMESPACE[@]}" test -e "$path"; then
        # shellcheck disable=SC2016 # for the shell inside
        outcome=$("${NAMESPACE[@]}" sh -c '
            before=$(tr "\t" " " <"$1")
            [ "$before" != "$2" ] || { echo unchanged; exit; }
            printf "%s\n" "$2" 2>/dev/null >"$1"
            if [ "$(tr "\t" " " <"$1")" = "$2" ]; then echo applied; else echo refused; fi' sh "$path" "$2" 2>/dev/null)
        if [[ -e $path && $(<"$path") != "$host" ]]; then
            printf '%s\n' "$host" >"$path" || die "$1 of the host was changed and could not be put back to '$host'"
            outcome=host
        fi
        printf '%s\n' "$outcome"
    elif [[ -e $path ]]; then
        echo host
    else
        echo absent
    fi
}

find_namespaces() {
    if unshare --net true 2>/dev/null; then
        NAMESPACE=(unshare --net)
    elif unshare --user --map-root-user --net true 2>/dev/null; then
        NAMESPACE=(unshare --user --map-root-user --net)
    else
        die "needs network namespaces: root, or a kernel that lets users make user namespaces"
    fi
}

# compare SCENARIO KEY VALUE FATE: one comparison; its JSON goes to a file named after all three.
compare() {
    local scenario=$1 key=$2 value=$3 fate=$4 seconds=$SECONDS_PER_RUN flags command status=0
    local json=$TMP/reports/$scenario-$key.json
    read -ra flags <<<"${SCENARIO_FLAGS[$scenario]}"
    [[ $scenario != many ]] || seconds=$((seconds + MANY_EXTRA_SECONDS))
    command=("$RINGLOAD" ab --rounds "$ROUNDS" --seconds "$seconds" --json "$json" --no-progress)
    if [[ $fate == flag ]]; then
        # The kernel lets nobody choose it by sysctl in a namespace; a socket option may.
        command+=(--b-server-args "--tcp-congestion $value")
    else
        mkdir -p "$TMP/profiles/$key"
        printf '%s = %s\n' "$key" "$value" >"$TMP/profiles/$key/sysctl.conf"
        command+=(--profiles "$TMP/profiles" --b "$key")
    fi
    [[ $fate != host ]] || command+=(--host --mode interleaved)
    note "$(date -u +%T) $scenario: $key = $value"
    "${command[@]}" -- "${flags[@]}" / >"$TMP/ab.out" 2>"$TMP/ab.err" || status=$?
    # Void is an answer, too: it is told in the table.
    ((status == 0 || status == 4)) || {
        sed 's/^/    /' "$TMP/ab.err" >&2
        rm -f "$json"
        FAILED+=("$scenario: $key = $value: $(tail -n 1 "$TMP/ab.err")")
    }
}

compare_all() {
    local setting key value fate scenario
    FAILED=()
    : >"$TMP/fates"
    mkdir -p "$TMP/profiles" "$TMP/reports"
    # Where --host looks for them: beside the profiles.
    ln -s "$IN_DIR"/tuning/{apply.sh,revert.sh,status.sh,lib} "$TMP/" || die "cannot write to $TMP"
    for setting in "${SETTINGS[@]}"; do
        key=${setting%% = *} value=${setting#* = }
        fate=$(fate "$key" "$value")
        [[ $key != net.ipv4.tcp_congestion_control || $fate != refused ]] || fate=flag
        printf '%s\t%s\t%s\n' "$key" "$value" "$fate" >>"$TMP/fates"
        case $fate in
        applied | flag) ;;
        host) ((HOST)) || continue ;;
        *) continue ;;
        esac
        for scenario in "${SCENARIOS[@]}"; do compare "$scenario" "$key" "$value" "$fate"; done
    done
}

main() {
    parse_arguments "$@"
    command -v python3 >/dev/null || die "python3 not found: apt-get install python3"
    command -v unshare >/dev/null || die "unshare not found: apt-get install util-linux"
    find_namespaces
    read_settings
    set_up_cleanup
    find_programs "$BIN_DIR"
    raise_open_files 20000
    mkdir -p "$OUTPUT" || die "cannot make the folder $OUTPUT"
    compare_all
    printf '%s\n' "${FAILED[@]}" >"$TMP/failed"
    python3 "$IN_DIR/scripts/lib/tuning_map.py" "$TMP/reports" "$TMP/fates" "$TMP/failed" "$OUTPUT/tuning-map" "${SCENARIOS[@]}" ||
        die "the table cannot be written"
    cat "$OUTPUT/tuning-map.md"
    ((${#FAILED[@]} == 0)) || die "${#FAILED[@]} comparisons failed"
}

main "$@"
