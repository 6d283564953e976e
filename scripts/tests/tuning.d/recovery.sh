# shellcheck shell=bash
# Part of scripts/tests/tuning. Nothing is lost: kills, full disks, boots, two at once, other namespaces.

# killed MILLISECONDS ARGUMENTS...: starts apply as a group of its own and kills all of it.
killed() {
    local after_ms=$1 leader
    shift
    setsid "$tuning/apply.sh" "$@" --root "$root" >/dev/null 2>&1 &
    leader=$!
    sleep "$(printf '0.%03d' "$after_ms")"
    kill -9 -- "-$leader" 2>/dev/null
    wait "$leader" 2>/dev/null
    code=$?
    # Its children are nobody's: they are gone when no process of the group is left.
    while kill -0 -- "-$leader" 2>/dev/null; do sleep 0.01; done
}

test_kill() {
    make_root
    local before started took_ms i hit=0 wrote=0
    before=$(snapshot)
    started=${EPOCHREALTIME/./}
    apply documented --persistent
    took_ms=$(((${EPOCHREALTIME/./} - started) / 1000))
    ((took_ms < 999)) || took_ms=999
    revert
    printf '        kill -9 at 20 moments of %d ms, seed %d\n' "$took_ms" "$seed"
    RANDOM=$seed
    make_profile over sysctl.conf $'net.ipv4.tcp_fin_timeout = 20\nnet.ipv4.tcp_retries2 = 8' \
        limits.conf '* soft nofile 4096'
    for ((i = 1; i <= 20; i++)); do
        # Every other time over a profile that is there already.
        ((i % 2 == 1)) || apply "$profile" --persistent
        killed $((RANDOM % took_ms)) documented --persistent
        ((code != 137)) || hit=$((hit + 1))
        [[ $(sysctl_get net.ipv4.tcp_tw_reuse) == 2 ]] || wrote=$((wrote + 1))
        revert
        [[ $code == 0 ]] || bad "kill $i: revert" "$out"
        as_before "kill $i: as before" "$before"
    done
    if ((hit >= 10 && wrote >= 1)); then
        ok "kill: $hit of 20 came before the end, $wrote after the first write"
    else
        bad "kill: only $hit of 20 came before the end, $wrote after the first write"
    fi
}

# Going back can be killed, too, and is then done again.
test_kill_revert() {
    make_root
    local before i hit=0 leader
    before=$(snapshot)
    RANDOM=$seed
    for ((i = 1; i <= 10; i++)); do
        apply documented --persistent
        setsid "$tuning/revert.sh" --root "$root" >/dev/null 2>&1 &
        leader=$!
        sleep "$(printf '0.%03d' $((RANDOM % 250)))"
        kill -9 -- "-$leader" 2>/dev/null
        wait "$leader" 2>/dev/null
        [[ $? != 137 ]] || hit=$((hit + 1))
        while kill -0 -- "-$leader" 2>/dev/null; do sleep 0.01; done
        revert
        [[ $code == 0 ]] || bad "kill of revert $i: revert" "$out"
        as_before "kill of revert $i: as before" "$before"
    done
    if ((hit >= 3)); then ok "kill of revert: $hit of 10 came before the end"; else bad "kill of revert: only $hit hit"; fi
}

# After a boot the values begin anew: from where they are then, unless they are ours (sysctl.d).
test_boot() {
    make_root
    apply documented
    sed -i $'s/^boot\t.*/boot\tanother/; s/^net\t.*/net\tanother/' "$root/var/lib/ringbench/tuning/journal"
    sysctl_set net.ipv4.tcp_fin_timeout 33
    apply documented
    same 'after a boot: apply' 0 "$code"
    revert
    same 'after a boot: the original of the new boot' 33 "$(sysctl_get net.ipv4.tcp_fin_timeout)"
    same 'after a boot: what was ours still has its first original' 2 "$(sysctl_get net.ipv4.tcp_tw_reuse)"
    sysctl_set net.ipv4.tcp_fin_timeout 60
}

# SIGTERM is no crash: apply itself puts back what it had done.
test_terminated() {
    make_root
    local before i code leader
    before=$(snapshot)
    for i in 60 150 250; do
        "$tuning/apply.sh" documented --persistent --root "$root" >/dev/null 2>&1 &
        leader=$!
        sleep "0.$(printf '%03d' "$i")"
        kill -TERM "$leader" 2>/dev/null
        wait "$leader"
        code=$?
        # Before the first write there is nothing to put back, and after the last it is too late.
        [[ $code == 143 && ! -e $root/var/lib/ringbench/tuning/lock ]] || revert
        as_before "SIGTERM after $i ms (code $code): as before" "$before"
    done
}

# State folders from nothing at all to enough: each apply either works or changes nothing.
test_full_disk() {
    make_root
    local before small=$root/small pages failed=0 worked=0
    mkdir "$small"
    before=$(snapshot)
    for pages in 1 2 3 4 5 6 8 10 12 16 24; do
        mount -t tmpfs -o "size=$((pages * 4))k" small "$small" || return
        apply documented --persistent --state "$small/state"
        if ((code == 0)); then
            worked=$((worked + 1))
            cat /dev/zero >"$small/fill" 2>/dev/null
        else
            failed=$((failed + 1))
            same "full disk, $pages pages: exit code" 1 "$code"
            has "full disk, $pages pages: the reason" 'ENOSPC: No space left on device' "$out"
        fi
        revert --state "$small/state"
        same "full disk, $pages pages: revert" 0 "$code"
        umount "$small"
        as_before "full disk, $pages pages: as before" "$before"
    done
    # Otherwise the sizes are the wrong ones.
    if ((failed >= 3 && worked >= 1)); then
        ok "full disk: $failed failed, $worked worked"
    else
        bad "full disk: $failed failed, $worked worked"
    fi
}

# The disk of a file that is to be edited: what came before it is undone.
test_full_etc() {
    make_root
    local before
    mount -t tmpfs -o size=8k,mode=755 small "$root/etc/security" || return
    printf '* hard core 0\n' >"$root/etc/security/limits.conf"
    cat /dev/zero >"$root/etc/security/fill" 2>/dev/null
    before=$(snapshot)
    apply documented --persistent
    same 'full /etc: exit code' 1 "$code"
    has 'full /etc: the reason' '^refused +/etc/security/limits.conf \(ENOSPC' "$out"
    as_before 'full /etc: undone' "$before"
    same 'full /etc: the file is whole' '* hard core 0' "$(<"$root/etc/security/limits.conf")"
    umount "$root/etc/security"
}

test_locked() {
    make_root
    local state=$root/var/lib/ringbench/tuning stat
    mkdir -p "$state"
    read -r stat </proc/$$/stat
    # shellcheck disable=SC2206
    local fields=(${stat##*) })
    echo "$$ ${fields[19]}" >"$state/lock"
    apply documented
    same 'two at once: exit code' 1 "$code"
    has 'two at once: says who' "process $$ is at work" "$out"
    echo "$$ 1" >"$state/lock"
    apply documented
    same "the lock of a process that is gone: exit code" 0 "$code"
    revert
}

test_other_namespace() {
    make_root
    apply documented
    run unshare -n "$tuning/revert.sh" --root "$root"
    same 'revert in another namespace: exit code' 1 "$code"
    has 'revert in another namespace: says so' 'another network namespace' "$out"
    run unshare -n "$tuning/apply.sh" documented --root "$root"
    same 'apply in another namespace: exit code' 1 "$code"
    revert
    same 'revert in the right one: exit code' 0 "$code"
    apply documented
    run unshare -n "$tuning/revert.sh" --forget-net --root "$root"
    same 'forgotten: exit code' 0 "$code"
    apply default
    rm -rf "$root/var/lib/ringbench"
    sysctl_set net.ipv4.tcp_max_syn_backlog "$syn_backlog"
}
