//! What the system allows, compared with what a run wants.

use std::fs;

use ringbench_engine::Engine;

use crate::config::{Config, Place};

/// Descriptors that a run needs beside its connections, generously.
const OTHER_DESCRIPTORS: u64 = 64;
const PORT_RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// The bounds that a run may run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemLimits {
    /// Open files per process, which is also the most entries that a ring's table can have.
    pub open_files: u64,
    /// Bytes of memory that may be locked, which the rings' buffers are; more than there is for the
    /// superuser, to whom the limit does not apply.
    pub locked_bytes: u64,
    /// Ports for connections to one address, where known.
    pub local_ports: Option<u64>,
    /// Cores that may be used, 0 if unknown.
    pub cores: usize,
}

impl SystemLimits {
    /// Raises the limits on open files and on locked memory as far as it goes without privilege, and
    /// reads the others.
    pub fn raise_and_read() -> Self {
        let ports = fs::read_to_string(PORT_RANGE_FILE).ok();
        Self {
            open_files: ringbench_engine::raise_nofile_limit(),
            locked_bytes: match ringbench_engine::raise_memlock_limit() {
                _ if rustix::process::geteuid().is_root() => u64::MAX,
                limit => limit,
            },
            local_ports: ports.as_deref().and_then(parse_port_range),
            cores: ringbench_engine::allowed_cores().len(),
        }
    }

    /// What stands in the way of the connections asked for; each says what would help.
    /// Ports are counted for each of so many `sources`.
    pub fn warnings(&self, config: &Config, sources: usize) -> Vec<String> {
        let (connections, threads) = (config.connections as u64, config.threads as u64);
        let direct = config.uring.direct_descriptors && config.engine != Engine::Epoll;
        let mut warnings = Vec::new();
        // Each ring has a table of its own; ordinary descriptors are the whole process's.
        let (wanted, room) = if direct {
            (connections.div_ceil(threads), self.open_files)
        } else {
            (connections, self.open_files.saturating_sub(OTHER_DESCRIPTORS))
        };
        if wanted > room {
            let whose = if direct { " per thread" } else { "" };
            warnings.push(format!(
                "-c {connections} is more than the limit on open files allows, {room}{whose}: \
                 raise it (ulimit -Hn){}",
                if direct { " or use more threads (-t)" } else { "" },
            ));
        }
        let locked = config.threads as u64 * locked_bytes_of_shard(config);
        if config.engine != Engine::Epoll && locked > self.locked_bytes {
            warnings.push(format!(
                "the rings need about {} KiB of locked memory, and {} KiB are allowed (ulimit -Hl): \
                 raise that, or lower --buffers, --ring-entries or -t",
                locked >> 10,
                self.locked_bytes >> 10,
            ));
        }
        let is_tcp = !matches!(config.connect.place, Place::Unix(_));
        let of_each = self.local_ports.filter(|_| is_tcp).unwrap_or(u64::MAX);
        let ports = of_each.saturating_mul(sources.max(1) as u64);
        if connections > ports {
            warnings.push(format!(
                "-c {connections} is more than there are local ports, {ports}: widen \
                 net.ipv4.ip_local_port_range (sysctl -w net.ipv4.ip_local_port_range='1024 65535') or \
                 connect from more addresses (--source)"
            ));
        } else if connections > ports / 2 {
            // The kernel tries the ports of one parity first, all of them.
            warnings.push(format!(
                "-c {connections} is more than half of the local ports, {ports}: past that each \
                 connect takes the kernel milliseconds; widen net.ipv4.ip_local_port_range or connect \
                 from more addresses (--source)"
            ));
        }
        // No core is in the list twice.
        let cores = if config.cores.is_empty() { self.cores } else { config.cores.len() };
        if cores > 0 && config.threads > cores {
            warnings.push(format!(
                "-t {threads} is more threads than there are cores to use, {cores}: they wait for \
                 each other, and the latencies include that; lower -t or widen --cores"
            ));
        }
        warnings
    }
}

/// What a shard's ring takes of the limit on locked memory: the queues and the table of provided
/// buffers. The buffers themselves are ordinary memory.
fn locked_bytes_of_shard(config: &Config) -> u64 {
    const SUBMISSION_BYTES: u64 = 64;
    const COMPLETION_BYTES: u64 = 16;
    const BUFFER_ENTRY_BYTES: u64 = 16;
    let entries = u64::from(config.uring.ring_entries.next_power_of_two());
    // The completion queue has four times as many entries.
    entries * (SUBMISSION_BYTES + 4 * COMPLETION_BYTES)
        + u64::from(config.uring.buffers) * BUFFER_ENTRY_BYTES
}

fn parse_port_range(text: &str) -> Option<u64> {
    let mut bounds = text.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    use crate::flags::Flags;

    fn warnings(args: &str, open_files: u64) -> Vec<String> {
        let words = ["ringload", "http://h"].into_iter().chain(args.split_whitespace());
        let config = Flags::try_parse_from(words).and_then(Flags::config).unwrap();
        SystemLimits { open_files, locked_bytes: 512 << 10, local_ports: Some(64_512), cores: 2 }
            .warnings(&config, config.connect.sources.len())
    }

    #[test]
    fn a_ring_has_a_table_of_its_own() {
        assert_eq!(warnings("-c 20000 -t 1", 20_000), [""; 0]);
        assert_eq!(warnings("-c 20000 -t 2", 10_000), [""; 0]);
        let said = warnings("-c 20001 -t 1", 20_000);
        assert!(said[0].contains("20000 per thread") && said[0].contains("-t"), "{said:?}");
    }

    #[test]
    fn ordinary_descriptors_are_shared() {
        let said = warnings("-c 20000 -t 2 --no-direct-descriptors", 20_000);
        assert!(said[0].contains("allows, 19936:"), "{said:?}");
    }

    #[test]
    fn rings_lock_memory() {
        assert_eq!(warnings("-c 8 -t 2", 1_000), [""; 0]);
        let said = warnings("-c 8 -t 2 --ring-entries 32768", 1_000);
        assert!(said[0].contains("locked memory, and 512 KiB are allowed"), "{said:?}");
        assert_eq!(warnings("-c 8 -t 2 --ring-entries 32768 --engine epoll", 1_000), [""; 0]);
    }

    #[test]
    fn threads_without_a_core_of_their_own_are_told() {
        assert_eq!(warnings("-t 2", 100_000), [""; 0]);
        let said = warnings("-t 3", 100_000);
        assert!(said.len() == 1 && said[0].contains("cores to use, 2:"), "{said:?}");
        let core = ringbench_engine::allowed_cores()[0];
        let said = warnings(&format!("-t 2 --cores {core}"), 100_000);
        assert!(said[0].contains("cores to use, 1:"), "{said:?}");
    }

    #[test]
    fn ports_are_counted() {
        assert_eq!(warnings("-c 32256", 100_000), [""; 0]);
        let said = warnings("-c 32257", 100_000);
        assert!(said[0].contains("more than half of the local ports, 64512"), "{said:?}");
        let said = warnings("-c 64513", 100_000);
        assert!(said[0].contains("64512") && said[0].contains("ip_local_port_range"), "{said:?}");
        assert_eq!(said.len(), 1);
        assert_eq!(warnings("-c 64513 --source 127.0.0.2-127.0.0.4", 100_000), [""; 0]);
        assert_eq!(warnings("-c 64513 --unix /run/x", 100_000), [""; 0]);
    }

    #[test]
    fn the_port_range_file() {
        assert_eq!(parse_port_range("32768\t60999\n"), Some(28_232));
        assert_eq!(parse_port_range("nonsense"), None);
        assert_eq!(parse_port_range(""), None);
    }
}
