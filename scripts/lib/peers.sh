# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # set here and read by the scripts that source this, or the reverse
# The servers that ringserve is compared with: to list, set up, start and await them, through the
# scripts `run` and `setup` in the folder of each (scripts/peers/README.md). To be sourced after lib.sh.

PEERS_DIR=$IN_DIR/scripts/peers

# Prints the names of all peers, one a line.
all_peers() {
    local file
    for file in "$PEERS_DIR"/*/peer.toml; do
        file=${file%/peer.toml}
        printf '%s\n' "${file##*/}"
    done
}

# want_peer NAME: it must be one of them.
want_peer() { [[ -f $PEERS_DIR/$1/peer.toml ]] || die_usage "no such peer: '$1' ($(all_peers | paste -sd ' '))"; }

# peer_field NAME KEY: prints a text of its peer.toml, or the texts of a list, one a line.
peer_field() {
    sed -n "s/^$2 = //p" "$PEERS_DIR/$1/peer.toml" | grep -o '"[^"]*"' | tr -d '"'
}

# Prints what keeps a peer from being used here, or nothing. Sets it up first, which may take minutes.
why_not_peer() {
    local setup=$PEERS_DIR/$1/setup
    if [[ -x $setup ]] && ! "$setup" </dev/null >"$TMP/setup" 2>&1; then
        { grep -v '^[[:space:]]*$' "$TMP/setup" || printf 'its setup failed without a word\n'; } | tail -n 1
    elif ! peer_version "$1" >/dev/null 2>"$TMP/setup"; then
        { grep -v '^[[:space:]]*$' "$TMP/setup" || printf 'it does not tell its version\n'; } | tail -n 1
    fi
}

# peer_version NAME: for the report. Fails where the peer is not set up.
peer_version() { "$PEERS_DIR/$1/run" --version; }

# start_peer NAME CORES [THREADS]: starts it on these cores (a list for taskset) on a free port of
# 127.0.0.1 and waits until it answers. Sets SERVER_URL, SERVER_PID (what to end) and SERVER_PIDS
# (whose CPU to count). What it says goes to $TMP/server.out and $TMP/server.err.
start_peer() {
    local peer=$1 cores=$2 threads=${3:-1} tries port
    for ((tries = 0; tries < 10; tries++)); do
        # Below the range of outgoing ports, so that no connection of ours takes it meanwhile.
        port=$((20000 + RANDOM % 10000))
        ! answers_at "$port" || continue
        taskset -c "$cores" "$PEERS_DIR/$peer/run" --listen "127.0.0.1:$port" --threads "$threads" \
            </dev/null >"$TMP/server.out" 2>"$TMP/server.err" &
        SERVER_PID=$!
        OWN_PIDS+=("$SERVER_PID")
        SERVER_URL=http://127.0.0.1:$port
        if wait_for_peer "$port"; then
            mapfile -t SERVER_PIDS < <(process_tree "$SERVER_PID")
            return 0
        fi
        end_process "$SERVER_PID"
        grep -qi 'address.* in use' "$TMP/server.err" || break
    done
    note "$PROGRAM: $peer did not start:"
    sed 's/^/    /' "$TMP/server.err" >&2
    return 1
}

answers_at() { (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Whether an HTTP server answers there. That a port takes connections does not mean that a worker is
# there to serve them: a master process may have opened it.
speaks_http() {
    (
        exec {peer}<>"/dev/tcp/127.0.0.1/$1" || exit 1
        printf 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&"$peer"
        read -r -t 5 line <&"$peer" && [[ $line == HTTP/1.* ]]
    ) 2>/dev/null
}

# Until it answers, for 20 s at most: some need seconds to load what they are made of.
wait_for_peer() {
    local port=$1 deadline=$((SECONDS + 20))
    while ((SECONDS < deadline)); do
        kill -0 "$SERVER_PID" 2>/dev/null || return 1
        ! speaks_http "$port" || return 0
        sleep 0.05
    done
    note "$PROGRAM: nothing answered at port $port within 20 s"
    return 1
}

# process_tree PID: prints it and all that descend from it, one a line.
process_tree() {
    local child children
    printf '%s\n' "$1"
    read -ra children < <(cat "/proc/$1/task/"*/children 2>/dev/null | tr '\n' ' ')
    for child in "${children[@]}"; do process_tree "$child"; done
}
