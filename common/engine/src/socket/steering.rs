//! Which of the listeners that share a port gets a connection: that of the shard whose core the
//! packets come in on, so that a connection's interrupts and its shard share caches.
//!
//! The kernel is told with a program for the classic BPF machine, which gives the listener's
//! position among those that share the port, in the order in which they began to listen.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

use libc::{
    BPF_A, BPF_ABS, BPF_ALU, BPF_JA, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_MAXINSNS, BPF_MOD,
    BPF_RET, BPF_W, SKF_AD_CPU, SKF_AD_OFF, SKF_AD_RANDOM, sock_filter, sock_fprog,
};

/// Has the kernel choose among `listeners`, all of one address, by `cores`: shard i runs on
/// `cores[i % cores.len()]`, as the engine pins them.
pub(super) fn attach(listeners: &[TcpListener], cores: &[usize]) -> io::Result<()> {
    let Some(listener) = listeners.first() else { return Ok(()) };
    let mut program = program(listeners.len(), cores);
    if program.len() > BPF_MAXINSNS as usize {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    let program = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the option's value is a `sock_fprog`, whose size is given, and which points to as
    // many instructions as it says; the kernel copies them before it returns.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A connection that comes in on a core with one shard goes to that shard; with several, to any of
/// them; on a core without a shard, to the shard numbered core modulo shards.
fn program(shards: usize, cores: &[usize]) -> Vec<sock_filter> {
    let mut program = vec![load(SKF_AD_CPU)];
    for (position, &core) in cores.iter().enumerate() {
        if cores[..position].contains(&core) {
            continue;
        }
        let here: Vec<usize> =
            (0..shards).filter(|shard| cores[shard % cores.len()] == core).collect();
        if here.is_empty() {
            continue;
        }
        let choice = choice(&here);
        // Not equal: past the choice. A conditional jump reaches no further than 255.
        program.push(jump_if_equal(core as u32, 1, 0));
        program.push(instruction(BPF_JMP | BPF_JA, choice.len() as u32));
        program.extend(choice);
    }
    program.push(instruction(BPF_ALU | BPF_MOD | BPF_K, shards as u32));
    program.push(instruction(BPF_RET | BPF_A, 0));
    program
}

/// Returns one of `shards`.
fn choice(shards: &[usize]) -> Vec<sock_filter> {
    let give = |shard: usize| instruction(BPF_RET | BPF_K, shard as u32);
    let [others @ .., last] = shards else { return Vec::new() };
    if others.is_empty() {
        return vec![give(*last)];
    }
    let mut choice =
        vec![load(SKF_AD_RANDOM), instruction(BPF_ALU | BPF_MOD | BPF_K, shards.len() as u32)];
    for (number, &shard) in others.iter().enumerate() {
        choice.push(jump_if_equal(number as u32, 0, 1));
        choice.push(give(shard));
    }
    choice.push(give(*last));
    choice
}

/// Loads a value that the kernel has beside the packet.
fn load(ancillary: libc::c_int) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, (SKF_AD_OFF + ancillary) as u32)
}

fn jump_if_equal(value: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { jt, jf, ..instruction(BPF_JMP | BPF_JEQ | BPF_K, value) }
}

fn instruction(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program answers, run as the kernel would.
    fn run(program: &[sock_filter], cpu: u32, random: u32) -> u32 {
        let mut accumulator = 0;
        let mut position = 0;
        loop {
            let sock_filter { code, jt, jf, k } = program[position];
            position += 1;
            match u32::from(code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    accumulator = match k.wrapping_sub(SKF_AD_OFF as u32) as i32 {
                        SKF_AD_CPU => cpu,
                        SKF_AD_RANDOM => random,
                        other => panic!("no value {other}"),
                    };
                }
                code if code == BPF_JMP | BPF_JA => position += k as usize,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => {
                    position += usize::from(if accumulator == k { jt } else { jf });
                }
                code if code == BPF_ALU | BPF_MOD | BPF_K => accumulator %= k,
                code if code == BPF_RET | BPF_A => return accumulator,
                code if code == BPF_RET | BPF_K => return k,
                code => panic!("no instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn each_core_leads_to_its_shard_and_others_are_spread() {
        let program = program(3, &[4, 0, 7]);
        let shards: Vec<_> = (0..9).map(|cpu| run(&program, cpu, 1)).collect();
        assert_eq!(shards, [1, 1, 2, 0, 0, 2, 0, 2, 2]);
    }

    #[test]
    fn shards_that_share_a_core_share_its_connections() {
        // Cores are used in turn: shards 0 and 2 on core 5, 1 and 3 on core 6, 4 on core 5.
        let program = program(5, &[5, 6]);
        let of_core = |cpu| (0..6).map(|random| run(&program, cpu, random)).collect::<Vec<_>>();
        assert_eq!(of_core(5), [0, 2, 4, 0, 2, 4]);
        assert_eq!(of_core(6), [1, 3, 1, 3, 1, 3]);
        assert_eq!(of_core(7), [2; 6]);
    }

    #[test]
    fn no_program_leads_past_the_shards() {
        for shards in 1..70 {
            for cores in [&[0][..], &[1, 0], &[3, 3, 2], &[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]] {
                let program = program(shards, cores);
                for input in 0..100 {
                    assert!((run(&program, input % 12, input) as usize) < shards);
                }
            }
        }
    }

    #[test]
    fn a_thousand_shards_fit() {
        let cores: Vec<usize> = (0..1000).collect();
        let program = program(1000, &cores);
        assert!(program.len() <= BPF_MAXINSNS as usize);
        assert!((0..1000).all(|cpu| run(&program, cpu, 0) == cpu));
        assert_eq!(run(&program, 1234, 0), 234);
    }
}
