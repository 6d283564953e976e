# shellcheck shell=bash
# shellcheck disable=SC2154,SC2317 # what lib.sh has set; functions that it calls
# What the scripts of the Python peers share. To be sourced after lib.sh.
#
# Each peer has an environment of its own with the packages of its requirements.txt, which names the
# version and the hashes of each.

VENV=$PEER_TARGET/venv

# python_setup: the whole of a Python peer's `setup`, where the packages bring what they need.
python_setup() {
    has python3 || apt_install python3
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "needs Python 3.11 or newer; python3 is $(python3 --version)"
    # Debian's python3 can make no environment with pip in it without this.
    python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
    local stamp
    stamp=$(python3 -VV && sha256sum <"$PEER_DIR/requirements.txt") || fail "cannot read $PEER_DIR/requirements.txt"
    [[ ! -f $PEER_TARGET/ready || $(<"$PEER_TARGET/ready") != "$stamp" ]] || return 0
    rm -rf "$PEER_TARGET"
    mkdir -p "$PEER_TARGET" || fail "cannot make the folder $PEER_TARGET"
    quietly python3 -m venv "$VENV" || fail "python3 -m venv: $(tail -n 1 "$LOG")"
    PIP_DISABLE_PIP_VERSION_CHECK=1 quietly "$VENV/bin/pip" install --no-input --no-deps --require-hashes \
        -r "$PEER_DIR/requirements.txt" || fail "pip install: $(grep -m 1 '^ERROR' "$LOG" || tail -n 1 "$LOG")"
    printf '%s\n' "$stamp" >"$PEER_TARGET/ready" || fail "cannot write to $PEER_TARGET"
}

installed() { [[ -f $PEER_TARGET/ready && -x $VENV/bin/python ]]; }

# python_version PACKAGE...: prints the version of the first and, in parentheses, of the others and of Python.
python_version() {
    "$VENV/bin/python" -c '
import platform, sys
from importlib.metadata import version
first, *others = (f"{name} {version(name)}" for name in sys.argv[1:])
print(first, "(" + ", ".join([*others, f"{platform.python_implementation()} {platform.python_version()}"]) + ")")
' "$@"
}

# python_exec ARGUMENT...: becomes the peer's Python, in the peer's folder, where its modules are found
# and nothing is written.
python_exec() {
    cd "$PEER_DIR" || fail "cannot enter $PEER_DIR"
    PYTHONDONTWRITEBYTECODE=1 exec "$VENV/bin/python" "$@"
}
