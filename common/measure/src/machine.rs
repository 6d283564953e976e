//! How the machine as a whole spends its time: `/proc/stat`.

use std::fs;

/// What time is booked for, in the order of `/proc/stat`. Time for guests follows them there; it is part
/// of user time.
pub const KINDS: [&str; 8] =
    ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// Time booked for each of [`KINDS`], for all cores together since the machine started, in ticks of
/// 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimesByKind([u64; KINDS.len()]);

impl TimesByKind {
    /// Those of this machine now; `None` if `/proc/stat` cannot be read.
    pub fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// Those in the text of `/proc/stat`.
    pub fn parse(text: &str) -> Option<Self> {
        let all = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let fields = all.split_ascii_whitespace().map_while(|field| field.parse().ok());
        let fields: Vec<u64> = fields.collect();
        Some(Self(*fields.first_chunk()?))
    }

    /// The share of each kind in the time since an earlier moment; none where no time was booked.
    pub fn shares_since(&self, before: &Self) -> impl Iterator<Item = (&'static str, f64)> + use<> {
        // The kernel's sums of idle time may step back a little.
        let spent: [u64; KINDS.len()] =
            std::array::from_fn(|at| self.0[at].saturating_sub(before.0[at]));
        let total: u64 = spent.iter().sum();
        let shares = KINDS.into_iter().zip(spent).filter(move |_| total > 0);
        shares.map(move |(kind, ticks)| (kind, ticks as f64 / total as f64))
    }
}

/// Time booked for all cores together since the machine started, in ticks of 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineTimes {
    /// Cores that are on line.
    pub cores: u64,
    /// All time.
    pub total: u64,
    /// Time that nothing ran, waiting for disks included.
    pub idle: u64,
    /// Time in soft interrupts.
    pub softirq: u64,
    /// Time that a hypervisor gave to others.
    pub steal: u64,
}

impl MachineTimes {
    /// Those of this machine now; `None` if `/proc/stat` cannot be read.
    pub fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// Those in the text of `/proc/stat`.
    pub fn parse(text: &str) -> Option<Self> {
        let [user, nice, system, idle, iowait, irq, softirq, steal] = TimesByKind::parse(text)?.0;
        let cores = text
            .lines()
            .filter_map(|line| line.strip_prefix("cpu"))
            .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
            .count();
        Some(Self {
            cores: cores as u64,
            total: user + nice + system + idle + iowait + irq + softirq + steal,
            idle: idle + iowait,
            softirq,
            steal,
        })
    }

    /// What was booked since an earlier moment. The kernel's sums of idle time may step back a
    /// little.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            cores: self.cores,
            total: self.total.saturating_sub(earlier.total),
            idle: self.idle.saturating_sub(earlier.idle),
            softirq: self.softirq.saturating_sub(earlier.softirq),
            steal: self.steal.saturating_sub(earlier.steal),
        }
    }

    /// A part of all time, 0 to 1.
    pub fn share(&self, part: u64) -> f64 {
        if self.total == 0 { 0.0 } else { (part as f64 / self.total as f64).min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 10 200 600 50 5 25 10 40 0\ncpu0 50 5 100 300 25 3 12 5 20 0\n\
                        cpu1 50 5 100 300 25 2 13 5 20 0\nintr 5 cpu2\nctxt 7\n";

    #[test]
    fn the_line_of_all_cores() {
        let times = MachineTimes::parse(STAT).unwrap();
        let expected = MachineTimes { cores: 2, total: 1_000, idle: 650, softirq: 25, steal: 10 };
        assert_eq!(times, expected);
        assert!((times.share(times.idle) - 0.65).abs() < 1e-9);
    }

    #[test]
    fn shares_by_kind() {
        let before = TimesByKind::parse("cpu  100 0 50 600 0 0 5 0 0 0\ncpu0 1 2\n").unwrap();
        let now = TimesByKind::parse("cpu  150 0 75 615 0 0 15 0 0 0\n").unwrap();
        let shares: Vec<_> = now.shares_since(&before).collect();
        assert_eq!(shares.len(), 8);
        let of = |kind: &str| shares.iter().find(|(name, _)| *name == kind).unwrap().1;
        assert!(
            (of("user") - 0.5).abs() < 1e-9 && (of("softirq") - 0.1).abs() < 1e-9,
            "{shares:?}"
        );
        assert!((shares.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(now.shares_since(&now).count(), 0);
        assert_eq!(TimesByKind::parse("cpu0 1 2 3"), None);
    }

    #[test]
    fn what_is_no_such_text() {
        for text in ["", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3\n", "cpu  a b c d e f g h\n"] {
            assert_eq!(MachineTimes::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn differences_never_go_below_zero() {
        let earlier = MachineTimes { cores: 2, total: 100, idle: 60, softirq: 1, steal: 3 };
        let later = MachineTimes { cores: 2, total: 150, idle: 59, softirq: 4, steal: 3 };
        let since = later.since(&earlier);
        assert_eq!(since, MachineTimes { cores: 2, total: 50, idle: 0, softirq: 3, steal: 0 });
        assert!(earlier.since(&earlier).share(5).abs() < f64::EPSILON, "no time, no share");
    }

    #[test]
    fn this_machine_has_cores() {
        let now = MachineTimes::now().unwrap();
        assert!(now.cores >= 1 && now.idle <= now.total, "{now:?}");
    }
}
