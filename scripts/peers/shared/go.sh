# shellcheck shell=bash
# shellcheck disable=SC2154,SC2317 # what lib.sh has set; functions that it calls
# What the scripts of the Go peers share. To be sourced after lib.sh.
#
# Libraries come from Debian's packages, and nothing is fetched: each peer is built in GOPATH mode, in
# which both they and shared/go are found by their import paths.

DEBIAN_GO_PATH=/usr/share/gocode
OWN_GO_PATH=$PEERS_TARGET/go/path

# go_setup [PACKAGE...]: the whole of a Go peer's `setup`. The packages are Debian's; the version of the
# last of them, which is the framework's, goes into the program.
go_setup() {
    local version=''
    has go || apt_install golang-go
    if (($# > 0)); then
        apt_install "$@"
        version=$(dpkg_version "${!#}") || fail "the version of ${!#} is not known"
    fi
    go_link ringbench/peer "$PEERS_DIR/shared/go"
    go_link "ringbench/$PEER" "$PEER_DIR"
    GO111MODULE=off CGO_ENABLED=0 GOFLAGS='' GOPATH=$OWN_GO_PATH:$DEBIAN_GO_PATH GOCACHE=$PEERS_TARGET/go/cache \
        quietly go build -ldflags "-X ringbench/peer.Name=$PEER -X ringbench/peer.Version=$version" \
        -o "$PEER_TARGET/server" "ringbench/$PEER" ||
        fail "it does not build: $(grep -m 1 '\.go:' "$LOG" || tail -n 1 "$LOG")"
}

# go_link IMPORT_PATH FOLDER: what is imported by that path is in this folder.
go_link() {
    local link=$OWN_GO_PATH/src/$1
    { mkdir -p "${link%/*}" && ln -sfn "$2" "$link"; } || fail "cannot write to $OWN_GO_PATH"
}

# go_alias IMPORT_PATH OTHER: Debian's package of a library has it at the other path, unless at this.
go_alias() {
    [[ -d $DEBIAN_GO_PATH/src/$1 ]] || go_link "$1" "$DEBIAN_GO_PATH/src/$2"
}

# run_go_peer "$@": the whole of its `run`. Go runs as many threads at a time as it is told.
run_go_peer() {
    installed() { [[ -x $PEER_TARGET/server ]]; }
    version() { "$PEER_TARGET/server" --version; }
    serve() { GOMAXPROCS=$THREADS exec "$PEER_TARGET/server" --listen "$LISTEN" --orders "$PEERS_DIR/orders.json"; }
    run_peer "$@"
}
