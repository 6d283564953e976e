# shellcheck shell=bash
# shellcheck disable=SC2154,SC2317 # what lib.sh has set; functions that it calls
# What the scripts of the JavaScript peers share. To be sourced after lib.sh.
#
# Packages from npm go to $PEER_TARGET/node_modules, by the peer's package-lock.json; their scripts are
# not run. Node.js itself is the system's.

NODE_OLDEST=20
MODULES=$PEER_TARGET/node_modules

# want_node: Node.js and npm of the system, or those of Debian if there are none.
want_node() {
    has node || apt_install nodejs
    node -e "process.exit(parseInt(process.versions.node) >= $NODE_OLDEST ? 0 : 1)" ||
        fail "needs Node.js $NODE_OLDEST or newer, and the system has $(node --version)"
    has npm || apt_install npm
}

# npm_setup: installs what package-lock.json says, unless it is there.
npm_setup() {
    local stamp
    want_node
    stamp=$(cat "$PEER_DIR/package.json" "$PEER_DIR/package-lock.json" | sha256sum) ||
        fail "cannot read package.json and package-lock.json in $PEER_DIR"
    [[ ! -f $PEER_TARGET/ready || $(<"$PEER_TARGET/ready") != "$stamp" ]] || return 0
    rm -rf "$PEER_TARGET"
    mkdir -p "$PEER_TARGET" || fail "cannot make the folder $PEER_TARGET"
    cp "$PEER_DIR/package.json" "$PEER_DIR/package-lock.json" "$PEER_TARGET" || fail "cannot write to $PEER_TARGET"
    cd "$PEER_TARGET" || fail "cannot enter $PEER_TARGET"
    quietly npm ci --omit=dev --ignore-scripts --no-audit --no-fund ||
        fail "npm ci: $(grep -m 1 'npm err' -i "$LOG" || tail -n 1 "$LOG")"
    printf '%s\n' "$stamp" >"$PEER_TARGET/ready" || fail "cannot write to $PEER_TARGET"
}

# run_node_peer PACKAGE[,PACKAGE...] "$@": the whole of the `run` of a peer with these packages from npm, or
# with none. The version is that of the first; the others and Node.js's follow in parentheses.
run_node_peer() {
    local packages=$1
    shift
    installed() { has node && { [[ -z $packages ]] || [[ -f $PEER_TARGET/ready ]]; }; }
    version() {
        # shellcheck disable=SC2016 # the dollar is JavaScript's
        node -e '
            const [modules, packages] = process.argv.slice(1);
            const versions = packages.split(",").filter(Boolean)
                .map((name) => `${name} ${require(`${modules}/${name}/package.json`).version}`);
            const [first, ...others] = [...versions, `Node.js ${process.versions.node}`];
            console.log(others.length ? `${first} (${others.join(", ")})` : first);' "$MODULES" "$packages"
    }
    # The packages are not beside the source, and NODE_PATH is where `require` looks besides.
    serve() {
        NODE_ENV=production NODE_PATH=$MODULES exec node "$PEER_DIR/server.js" --listen "$LISTEN" --threads "$THREADS"
    }
    run_peer "$@"
}

# link_first_that_runs NAME FILE...: $PEER_TARGET/NAME becomes a link to the first of these programs that
# can say its version here: of those that npm brings, not all are for this processor.
link_first_that_runs() {
    local name=$1 file
    shift
    for file in "$@"; do
        chmod +x "$file" 2>/dev/null
        if "$file" --version >/dev/null 2>&1; then
            ln -sfn "$file" "$PEER_TARGET/$name" || fail "cannot write to $PEER_TARGET"
            return
        fi
    done
    fail "none of the programs that npm brings for $name runs here"
}
