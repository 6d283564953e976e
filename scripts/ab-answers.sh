#!/usr/bin/env bash
# Answers of 'ringload ab' to the questions that people ask first, as committed in docs/results. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ALL_QUESTIONS=(documented congestion backlog ports engine nginx)

usage() {
    cat <<END
Usage: scripts/ab-answers.sh [OPTIONS] [QUESTION...]

Asks 'ringload ab' and writes each report (Markdown, JSON and HTML) to a folder:

  documented   the documented tuning profile against the kernel's defaults, keep-alive
  congestion   bbr against cubic, keep-alive
  backlog      net.core.somaxconn 128 against 65535 in a burst of 10,000 connections with a request each
  ports        20,480 local ports against 64,512 (1,024 to 65,535) with 20,000 connections, opened and
               then given one request each
  engine       ringserve --engine uring against epoll, keep-alive
  nginx        ringserve against nginx, keep-alive

  --rounds N       rounds of each comparison (default 20; half of it for backlog and ports, at least 10)
  --output DIR     where to (default docs/results/DATE/ab)
  --bin-dir DIR    take ringserve and ringload from DIR instead of building them
  -h, --help       print this

Exit codes: 0 all answered, 1 one could not be done or is void, 2 bad arguments.
END
}

parse_arguments() {
    ROUNDS=20 BIN_DIR='' OUTPUT=$IN_DIR/docs/results/$(date -u +%F)/ab QUESTIONS=()
    local option
    while (($# > 0)); do
        option=$1
        case $option in
        --rounds | --output | --bin-dir)
            (($# > 1)) || die_usage "$option needs a value"
            shift
            ;;
        esac
        case $option in
        --rounds) want_count "$option" "$1" 1000 && ROUNDS=$1 ;;
        --output) OUTPUT=$1 ;;
        --bin-dir) want_folder "$option" "$1" && BIN_DIR=$1 ;;
        -h | --help)
            usage
            exit 0
            ;;
        -*) die_usage "unknown argument '$option'" ;;
        *)
            [[ " ${ALL_QUESTIONS[*]} " == *" $1 "* ]] ||
                die_usage "no such question: '$1' (${ALL_QUESTIONS[*]})"
            QUESTIONS+=("$1")
            ;;
        esac
        shift
    done
    ((ROUNDS >= 10)) || die_usage "--rounds: fewer than 10 rounds can show nothing"
    ((${#QUESTIONS[@]} > 0)) || QUESTIONS=("${ALL_QUESTIONS[@]}")
}

# make_profile NAME LINE: a profile of one line below $TMP/profiles.
make_profile() {
    mkdir -p "$TMP/profiles/$1"
    printf '%s\n' "$2" >"$TMP/profiles/$1/sysctl.conf"
}

# nginx in the foreground with one worker, on the port that ab gives each arm.
configure_nginx() {
    PATH=$PATH:/usr/sbin:/sbin
    command -v nginx >/dev/null || die "nginx not found: apt-get install nginx"
    mkdir -p "$TMP/nginx"
    sed -e 's/@LISTEN@/127.0.0.1:8080/' -e 's/@WORKERS@/1/' -e 's/^pid .*/pid off;/' \
        "$IN_DIR/scripts/peers/nginx/nginx.conf" >"$TMP/nginx/nginx.conf"
}

# ask NAME ROUNDS ARGUMENT...: one comparison.
ask() {
    local name=$1 rounds=$2 status=0
    shift 2
    note "$(date -u +%T) $name"
    "$RINGLOAD" ab --rounds "$rounds" --no-progress --markdown "$OUTPUT/$name.md" --json "$OUTPUT/$name.json" \
        --html "$OUTPUT/$name.html" "$@" || status=$?
    ((status == 0)) || FAILED+=("$name (exit code $status)")
    # Where things happen to lie on this machine is nobody's business.
    sed -i -e "s|$(dirname "$(realpath "$RINGSERVE")")/||g" -e "s|$TMP/||g" "$OUTPUT/$name".{md,json,html}
}

answer() {
    local few=$((ROUNDS / 2 > 10 ? ROUNDS / 2 : 10))
    case $1 in
    documented) ask documented "$ROUNDS" --b documented --profiles "$IN_DIR/tuning/profiles" -- -c 64 / ;;
    congestion)
        ask congestion "$ROUNDS" --a-server-args '--tcp-congestion bbr' \
            --b-server-args '--tcp-congestion cubic' -- -c 64 /
        ;;
    backlog)
        make_profile somaxconn-128 'net.core.somaxconn = 128'
        make_profile somaxconn-65535 'net.core.somaxconn = 65535'
        ask backlog "$few" --a somaxconn-128 --b somaxconn-65535 --profiles "$TMP/profiles" -- \
            -c 10000 -n 10000 --requests-per-connection 1 --connect-burst --timeout 30s /
        ;;
    ports)
        make_profile ports-narrow 'net.ipv4.ip_local_port_range = 40960 61439'
        make_profile ports-wide 'net.ipv4.ip_local_port_range = 1024 65535'
        ask ports "$few" --a ports-narrow --b ports-wide --profiles "$TMP/profiles" -- \
            -c 20000 -R 10000 -d 2s --schedule per-connection --timeout 60s /
        ;;
    engine) ask engine "$ROUNDS" --a-server-args '--engine uring' --b-server-args '--engine epoll' -- -c 64 / ;;
    nginx)
        configure_nginx
        ask nginx "$ROUNDS" --a-server-args '--shards 1' \
            --b-server "env PORT={port} nginx -p $TMP/nginx/ -e error.log -c nginx.conf" -- -c 64 /
        ;;
    esac
}

main() {
    parse_arguments "$@"
    set_up_cleanup
    find_programs "$BIN_DIR"
    raise_open_files 20000
    mkdir -p "$OUTPUT" || die "cannot make the folder $OUTPUT"
    FAILED=()
    local question
    for question in "${QUESTIONS[@]}"; do answer "$question"; done
    ((${#FAILED[@]} == 0)) || die "not answered: ${FAILED[*]}"
}

main "$@"
