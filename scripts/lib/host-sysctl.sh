# shellcheck shell=bash
# All kernel settings that can be read, to show that a test changed none.

# Those that change by themselves, or by being looked at. Paths below /proc/sys.
HOST_SYSCTL_MOVING=(
    kernel/random/uuid                # new at each read
    kernel/random/entropy_avail       # the pool
    kernel/ns_last_pid                # every fork
    kernel/pty/nr                     # every terminal
    kernel/perf_event_max_sample_rate # the kernel lowers it under load
    kernel/perf_cpu_time_max_percent  # goes with it
    fs/dentry-state fs/inode-nr fs/inode-state fs/file-nr fs/aio-nr # what is in use now
    net/netfilter/nf_conntrack_count  # connections now
    vm/stat_refresh                   # reading it is a command
)

# host_sysctl [FOLDER]: "PATH VALUE" for each, one line each.
host_sysctl() {
    local file value
    while IFS= read -r file; do
        [[ " ${HOST_SYSCTL_MOVING[*]} " != *" ${file#/proc/sys/} "* ]] || continue
        { value=$(<"$file"); } 2>/dev/null || continue
        printf '%s %s\n' "$file" "${value//[$'\t\n']/ }"
    done < <(find "${1:-/proc/sys}" -type f -perm /444 2>/dev/null | sort)
}

# host_sysctl_changes BEFORE AFTER: prints what differs; returns 1 if anything does. Settings of an
# interface that came or went meanwhile are not changes: somebody else's container did that.
host_sysctl_changes() {
    local changed
    changed=$(join -j 1 <(sed 's/ /\t/' "$1" | sort) <(sed 's/ /\t/' "$2" | sort) -t $'\t' |
        awk -F '\t' '$2 != $3 { print $1 ": " $2 " -> " $3 }'
        join -v 1 -v 2 -t $'\t' <(sed 's/ /\t/' "$1" | sort) <(sed 's/ /\t/' "$2" | sort) |
            grep -v '^/proc/sys/net/ipv[46]/\(conf\|neigh\)/')
    [[ -z $changed ]] || { printf '%s\n' "$changed"; return 1; }
}
