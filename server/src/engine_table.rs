//! `--print-engine`: what the kernel offers, and what of it a server would use.

use std::io::{self, Write};

use ringbench_engine::{
    ConnId, EngineReport, Handler, KernelOffer, Offer, Ops, Shards, probe_kernel,
};

use crate::Config;

/// Starts the engine that `config` asks for, without an address, and prints what came of it.
///
/// # Errors
///
/// When the engine cannot start, or nobody reads the table.
pub(crate) fn print(config: &Config) -> anyhow::Result<()> {
    let shards: Shards<Nothing> = ringbench_engine::start(&config.engine, Vec::new(), |_| Nothing)?;
    let report = shards.report().clone();
    shards.join()?;
    let mut table = Vec::new();
    write_table(&mut table, &probe_kernel(), &report)?;
    io::stdout().lock().write_all(&table)?;
    Ok(())
}

/// A handler that ends its shard.
struct Nothing;

impl Handler for Nothing {
    fn started(&mut self, ops: &mut Ops) {
        ops.stop();
    }

    fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {}
}

fn write_table(out: &mut Vec<u8>, offer: &KernelOffer, report: &EngineReport) -> io::Result<()> {
    writeln!(out, "engine   {}", report.engine)?;
    if let Some(why) = &report.fallback {
        writeln!(out, "         as {why}")?;
    }
    writeln!(out, "kernel   {}", offer.release)?;
    if let Some(why) = &offer.unavailable {
        writeln!(out, "io_uring cannot be used: {why}")?;
    }
    writeln!(out, "\n{:<32}{:>6}  {:<8}in use", "io_uring feature", "since", "offered")?;
    for Offer { feature, missing } in &offer.features {
        let yes_or_no = |yes| if yes { "yes" } else { "no" };
        let in_use = report.uring.as_ref().is_some_and(|uring| uring.uses(*feature));
        write!(
            out,
            "{:<32}{:>6}  {:<8}{}",
            feature.name(),
            feature.since(),
            yes_or_no(missing.is_none()),
            yes_or_no(in_use)
        )?;
        match missing {
            Some(why) => writeln!(out, "   {why}")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ringbench_engine::{Engine, UringFeature};

    use super::*;

    #[test]
    fn the_table_tells_what_is_missing() {
        let offer = KernelOffer {
            release: "6.5.0".to_owned(),
            unavailable: None,
            features: vec![
                Offer { feature: UringFeature::Sqpoll, missing: None },
                Offer { feature: UringFeature::MinWait, missing: Some("too old".to_owned()) },
            ],
        };
        let fallback = Some("it is forbidden".to_owned());
        let report = EngineReport { engine: Engine::Epoll, fallback, uring: None };
        let mut out = Vec::new();
        write_table(&mut out, &offer, &report).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("engine   epoll\n         as it is forbidden\nkernel   6.5.0\n"));
        let line = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().rev().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(line(UringFeature::Sqpoll.name())[..2], ["no", "yes"]);
        assert_eq!(line(UringFeature::MinWait.name())[..4], ["old", "too", "no", "no"]);
    }
}
