# shellcheck shell=bash
# Part of scripts/tests/tuning. What cannot be done is said, with the reason and the exit code.

test_absent() {
    make_root
    local before
    before=$(snapshot)
    make_profile absent sysctl.conf $'net.ipv4.tcp_fin_timeout = 11\nnet.ipv4.no_such_key = 1'
    apply "$profile"
    same 'absent: exit code' 1 "$code"
    has 'absent: is said' '^absent +net.ipv4.no_such_key \(required\)$' "$out"
    as_before 'absent: nothing was changed' "$before"
    make_profile absent sysctl.conf $'net.ipv4.tcp_fin_timeout = 11\n-net.ipv4.no_such_key = 1'
    apply "$profile"
    same 'absent but optional: exit code' 0 "$code"
    has 'absent but optional: is said' '^absent +net.ipv4.no_such_key \(optional\)$' "$out"
    same 'absent but optional: the other is applied' 11 "$(sysctl_get net.ipv4.tcp_fin_timeout)"
    revert
    as_before 'absent but optional: as before' "$before"
}

# refused NAME LINE REASON: required, it fails and takes back what came before it; optional, it is said.
refused() {
    make_root
    local before
    before=$(snapshot)
    make_profile refused sysctl.conf $'net.ipv4.tcp_fin_timeout = 11\n'"$2"$'\nnet.ipv4.tcp_retries2 = 8'
    apply "$profile"
    same "$1: exit code" 1 "$code"
    has "$1: the reason" "^refused +${2%% *} .*$3" "$out"
    as_before "$1: undone" "$before"
    make_profile refused sysctl.conf $'net.ipv4.tcp_fin_timeout = 11\n-'"$2"$'\nnet.ipv4.tcp_retries2 = 8'
    apply "$profile"
    same "$1, optional: exit code" 0 "$code"
    has "$1, optional: the reason" "^refused +${2%% *} .*$3" "$out"
    same "$1, optional: the rest is applied" '11 8' \
        "$(sysctl_get net.ipv4.tcp_fin_timeout) $(sysctl_get net.ipv4.tcp_retries2)"
    revert
    as_before "$1, optional: as before" "$before"
}

test_refused() {
    refused EINVAL 'net.ipv4.ip_local_port_range = 80 50' 'EINVAL: Invalid argument'
    # Readable, but not writable inside a namespace.
    refused EACCES 'net.core.rmem_max = 123456' 'EACCES: Permission denied'
    local each forbidden=''
    for each in $(sysctl_get net.ipv4.tcp_available_congestion_control); do
        [[ " $(sysctl_get net.ipv4.tcp_allowed_congestion_control) " == *" $each "* ]] || forbidden=$each
    done
    if [[ -n $forbidden ]]; then
        refused EPERM "net.ipv4.tcp_congestion_control = $forbidden" 'EPERM: Operation not permitted'
    else
        echo 'skipped EPERM: this kernel allows every congestion control that it has'
    fi
    # The kernel takes it in another spelling: only the read-back shows it.
    refused 'read back' 'net.ipv4.ip_local_reserved_ports = 8081,8080' "reads back as '8080-8081'"
}

read_only() {
    # shellcheck disable=SC2016 # The inner shell expands it.
    run unshare -m bash -c 'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && "$@"' \
        bash "$@" --root "$root"
}

test_read_only() {
    make_root
    local before
    before=$(snapshot)
    read_only "$tuning/apply.sh" documented
    same 'read-only /proc/sys: exit code' 1 "$code"
    has 'read-only /proc/sys: the reason' '^refused .*EROFS: Read-only file system' "$out"
    as_before 'read-only /proc/sys: nothing was changed' "$before"
    apply documented
    read_only "$tuning/revert.sh"
    same 'read-only /proc/sys at revert: exit code' 5 "$code"
    revert
    same 'writable again: revert works' 0 "$code"
    as_before 'writable again: as before' "$before"
}

test_bad_profiles() {
    make_root
    local each
    for each in 'sysctl.conf|net.core.somaxconn 5|sysctl.conf:1: expected' \
        'sysctl.conf|net/../../../etc/passwd = x|is not the name of a setting' \
        'sys.conf|w /etc/passwd - - - - x|is not below /sys' \
        'sys.conf|d /sys/x - - - - x|only lines of type' \
        'limits.conf|* nofile 5|expected .DOMAIN soft'; do
        make_profile wrong "${each%%|*}" "$(cut -d '|' -f 2 <<<"$each")"
        apply "$profile"
        same "bad profile '$each': exit code" 2 "$code"
        has "bad profile '$each': message" "${each##*|}" "$out"
    done
    apply no-such-profile
    same 'no such profile: exit code' 2 "$code"
    has 'no such profile: lists those that are there' '^  documented$' "$out"
    apply documented --frobnicate
    same 'unknown option: exit code' 2 "$code"
}

test_without_root() {
    local as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    if ! "${as[@]}" true 2>/dev/null; then
        echo 'skipped: cannot become another user here'
        return
    fi
    cp -r "$tuning" "$WORK/tuning"
    chmod -R a+rX "$WORK"
    run "${as[@]}" "$WORK/tuning/apply.sh" documented --persistent
    same 'without root: exit code' 4 "$code"
    has 'without root: what it would need' '^needs root +net.core.somaxconn = 65535 \(is 4096\)$' "$out"
    has 'without root: says how' 'unshare -Urn' "$out"
    run "${as[@]}" "$WORK/tuning/apply.sh" default
    has 'without root: what holds already' '^unchanged +net.core.somaxconn = 4096 \(holds already\)$' "$out"
}

# in_copy SCRIPT ARGUMENTS...: with a copy of the real /etc mounted over it, without other limits.
in_copy() {
    local script=$1
    shift
    rm -rf "${WORK:?}/etc"
    cp -a /etc "$WORK/etc"
    rm -f "$WORK"/etc/security/limits.d/*.conf
    run unshare -m bash -c "mount --bind '$WORK/etc' /etc || exit 99
        tuning='$tuning' state='$WORK/session-state'
        $script" bash "$@"
}

test_sessions() {
    if [[ $(id -u) != 0 ]] || ! su -s /bin/sh nobody -c true 2>/dev/null; then
        echo 'skipped: no session of another user opens here'
        return
    fi
    local low=$(($(ulimit -Hn) / 2))
    make_profile session limits.conf "* soft nofile $((low - 1))
* hard nofile $low
root soft nofile $((low - 2))
root hard nofile $low" pam.conf 'session required pam_limits.so'
    # shellcheck disable=SC2016
    in_copy 'before=$(cd /etc && find . -type f -exec sha256sum {} + | sort)
        "$tuning/apply.sh" "$1" --persistent --state "$state"; echo "apply $?"
        su -s /bin/sh nobody -c "ulimit -n"
        "$tuning/status.sh" "$1" --state "$state"; echo "status $?"
        "$tuning/revert.sh" --state "$state"; echo "revert $?"
        [ "$before" = "$(cd /etc && find . -type f -exec sha256sum {} + | sort)" ] && echo as before' "$profile"
    has 'session: apply' '^apply 0$' "$out"
    has 'session: has the limits' "^holds +soft nofile of a session of nobody = $((low - 1))$" "$out"
    has 'session: root has its own' "^holds +soft nofile of a session of root = $((low - 2))$" "$out"
    has 'session: so says a session' "^$((low - 1))$" "$out"
    has 'session: status' '^status 0$' "$out"
    has 'session: revert' '^revert 0$' "$out"
    has 'session: /etc is as before' '^as before$' "$out"

    # What another file overrides: the session shows it.
    # shellcheck disable=SC2016
    in_copy 'mkdir -p /etc/security/limits.d; echo "* soft nofile 77" >/etc/security/limits.d/99.conf
        "$tuning/apply.sh" "$1" --persistent --state "$state"; echo "apply $?"
        grep -c ringbench /etc/security/limits.conf' "$profile"
    has 'overridden: apply' '^apply 1$' "$out"
    has 'overridden: says what a session has' '^refused +soft nofile of a session of nobody .*opens with 77\)$' "$out"
    has 'overridden: undone' '^0$' "$out"

    # Where pam_limits could not raise the limit, and would open a session with less and no error.
    # shellcheck disable=SC2016
    in_copy 'ulimit -n '"$((low / 2))"'
        setpriv --bounding-set -sys_resource "$tuning/apply.sh" "$1" --persistent --state "$state"; echo "apply $?"
        grep -c ringbench /etc/security/limits.conf' "$profile"
    has 'not to be raised: apply' '^apply 1$' "$out"
    has 'not to be raised: says why' "^refused +/etc/security/limits.conf .*from the hard limit $((low / 2)) to [0-9]+ without CAP_SYS_RESOURCE" "$out"
    has 'not to be raised: not tried' '^0$' "$out"
}
