# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is read by the scripts that source this
# What the scripts `run` and `setup` of each peer share. To be sourced by them, as in
#
#     . "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
#
# README.md beside this says what they must do. Needs nothing but bash, coreutils and awk. Sets
#
#     PEER          name of the peer, that of its folder
#     PEER_DIR      that folder
#     PEERS_DIR     the folder of all peers, in which orders.json is
#     PEERS_TARGET  what is built and installed for any peer is below it
#     PEER_TARGET   the same for this peer alone; not there until something makes it
#     PROGRAM       in it, where the peer is a program that its setup compiles
#     HELLO         what a peer answers to GET /
#
# and, while `serve` runs, HOST, PORT, LISTEN (both, with a colon between them), THREADS and OPEN_FILES,
# the number of descriptors that the server may have open.

set -uo pipefail

PEERS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PEER_DIR=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
PEER=${PEER_DIR##*/}
# Cargo takes a relative one from where it is started, too.
PEERS_TARGET=$(realpath -m "${CARGO_TARGET_DIR:-$PEERS_DIR/../../target}")/peers
PEER_TARGET=$PEERS_TARGET/$PEER
PROGRAM=$PEER_TARGET/peer-$PEER
HELLO='Hello, World!'
MAX_OPEN_FILES=262144
LOG=$PEERS_TARGET/log/$PEER.log
# Where Debian keeps servers, and users do not look; and where rustup's installer puts cargo.
PATH=$PATH:/usr/sbin:/sbin:${CARGO_HOME:-${HOME-}/.cargo}/bin

has() { command -v "$1" >/dev/null; }

# fail REASON: ends the script with it; setup.sh shows it as the reason why a peer cannot be had.
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# --- run ----------------------------------------------------------------------------------------

# run_peer "$@": the whole of a `run` script, which has defined before
#
#     installed     whether the peer is set up: a status
#     version       prints one line, as "nginx 1.22.1"
#     serve         exec's the server in the foreground, listening at $HOST:$PORT with $THREADS threads
run_peer() {
    local show_version=0
    LISTEN='' THREADS=1
    while (($# > 0)); do
        case $1 in
        --version) show_version=1 ;;
        --listen | --threads)
            (($# > 1)) || bad_usage "$1 needs a value"
            if [[ $1 == --listen ]]; then LISTEN=$2; else THREADS=$2; fi
            shift
            ;;
        *) bad_usage "unknown argument '$1'" ;;
        esac
        shift
    done
    if ! installed; then
        printf 'not installed: scripts/peers/setup.sh %s\n' "$PEER" >&2
        exit 3
    fi
    if ((show_version)); then
        version
        exit
    fi
    [[ $LISTEN =~ ^[0-9.]+:[1-9][0-9]{0,4}$ ]] || bad_usage "--listen takes ADDRESS:PORT such as 127.0.0.1:8080, not '$LISTEN'"
    [[ $THREADS =~ ^[1-9][0-9]{0,3}$ ]] || bad_usage "--threads takes a whole number from 1 to 9999, not '$THREADS'"
    HOST=${LISTEN%:*} PORT=${LISTEN##*:}
    raise_open_files
    serve
    fail "scripts/peers/$PEER/run: the server could not be started"
}

bad_usage() {
    printf 'scripts/peers/%s/run: %s\n' "$PEER" "$1" >&2
    printf 'usage: run --listen ADDRESS:PORT [--threads N] | --version\n' >&2
    exit 2
}

# Each connection needs a descriptor, and the usual soft limit is 1,024. Not to the hard limit, whatever
# it is: there are servers that make a table with a place for each descriptor that they may have.
raise_open_files() {
    local hard
    hard=$(ulimit -Hn)
    if [[ $hard == unlimited ]] || ((hard > MAX_OPEN_FILES)); then hard=$MAX_OPEN_FILES; fi
    ulimit -Sn "$hard"
    OPEN_FILES=$hard
}

# Sets RUN_DIR to a new folder for what a server writes while it runs. Its name ends in the pid, which
# `exec` keeps, so that the folders of servers that have ended are told, and removed.
make_run_dir() {
    local dir
    for dir in "$PEERS_TARGET/run/$PEER".*; do
        [[ ! -d $dir ]] || kill -0 "${dir##*.}" 2>/dev/null || rm -rf "$dir"
    done
    RUN_DIR=$PEERS_TARGET/run/$PEER.$$
    rm -rf "$RUN_DIR"
    mkdir -p "$RUN_DIR" || fail "cannot make the folder $RUN_DIR"
}

# fill_in TEMPLATE NAME=VALUE...: prints the file with each @NAME@ replaced.
fill_in() {
    local text pair
    text=$(<"$1") || fail "cannot read $1"
    shift
    for pair in "$@"; do text=${text//"@${pair%%=*}@"/"${pair#*=}"}; done
    printf '%s\n' "$text"
}

# dpkg_version PACKAGE: prints the version of what it packs, "1.22.1" where Debian's is "1.22.1-9+deb12u1".
dpkg_version() {
    local version
    version=$(dpkg-query -W -f '${source:Upstream-Version}' "$1" 2>/dev/null) || return 1
    version=${version#*:}
    printf '%s\n' "${version%%+*}"
}

# --- setup --------------------------------------------------------------------------------------

# quietly COMMAND...: its output goes to a file, whose end is shown if it fails.
quietly() {
    mkdir -p "${LOG%/*}" || fail "cannot make the folder ${LOG%/*}"
    "$@" >"$LOG" 2>&1 </dev/null && return
    tail -n 30 "$LOG" >&2
    return 1
}

# apt_install PACKAGE...: Debian packages; installs what is missing where we may.
apt_install() {
    local package missing=()
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]} > 0)) || return 0
    has apt-get || fail "needs ${missing[*]}, which this can install on Debian only"
    [[ $(id -u) == 0 ]] || fail "as root: apt-get install ${missing[*]}"
    apt_get_install "${missing[@]}" ||
        { quietly apt-get -q -o DPkg::Lock::Timeout=600 update && apt_get_install "${missing[@]}"; } ||
        fail "apt-get install ${missing[*]}: $(grep -m 1 '^E:' "$LOG" || tail -n 1 "$LOG")"
}

# Debian starts a server when its package is installed; its own way to be told not to is this file. One
# at a time, so that none takes it away from another.
apt_get_install() {
    local policy=/usr/sbin/policy-rc.d
    (
        flock 9 || exit 1
        if [[ ! -e $policy ]]; then
            trap 'rm -f "$policy"' EXIT
            printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" || exit 1
        fi
        DEBIAN_FRONTEND=noninteractive quietly \
            apt-get -q -y -o DPkg::Lock::Timeout=600 --no-install-recommends install "$@"
    ) 9>"${TMPDIR:-/tmp}/ringbench-apt.lock"
}

# compile SOURCE COMMAND...: makes PROGRAM by the command, to which its name is added, if it is not there
# or older than the source or its setup.
compile() {
    local source=$1
    shift
    [[ ! $PROGRAM -nt $source || ! $PROGRAM -nt $PEER_DIR/setup ]] || return 0
    mkdir -p "$PEER_TARGET" || fail "cannot make the folder $PEER_TARGET"
    quietly "$@" -o "$PROGRAM" || fail "it does not compile: $(grep -m 1 'error:' "$LOG" || tail -n 1 "$LOG")"
}

# --- Rust peers ---------------------------------------------------------------------------------
# Packages with a lock file of their own, outside the workspace, all built in one folder, so that what
# they share is compiled once. The program's name is peer-NAME.

# cargo_setup: the whole of a Rust peer's `setup`.
cargo_setup() {
    has cargo || fail 'needs a Rust toolchain: https://rustup.rs'
    has cc || fail 'needs a C compiler: apt-get install gcc libc6-dev'
    cd "$PEER_DIR" || fail "cannot enter $PEER_DIR"
    quietly cargo build --release --locked --target-dir "$PEERS_TARGET" ||
        fail "it does not build: $(grep -m 1 '^error' "$LOG" || tail -n 1 "$LOG")"
}

# run_cargo_peer CRATES "$@": the whole of its `run`. Its version is that of the crate in Cargo.lock, or
# those of several with commas between them.
run_cargo_peer() {
    local crates=$1
    shift
    installed() { [[ -x $PEERS_TARGET/release/peer-$PEER ]]; }
    version() {
        local crate number line=''
        for crate in ${crates//,/ }; do
            number=$(crate_version "$crate") || fail "there is no $crate in $PEER_DIR/Cargo.lock"
            line+=", $crate $number"
        done
        printf '%s\n' "${line#, }"
    }
    serve() { exec "$PEERS_TARGET/release/peer-$PEER" --listen "$LISTEN" --threads "$THREADS"; }
    run_peer "$@"
}

crate_version() {
    awk -v crate="$1" '
        $0 == "name = \"" crate "\"" { here = 1 }
        here && /^version/ { split($0, part, "\""); print part[2]; found = 1; exit }
        END { exit !found }' "$PEER_DIR/Cargo.lock"
}
