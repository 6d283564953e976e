# shellcheck shell=sh
# What is known about single settings: where they count, and from when.

# SCOPE becomes "namespace" where each network namespace has its own value, else "host".
key_scope() {
    case $1 in
        # Inside a namespace these are absent or read-only: one value for the whole host.
        /proc/sys/net/core/somaxconn | /proc/sys/net/core/optmem_max | /proc/sys/net/core/txrehash) SCOPE=namespace ;;
        /proc/sys/net/core/*) SCOPE=host ;;
        /proc/sys/net/ipv4/tcp_mem | /proc/sys/net/ipv4/udp_mem | /proc/sys/net/ipv4/tcp_max_orphans) SCOPE=host ;;
        /proc/sys/net/netfilter/nf_conntrack_max | /proc/sys/net/netfilter/nf_conntrack_buckets) SCOPE=host ;;
        # /sys shows the interfaces of the namespace in which it was mounted, not of the one we are in.
        /proc/sys/net/*) SCOPE=namespace ;;
        *) SCOPE=host ;;
    esac
}

# WHEN becomes the moment from which a new value counts: now, listen, socket or interface.
key_when() {
    case $1 in
        # The backlog is cut to somaxconn, and congestion control chosen, when the socket listens;
        # connections that it accepts inherit the latter.
        /proc/sys/net/core/somaxconn | /proc/sys/net/ipv4/tcp_congestion_control) WHEN=listen ;;
        # First buffer sizes are copied at socket(), and by accept() from the listener.
        /proc/sys/net/ipv4/tcp_[rw]mem | /proc/sys/net/core/[rw]mem_default) WHEN=socket ;;
        /proc/sys/net/core/default_qdisc) WHEN=interface ;;
        *) WHEN=now ;;
    esac
}

# LISTENERS becomes the number of TCP sockets that listen in this network namespace. The kernel lists
# them before all others, so the first other line ends the search.
count_listeners() {
    LISTENERS=0
    for listeners_file in "$ROOT/proc/self/net/tcp" "$ROOT/proc/self/net/tcp6"; do
        [ -r "$listeners_file" ] || continue
        while read -r listeners_slot _ _ listeners_state _; do
            [ "$listeners_slot" = sl ] && continue
            [ "$listeners_state" = 0A ] || break
            LISTENERS=$((LISTENERS + 1))
        done <"$listeners_file"
    done
}

# NOTE becomes why a value that was just written does not count yet, or empty.
restart_note() {
    NOTE=''
    key_when "$1"
    case $WHEN in
        listen | socket)
            count_listeners
            [ "$LISTENERS" = 0 ] ||
                NOTE="fixed at $WHEN(): the $LISTENERS sockets that listen already keep the old value; restart those servers"
            ;;
        interface) NOTE='counts for interfaces that come up, or get their qdisc anew, from now on' ;;
    esac
}
