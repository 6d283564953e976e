# shellcheck shell=bash
# shellcheck disable=SC2034 # what these functions set is read by the scripts that source this file
# Functions that more than one script needs. To be sourced by bash scripts in this folder.
#
# Needs nothing but bash, coreutils and awk. Sets LC_ALL=C, so that numbers have points, and IN_DIR,
# the folder of the repository.

export LC_ALL=C
PROGRAM=${0##*/}
IN_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

note() { printf '%s\n' "$*" >&2; }

die() {
    note "$PROGRAM: $*"
    exit 1
}

# Bad arguments end with 2, as in ringserve and ringload.
die_usage() {
    note "$PROGRAM: $*"
    note "Try '$PROGRAM --help'."
    exit 2
}

# want_count OPTION VALUE MAX: VALUE must be a whole number from 1 to MAX.
want_count() {
    if ! [[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || (($2 > $3)); then
        die_usage "$1 takes a whole number from 1 to $3, not '$2'"
    fi
}

# want_folder OPTION VALUE: VALUE must be a folder that is there.
want_folder() { [[ -d $2 ]] || die_usage "$1: no such folder: '$2'"; }

# --- What this script started, and its end ------------------------------------------------------

TMP=
OWN_PIDS=()

# Makes TMP, a folder that goes away with the script, and sees to it that every process started
# through start_ringserve or run_load has ended by then, whatever ends the script.
set_up_cleanup() {
    TMP=$(mktemp -d "${TMPDIR:-/tmp}/ringbench.XXXXXX") || die "cannot make a temporary folder"
    trap clean_up EXIT
    local signal
    for signal in INT TERM HUP; do
        # shellcheck disable=SC2064 # the name is meant to be filled in now
        trap "end_by_signal $signal" "$signal"
    done
}

# Ends by the same signal in the end, so that the caller sees what happened.
end_by_signal() {
    trap - "$1"
    clean_up
    kill -s "$1" "$BASHPID"
}

clean_up() {
    trap - EXIT
    # A child that was forked a moment ago, and is not yet the program it will be, has these traps too.
    ((BASHPID == $$)) || return
    local index pids=("${OWN_PIDS[@]}")
    # Last started, first ended: the load before the server.
    for ((index = ${#pids[@]} - 1; index >= 0; index--)); do
        end_process "${pids[index]}"
    done
    [[ -z $TMP ]] || rm -rf "$TMP"
}

# end_process PID: SIGTERM, and SIGKILL after 10 s. Returns the exit status of the process.
end_process() {
    local pid=$1 tries status=0
    kill -s TERM "$pid" 2>/dev/null
    for ((tries = 0; tries < 200; tries++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    if kill -s KILL "$pid" 2>/dev/null; then
        note "$PROGRAM: process $pid did not end within 10 s of SIGTERM and was killed"
    fi
    wait "$pid" 2>/dev/null || status=$?
    forget_process "$pid"
    return "$status"
}

# A pid that is gone may be given to somebody else's process: it must not be signalled again.
forget_process() {
    local kept=() pid
    for pid in "${OWN_PIDS[@]}"; do
        [[ $pid == "$1" ]] || kept+=("$pid")
    done
    OWN_PIDS=("${kept[@]}")
}

# --- The two programs ---------------------------------------------------------------------------

# find_programs [DIR]: sets RINGSERVE and RINGLOAD, to those in DIR, else to a fresh release build.
find_programs() {
    local dir=${1-}
    if [[ -z $dir ]]; then
        build_programs
        # Asked of cargo, because a configuration file or the environment may have moved it.
        dir=$(cd "$IN_DIR" && cargo metadata --format-version 1 --no-deps --offline |
            sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release
    fi
    RINGSERVE=$dir/ringserve
    RINGLOAD=$dir/ringload
    [[ -x $RINGSERVE && -x $RINGLOAD ]] || die "no ringserve and ringload in $dir"
}

build_programs() {
    # rustup's installer puts cargo here; a shell opened before does not have it in PATH yet.
    command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-${HOME-}/.cargo}/bin
    command -v cargo >/dev/null ||
        die "cargo not found: install a Rust toolchain (https://rustup.rs), then run this again"
    note "Building ringserve and ringload (release, with link-time optimisation)..."
    if ! (cd "$IN_DIR" && cargo build --release --locked -p ringserve -p ringload); then
        command -v cc >/dev/null || note "There is no C compiler here to link with: install gcc or clang."
        die "the build failed"
    fi
}

# Each connection may need a file descriptor, and the usual soft limit is 1,024.
raise_open_files() {
    local wanted=$1 hard
    hard=$(ulimit -Hn)
    [[ $hard == unlimited ]] || ((wanted <= hard)) || wanted=$hard
    [[ $(ulimit -Sn) == unlimited ]] || (($(ulimit -Sn) >= wanted)) || ulimit -Sn "$wanted"
}

# start_ringserve LOG COMMAND...: starts ringserve and waits for its ready line. Sets SERVER_PID and
# SERVER_URL. What it says goes to LOG.out and LOG.err.
start_ringserve() {
    local log=$1 tries line
    shift
    : >"$log.out" # it is read below, maybe before the shell has opened it for the server
    "$@" </dev/null >"$log.out" 2>"$log.err" &
    SERVER_PID=$!
    OWN_PIDS+=("$SERVER_PID")
    for ((tries = 0; tries < 200; tries++)); do
        # Without the newline `read` fails, so this takes whole lines only.
        if read -r line <"$log.out" && [[ $line == *'listening on http://'* ]]; then
            line=${line#*listening on }
            SERVER_URL=${line%% *}
            return 0
        fi
        kill -0 "$SERVER_PID" 2>/dev/null || break
        sleep 0.05
    done
    note "$PROGRAM: ringserve did not start:"
    sed 's/^/    /' "$log.err" >&2
    explain_io_uring
    return 1
}

# Says what on this machine commonly keeps io_uring from a program. Nothing, where nothing is known.
explain_io_uring() {
    local disabled=/proc/sys/kernel/io_uring_disabled
    if [[ -r $disabled ]]; then
        case $(<"$disabled") in
        1) note "kernel.io_uring_disabled is 1: only members of kernel.io_uring_group and root may use it." ;;
        2) note "kernel.io_uring_disabled is 2: nobody may use io_uring (sysctl kernel.io_uring_disabled=0)." ;;
        esac
    fi
    if [[ $(sed -n 's/^Seccomp:[[:space:]]*//p' /proc/self/status) == 2 ]]; then
        note "A seccomp filter is in force here; the usual ones of containers forbid io_uring."
    fi
    note "This kernel is $(uname -r); ringserve needs Linux 6.1 or newer."
}

# --- Cores and CPU time -------------------------------------------------------------------------

# Prints the cores that this process may run on, one a line.
allowed_cores() {
    expand_list "$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)"
}

# expand_list LIST: "0-2,4" -> 0 1 2 4, one a line.
expand_list() {
    local part
    for part in ${1//,/ }; do
        seq "${part%-*}" "${part#*-}"
    done
}

# cpu_ns PID...: sets CPU_NS, the run time of all their threads in nanoseconds. Forks nothing, so
# that asking does not disturb what is measured. Zero where the kernel does not keep it.
cpu_ns() {
    local pid file ns
    CPU_NS=0
    for pid in "$@"; do
        for file in "/proc/$pid/task/"*/schedstat; do
            { read -r ns _ <"$file"; } 2>/dev/null && CPU_NS=$((CPU_NS + ns))
        done
    done
}

# settle PID...: waits (2 s at most) until these use no CPU any more, so that the closing of one
# run's connections is counted to that run. Leaves CPU_NS set.
settle() {
    local tries last
    cpu_ns "$@"
    for ((tries = 0; tries < 40; tries++)); do
        last=$CPU_NS
        sleep 0.05
        cpu_ns "$@"
        ((CPU_NS - last > 500000)) || return 0
    done
}

# Sets CHILD_CPU_US: the CPU time of all children that this shell has waited for, to 1 ms. Forks
# nothing: a child of its own would be counted the next time.
child_cpu_us() {
    local line time seconds
    times >"$TMP/times"
    { read -r line && read -r line; } <"$TMP/times"
    CHILD_CPU_US=0
    for time in $line; do # user and system, as in "1m2.345s"
        seconds=${time#*m}
        seconds=${seconds%s}
        CHILD_CPU_US=$((CHILD_CPU_US + (${time%%m*} * 60 + 10#${seconds%.*}) * 1000000 + 10#${seconds#*.} * 1000))
    done
}

# run_load OUT ERR COMMAND...: runs a load generator to its end and sets LOAD_CPU_US, its CPU time
# from start to exit. Returns its exit status.
run_load() {
    local out=$1 err=$2 pid before status=0
    shift 2
    child_cpu_us
    before=$CHILD_CPU_US
    # In the background, because a trap runs only after a foreground command has ended.
    "$@" </dev/null >"$out" 2>"$err" &
    pid=$!
    OWN_PIDS+=("$pid")
    wait "$pid" || status=$?
    forget_process "$pid"
    child_cpu_us
    LOAD_CPU_US=$((CHILD_CPU_US - before))
    return "$status"
}

# --- Reports ------------------------------------------------------------------------------------

# read_report AWK_FILE FILE: reads a load generator's report into REPORT, by name
# (requests, requests_per_sec, latency_us.p99, errors.read, ...) and sums REPORT[errors].
declare -A REPORT
read_report() {
    local name value errors=0
    REPORT=()
    awk -f "$IN_DIR/scripts/lib/$1" "$2" >"$TMP/report" || return 1
    while read -r name value; do
        REPORT[$name]=$value
        [[ $name != errors.* ]] || errors=$((errors + value))
    done <"$TMP/report"
    REPORT[errors]=$errors
    [[ ${REPORT[requests]-} =~ ^[0-9]+$ ]]
}
