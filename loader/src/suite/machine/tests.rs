//! The facts of machines that are made up, below a folder of their own.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::describe_at;

/// A folder that goes when the test does.
struct Made(PathBuf);

impl Made {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder =
            std::env::temp_dir().join(format!("ringload-machine-{name}-{}", std::process::id()));
        // What an earlier process of the same number left.
        let _ = fs::remove_dir_all(&folder);
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        fs::create_dir_all(&folder).expect("made");
        Self(folder)
    }

    fn facts(&self) -> String {
        let mut text = String::new();
        for (name, value) in describe_at(&self.0) {
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CPU: &str = "sys/devices/system/cpu";

#[test]
fn a_virtual_machine_of_two_cores() {
    let below = |rest: &str| format!("{CPU}/{rest}");
    let paths = [
        (below("online"), "0-1\n"),
        (below("smt/control"), "notsupported\n"),
        (below("smt/active"), "0\n"),
        (below("vulnerabilities/mds"), "Not affected\n"),
        (below("vulnerabilities/meltdown"), "Not affected\n"),
        (below("vulnerabilities/spec_store_bypass"), "Vulnerable\n"),
        (below("vulnerabilities/spectre_v2"), "Mitigation: Retpolines; STIBP: disabled\n"),
    ];
    let mut files: Vec<(&str, &str)> =
        paths.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    files.extend([
        (
            "proc/cpuinfo",
            "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\n\
             model name\t: AMD EPYC\nstepping\t: 1\nmicrocode\t: 0x1000065\n\
             flags\t\t: fpu hypervisor avx2\n\nprocessor\t: 1\nmodel name\t: other\n",
        ),
        ("proc/meminfo", "MemTotal:       24684092 kB\nSwapTotal:             0 kB\n"),
        ("proc/sys/kernel/ostype", "Linux\n"),
        ("proc/sys/kernel/osrelease", "6.18.44\n"),
        ("proc/sys/kernel/arch", "x86_64\n"),
        ("proc/sys/kernel/hostname", "secret-host\n"),
        ("proc/sys/kernel/io_uring_disabled", "0\n"),
        ("proc/cmdline", "root=UUID=secret-disk mitigations=auto ro nosmt quiet\n"),
        ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
        ("proc/self/cgroup", "0::/user.slice/secret.scope\n"),
        ("sys/fs/cgroup/user.slice/secret.scope/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n"),
        ("proc/sys/net/core/somaxconn", "4096\n"),
        ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
        ("proc/sys/net/ipv4/tcp_congestion_control", "cubic\n"),
        (
            "proc/self/limits",
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max open files            1024                 524288               files     \n\
             Max locked memory         8388608              unlimited            bytes     \n",
        ),
        ("proc/stat", "cpu  100 10 200 600 50 5 25 10 40 0\ncpu0 1\n"),
        ("proc/loadavg", "0.31 0.20 0.10 1/200 4711\n"),
    ]);
    let expected = "\
CPU: AMD EPYC (family 26, model 2, stepping 1, microcode 0x1000065)
Cores: 2 on line (0-1), no SMT to be seen
Hypervisor: yes: other machines may share its cores
Memory: 23.54GB, no swap
Kernel: Linux 6.18.44 x86_64
Kernel parameters: mitigations=auto nosmt
Mitigations: in force: spectre_v2 (Retpolines; STIBP: disabled); without: spec_store_bypass (Vulnerable); not affected by 2 others
CPU frequency: not in the kernel's hands (no governor)
Clock source: tsc
Transparent huge pages: madvise
CPU quota (cgroup): 1.50 cores
net.core.somaxconn: 4096
net.ipv4.ip_local_port_range: 32768 60999
net.ipv4.tcp_congestion_control: cubic
kernel.io_uring_disabled: 0
Open files: 1024 soft, 524288 hard
Locked memory, bytes: 8388608 soft, unlimited hard
Steal since boot: 1.000 % of all CPU time
Load average: 0.31, 0.20, 0.10 (1, 5, 15 minutes)
";
    let facts = Made::new("virtual", &files).facts();
    assert_eq!(facts, expected);
    assert!(!facts.contains("secret"));
}

#[test]
fn a_machine_of_its_own_with_governors() {
    let below = |rest: &str| format!("{CPU}/{rest}");
    let paths = [
        (below("online"), "0-3,8,10-11\n"),
        (below("smt/control"), "on\n"),
        (below("smt/active"), "1\n"),
        (below("cpu0/cpufreq/scaling_governor"), "performance\n"),
        (below("cpu0/cpufreq/scaling_driver"), "intel_pstate\n"),
        (below("cpu10/cpufreq/scaling_governor"), "powersave\n"),
        (below("cpu3/cpufreq/scaling_governor"), "performance\n"),
        (below("intel_pstate/no_turbo"), "1\n"),
    ];
    let mut files: Vec<(&str, &str)> =
        paths.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    files.push(("proc/cpuinfo", "CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"));
    files.push(("proc/meminfo", "MemTotal: 1048576 kB\nSwapTotal: 524288 kB\n"));
    files.push(("proc/cmdline", "quiet\n"));
    let expected = "\
CPU: implementer 0x41, part 0xd0c
Cores: 7 on line (0-3,8,10-11), SMT on (active)
Hypervisor: none that the CPU tells of
Memory: 1.00GB, swap 512.00MB
Kernel parameters: none that bears on speed
Mitigations: not told by the kernel
CPU frequency: governor performance and powersave, driver intel_pstate, no boost
";
    assert_eq!(Made::new("metal", &files).facts(), expected);
}

#[test]
fn what_is_not_there_is_said_or_left_out() {
    let expected = "\
CPU: not told by /proc/cpuinfo
Hypervisor: none that the CPU tells of
Mitigations: not told by the kernel
CPU frequency: not in the kernel's hands (no governor)
";
    assert_eq!(Made::new("empty", &[]).facts(), expected);
    assert_eq!(describe_at(Path::new("/nowhere/at/all")).len(), 4);
}

/// Whatever this machine is.
#[test]
fn this_machine_can_be_described() {
    let facts = super::describe();
    for name in ["CPU", "Cores", "Memory", "Kernel", "net.core.somaxconn", "Open files"] {
        assert!(facts.iter().any(|(known, _)| known == name), "{name}: {facts:?}");
    }
    assert!(facts.iter().all(|(_, value)| !value.is_empty() && !value.contains('\n')), "{facts:?}");
}
