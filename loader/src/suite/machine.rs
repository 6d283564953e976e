//! The machine that a suite ran on, in facts that explain its figures: CPU, kernel, mitigations,
//! what is set, what is allowed. Nothing that names a host or a user is among them.

use std::fs;
use std::path::{Path, PathBuf};

use ringbench_measure::{MachineTimes, units};

/// Facts about this machine, in the order in which they are to be told. Settings of the network are
/// those of the network namespace of whoever asks.
pub fn describe() -> Vec<(String, String)> {
    describe_at(Path::new("/"))
}

/// The same from files below `root` in place of `/`. What is not there is left out, but for what a
/// reader would look for.
pub fn describe_at(root: &Path) -> Vec<(String, String)> {
    let root = Root(root);
    let mut facts = Vec::new();
    let mut tell = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.push((name.to_owned(), value));
        }
    };
    tell("CPU", Some(cpu(&root)));
    tell("Cores", cores(&root));
    tell("Hypervisor", Some(hypervisor(&root)));
    tell("Memory", memory(&root));
    tell("Kernel", kernel(&root));
    tell("Kernel parameters", parameters(&root));
    tell("Mitigations", Some(mitigations(&root)));
    tell("CPU frequency", Some(frequency(&root)));
    tell(
        "Clock source",
        root.line("sys/devices/system/clocksource/clocksource0/current_clocksource"),
    );
    tell("Transparent huge pages", chosen(&root, "sys/kernel/mm/transparent_hugepage/enabled"));
    tell("CPU quota (cgroup)", quota(&root));
    for key in SYSCTLS {
        tell(key, root.line(&format!("proc/sys/{}", key.replace('.', "/"))));
    }
    tell("Open files", limit(&root, "Max open files"));
    tell("Locked memory, bytes", limit(&root, "Max locked memory"));
    tell("Steal since boot", steal(&root));
    tell("Load average", load(&root));
    facts
}

/// What a benchmark over TCP depends on.
const SYSCTLS: [&str; 24] = [
    "net.core.somaxconn",
    "net.core.netdev_max_backlog",
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.core.busy_poll",
    "net.core.busy_read",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_notsent_lowat",
    "fs.file-max",
    "fs.nr_open",
    "kernel.io_uring_disabled",
    "kernel.numa_balancing",
    "kernel.sched_autogroup_enabled",
    "vm.swappiness",
];

/// Parameters of the kernel that change what its work costs. The others may say more of a machine
/// than a report should.
const PARAMETERS: [&str; 21] = [
    "mitigations",
    "nopti",
    "pti",
    "nospectre_v1",
    "nospectre_v2",
    "spectre_v2",
    "spec_store_bypass_disable",
    "retbleed",
    "nosmt",
    "isolcpus",
    "nohz_full",
    "rcu_nocbs",
    "idle",
    "processor.max_cstate",
    "intel_idle.max_cstate",
    "intel_pstate",
    "amd_pstate",
    "transparent_hugepage",
    "audit",
    "preempt",
    "clocksource",
];

/// The place of `/`.
struct Root<'a>(&'a Path);

impl Root<'_> {
    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.0.join(path)).ok()
    }

    /// What stands in a file, with one space between words; `None` if that is nothing.
    fn line(&self, path: &str) -> Option<String> {
        let text = self.text(path)?;
        let words: Vec<&str> = text.split_whitespace().collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// The names in a folder, in order.
    fn names(&self, path: &str) -> Vec<String> {
        let Ok(folder) = fs::read_dir(self.0.join(path)) else { return Vec::new() };
        let names = folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// The first value of a key in text of lines such as `key : value`.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let of = |line: &'a str| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    };
    text.lines().find_map(of).filter(|value| !value.is_empty())
}

fn cpu(root: &Root<'_>) -> String {
    let text = root.text("proc/cpuinfo").unwrap_or_default();
    let part = |key, name| value(&text, key).map(|value| format!("{name} {value}"));
    if let Some(model) = value(&text, "model name") {
        let numbers = [
            part("cpu family", "family"),
            part("model", "model"),
            part("stepping", "stepping"),
            part("microcode", "microcode"),
        ];
        let numbers: Vec<String> = numbers.into_iter().flatten().collect();
        let numbers =
            if numbers.is_empty() { String::new() } else { format!(" ({})", numbers.join(", ")) };
        return format!("{model}{numbers}");
    }
    // Arm's have numbers in place of a name.
    let numbers = [part("CPU implementer", "implementer"), part("CPU part", "part")];
    let numbers: Vec<String> = numbers.into_iter().flatten().collect();
    if numbers.is_empty() { "not told by /proc/cpuinfo".to_owned() } else { numbers.join(", ") }
}

fn cores(root: &Root<'_>) -> Option<String> {
    let online = root.line("sys/devices/system/cpu/online")?;
    let count: usize = online
        .split(',')
        .map(|range| match range.split_once('-') {
            Some((first, last)) => {
                let ends = (first.parse::<usize>(), last.parse::<usize>());
                if let (Ok(first), Ok(last)) = ends { (last + 1).saturating_sub(first) } else { 0 }
            }
            None => usize::from(range.parse::<usize>().is_ok()),
        })
        .sum();
    let smt = match root.line("sys/devices/system/cpu/smt/control").as_deref() {
        None => String::new(),
        Some("notsupported" | "notimplemented") => ", no SMT to be seen".to_owned(),
        Some(control) => {
            let active = root.line("sys/devices/system/cpu/smt/active");
            let active = if active.as_deref() == Some("1") { "active" } else { "not active" };
            format!(", SMT {control} ({active})")
        }
    };
    Some(format!("{count} on line ({online}){smt}"))
}

fn hypervisor(root: &Root<'_>) -> String {
    let text = root.text("proc/cpuinfo").unwrap_or_default();
    let flagged = value(&text, "flags")
        .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"));
    match (root.line("sys/hypervisor/type"), flagged) {
        (Some(kind), _) => format!("yes, {kind}: other machines share its cores"),
        (None, true) => "yes: other machines may share its cores".to_owned(),
        (None, false) => "none that the CPU tells of".to_owned(),
    }
}

fn memory(root: &Root<'_>) -> Option<String> {
    let text = root.text("proc/meminfo")?;
    let bytes = |key| {
        let kilobytes: u64 = value(&text, key)?.strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes as f64 * 1_024.0)
    };
    let total = units::bytes(bytes("MemTotal")?);
    Some(match bytes("SwapTotal") {
        Some(swap) if swap > 0.0 => format!("{total}, swap {}", units::bytes(swap)),
        _ => format!("{total}, no swap"),
    })
}

fn kernel(root: &Root<'_>) -> Option<String> {
    let parts = ["proc/sys/kernel/ostype", "proc/sys/kernel/osrelease", "proc/sys/kernel/arch"];
    let parts: Vec<String> = parts.into_iter().filter_map(|path| root.line(path)).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn parameters(root: &Root<'_>) -> Option<String> {
    let line = root.line("proc/cmdline")?;
    let is_told = |word: &&str| {
        let name = word.split_once('=').map_or(*word, |(name, _)| name);
        PARAMETERS.contains(&name)
    };
    let told: Vec<&str> = line.split(' ').filter(is_told).collect();
    Some(if told.is_empty() { "none that bears on speed".to_owned() } else { told.join(" ") })
}

fn mitigations(root: &Root<'_>) -> String {
    const FOLDER: &str = "sys/devices/system/cpu/vulnerabilities";
    let (mut in_force, mut open, mut unaffected) = (Vec::new(), Vec::new(), 0_usize);
    for name in root.names(FOLDER) {
        let Some(state) = root.line(&format!("{FOLDER}/{name}")) else { continue };
        if state.starts_with("Not affected") {
            unaffected += 1;
        } else if let Some(how) = state.strip_prefix("Mitigation: ") {
            in_force.push(format!("{name} ({how})"));
        } else {
            open.push(format!("{name} ({state})"));
        }
    }
    if in_force.is_empty() && open.is_empty() && unaffected == 0 {
        return "not told by the kernel".to_owned();
    }
    let list = |all: &[String]| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    format!(
        "in force: {}; without: {}; not affected by {unaffected} others",
        list(&in_force),
        list(&open)
    )
}

fn frequency(root: &Root<'_>) -> String {
    const FOLDER: &str = "sys/devices/system/cpu";
    let is_core = |name: &String| {
        let number = name.strip_prefix("cpu").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    };
    let mut governors: Vec<String> = root
        .names(FOLDER)
        .iter()
        .filter(|name| is_core(name))
        .filter_map(|name| root.line(&format!("{FOLDER}/{name}/cpufreq/scaling_governor")))
        .collect();
    governors.sort();
    governors.dedup();
    if governors.is_empty() {
        return "not in the kernel's hands (no governor)".to_owned();
    }
    let driver = root.line(&format!("{FOLDER}/cpu0/cpufreq/scaling_driver"));
    let driver = driver.map_or_else(String::new, |driver| format!(", driver {driver}"));
    let boost = root.line(&format!("{FOLDER}/cpufreq/boost")).or_else(|| {
        let none = root.line(&format!("{FOLDER}/intel_pstate/no_turbo"))?;
        Some(if none == "0" { "1" } else { "0" }.to_owned())
    });
    let boost = match boost.as_deref() {
        Some("0") => ", no boost",
        Some(_) => ", with boost",
        None => "",
    };
    format!("governor {}{driver}{boost}", governors.join(" and "))
}

/// What stands in brackets.
fn chosen(root: &Root<'_>, path: &str) -> Option<String> {
    let line = root.line(path)?;
    let (_, rest) = line.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

/// The least CPU time that the groups of this process grant, in cores.
fn quota(root: &Root<'_>) -> Option<String> {
    let text = root.text("proc/self/cgroup")?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut folder = PathBuf::from("sys/fs/cgroup").join(own);
    let mut least: Option<f64> = None;
    while folder.starts_with("sys/fs/cgroup") {
        let line = folder.join("cpu.max").to_str().and_then(|path| root.line(path));
        let granted = line.and_then(|line| {
            let (quota_us, period_us) = line.split_once(' ')?;
            Some(quota_us.parse::<f64>().ok()? / period_us.parse::<f64>().ok()?)
        });
        least = match (least, granted) {
            (Some(least), Some(granted)) => Some(least.min(granted)),
            (least, granted) => least.or(granted),
        };
        folder.pop();
    }
    least.map(|cores| format!("{cores:.2} cores"))
}

/// Soft and hard limit of this process.
fn limit(root: &Root<'_>, name: &str) -> Option<String> {
    let text = root.text("proc/self/limits")?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let mut words = rest.split_whitespace();
    Some(format!("{} soft, {} hard", words.next()?, words.next()?))
}

fn steal(root: &Root<'_>) -> Option<String> {
    let times = MachineTimes::parse(&root.text("proc/stat")?)?;
    Some(format!("{:.3} % of all CPU time", times.share(times.steal) * 100.0))
}

fn load(root: &Root<'_>) -> Option<String> {
    let line = root.line("proc/loadavg")?;
    let mut words = line.split(' ');
    Some(format!("{}, {}, {} (1, 5, 15 minutes)", words.next()?, words.next()?, words.next()?))
}

#[cfg(test)]
mod tests;
