# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # set here and read by the scripts that source this, or the reverse
# The servers that ringserve is compared with: how each is built and started. To be sourced after
# lib.sh. What they are and how they are tuned stands at the head of each in scripts/peers/NAME/.

ALL_PEERS=(nginx h2o may_minihttp hyper actix-web ntex)
PEERS_DIR=$IN_DIR/scripts/peers

# Prints what keeps a peer from being used here, or nothing. Builds it where it has to be built.
why_not_peer() {
    local peer=$1
    case $peer in
    nginx | h2o)
        PATH=$PATH:/usr/sbin:/sbin # where Debian keeps nginx, and users do not look
        command -v "$peer" >/dev/null || printf 'not found: apt-get install %s' "$peer"
        ;;
    *)
        [[ -f $PEERS_DIR/$peer/Cargo.toml ]] || {
            printf 'there is no scripts/peers/%s' "$peer"
            return
        }
        note "Building scripts/peers/$peer..."
        build_peer "$peer" >"$TMP/build" 2>&1 ||
            printf 'it does not build: %s' "$(grep -m 1 '^error' "$TMP/build" || tail -n 1 "$TMP/build")"
        ;;
    esac
}

# Outside the workspace, with a lock file of its own; in one folder under the workspace's target, so
# that what they share is compiled once.
build_peer() {
    command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-${HOME-}/.cargo}/bin
    (cd "$PEERS_DIR/$1" && cargo build --release --locked --target-dir "$(peers_target)")
}

peers_target() { printf '%s/peers' "${CARGO_TARGET_DIR:-$IN_DIR/target}"; }

# peer_version NAME: for the report.
peer_version() {
    case $1 in
    nginx) nginx -v 2>&1 | sed 's/.*: //' ;;
    h2o) h2o --version | head -n 1 ;;
    *)
        awk -v peer="$1" '
            $0 == "name = \"" peer "\"" { here = 1 }
            here && /^version/ { gsub(/[^0-9.]/, ""); print peer, $0; exit }' "$PEERS_DIR/$1/Cargo.lock"
        ;;
    esac
}

# start_peer NAME CORE: starts it there with one thread on a free port of 127.0.0.1 and waits until it
# takes connections. Sets SERVER_URL, SERVER_PID (what to end) and SERVER_PIDS (whose CPU to count).
start_peer() {
    local peer=$1 core=$2 tries port command
    for ((tries = 0; tries < 10; tries++)); do
        # Below the range of outgoing ports, so that no connection of ours takes it meanwhile.
        port=$((20000 + RANDOM % 10000))
        ! answers_at "$port" || continue
        command=(taskset -c "$core")
        case $peer in
        nginx) configure_nginx "$port" && command+=(nginx -p "$TMP/nginx/" -e error.log -c nginx.conf) ;;
        h2o) configure_h2o "$port" && command+=(h2o -c "$TMP/h2o/h2o.conf") ;;
        *) command+=("$(peers_target)/release/peer-$peer" --listen "127.0.0.1:$port" --threads 1) ;;
        esac || return 1
        "${command[@]}" </dev/null >"$TMP/server.out" 2>"$TMP/server.err" &
        SERVER_PID=$!
        OWN_PIDS+=("$SERVER_PID")
        SERVER_URL=http://127.0.0.1:$port
        ! wait_for_peer "$port" || return 0
        end_process "$SERVER_PID"
        grep -qi 'address.* in use' "$TMP/server.err" || break
    done
    note "$PROGRAM: $peer did not start:"
    sed 's/^/    /' "$TMP/server.err" >&2
    return 1
}

answers_at() { (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Until the port answers and, with nginx, the workers are there: children of the master.
wait_for_peer() {
    local port=$1 tries children
    for ((tries = 0; tries < 100; tries++)); do
        kill -0 "$SERVER_PID" 2>/dev/null || return 1
        if answers_at "$port"; then
            read -ra children < <(cat "/proc/$SERVER_PID/task/"*/children 2>/dev/null | tr '\n' ' ')
            SERVER_PIDS=("$SERVER_PID" "${children[@]}")
            ((${#children[@]} == 0)) && [[ $(<"/proc/$SERVER_PID/comm") == nginx ]] || return 0
        fi
        sleep 0.05
    done
    return 1
}

configure_nginx() {
    mkdir -p "$TMP/nginx" &&
        sed -e "s/@LISTEN@/127.0.0.1:$1/" -e 's/@WORKERS@/1/' "$PEERS_DIR/nginx/nginx.conf" >"$TMP/nginx/nginx.conf"
}

configure_h2o() {
    mkdir -p "$TMP/h2o/root" && printf '%s' "$BODY" >"$TMP/h2o/root/index.txt" &&
        sed -e 's/@HOST@/127.0.0.1/' -e "s/@PORT@/$1/" -e 's/@THREADS@/1/' -e "s/@USER@/$(id -un)/" \
            -e "s|@ROOT@|$TMP/h2o/root|" "$PEERS_DIR/h2o/h2o.conf" >"$TMP/h2o/h2o.conf"
}
