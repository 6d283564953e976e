//! What stands behind a flag: text to value, with an error that says what would be right.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use ringbench_http::ClientConn;
use ringbench_measure::units::{parse_count, parse_duration};

use super::{Body, HostPort, Resolve, Sources, Stages};
use crate::plan;
use crate::schedule::Stage;

/// More threads than any machine has cores are a slip of the finger.
const MAX_THREADS: u64 = 4096;
/// A table of direct descriptors has no more entries than this.
const MAX_CONNECTIONS: u64 = 1 << 20;
/// The codec keeps track of so many requests on a connection.
const MAX_PIPELINE: u64 = ClientConn::MAX_PIPELINE as u64;
/// More source addresses than this are a slip of the finger, too.
const MAX_SOURCES: usize = 65_536;

pub(super) fn parse_range(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let value = parse_count(text).map_err(|error| error.to_string())?;
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(format!("must be from {least} to {most}"))
}

pub(super) fn parse_connections(text: &str) -> Result<usize, String> {
    parse_range(text, 1, MAX_CONNECTIONS).map(|value| value as usize)
}

pub(super) fn parse_threads(text: &str) -> Result<usize, String> {
    parse_range(text, 1, MAX_THREADS).map(|value| value as usize)
}

pub(super) fn parse_requests(text: &str) -> Result<NonZeroU64, String> {
    let count = parse_count(text).map_err(|error| error.to_string())?;
    NonZeroU64::new(count).ok_or_else(|| "must be at least 1".to_owned())
}

pub(super) fn parse_pipeline(text: &str) -> Result<NonZeroU32, String> {
    let depth = parse_range(text, 1, MAX_PIPELINE)?;
    NonZeroU32::new(depth as u32).ok_or_else(|| "must be at least 1".to_owned())
}

pub(super) fn parse_positive_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() {
        return Err("must be longer than nothing".to_owned());
    }
    Ok(duration)
}

pub(super) fn parse_interval(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_millis(10);
    let interval = parse_positive_duration(text)?;
    if interval < LEAST {
        return Err("must be at least 10ms".to_owned());
    }
    Ok(interval)
}

pub(super) fn parse_body(text: &str) -> Result<Body, String> {
    match text.strip_prefix('@') {
        None => Ok(Body(text.as_bytes().to_vec())),
        Some(path) => {
            // One byte more than can be sent is enough for it to be refused, even of /dev/zero.
            let most = plan::MAX_BURST_LEN as u64 + 1;
            let mut body = Vec::new();
            File::open(path)
                .and_then(|file| file.take(most).read_to_end(&mut body))
                .map_err(|error| format!("cannot read `{path}`: {error}"))?;
            Ok(Body(body))
        }
    }
}

/// A number of things per second, from the smallest fraction to a billion.
pub(super) fn parse_rate(text: &str) -> Result<f64, String> {
    let expected = || format!("`{text}` is not a rate per second such as 500, 1.5k or 2M");
    let (digits, scale) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1e3),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    let value: f64 = digits.parse().map_err(|_| expected())?;
    let rate = value * scale;
    // Also refuses what is not a number.
    if (0.0..=1e9).contains(&rate) { Ok(rate) } else { Err(expected()) }
}

/// A number of things per second that is more than nothing, such as `500`, `1.5k` or `2M`.
///
/// # Errors
///
/// When it is none.
pub fn parse_positive_rate(text: &str) -> Result<f64, String> {
    let rate = parse_rate(text)?;
    if rate > 0.0 { Ok(rate) } else { Err("must be more than nothing".to_owned()) }
}

/// `A:B`, two rates.
pub(super) fn parse_ramp(text: &str) -> Result<(f64, f64), String> {
    let (from, to) = text
        .split_once(':')
        .ok_or_else(|| format!("`{text}` is not FROM:TO, two rates such as 100:5k"))?;
    let (from, to) = (parse_rate(from)?, parse_rate(to)?);
    if from == 0.0 && to == 0.0 {
        return Err("nothing would ever be sent".to_owned());
    }
    Ok((from, to))
}

/// `TIME@RATE,...`, where a rate may be a ramp, `FROM-TO`.
pub(super) fn parse_stages(text: &str) -> Result<Stages, String> {
    let stages = text.split(',').map(parse_stage).collect::<Result<Vec<_>, _>>()?;
    if stages.iter().all(|stage| stage.from == 0.0 && stage.to == 0.0) {
        return Err("nothing would ever be sent".to_owned());
    }
    Ok(Stages(stages))
}

fn parse_stage(text: &str) -> Result<Stage, String> {
    let (time, rate) = text.split_once('@').ok_or_else(|| {
        format!("`{text}` is not TIME@RATE, such as 10s@1k, or TIME@FROM-TO, such as 10s@1k-5k")
    })?;
    let length = parse_positive_duration(time)?;
    let (from, to) = match rate.split_once('-') {
        Some((from, to)) => (parse_rate(from)?, parse_rate(to)?),
        None => (parse_rate(rate)?, parse_rate(rate)?),
    };
    Ok(Stage { length: Some(length), from, to })
}

/// Addresses and ranges of addresses: `127.0.0.2,127.0.0.8-127.0.0.15,fd00::1`.
pub(super) fn parse_sources(text: &str) -> Result<Sources, String> {
    let mut sources = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let address = |text: &str| {
            text.trim().parse::<IpAddr>().map_err(|_| {
                format!("`{text}` is not an address or a range such as 127.0.0.2-127.0.0.9")
            })
        };
        sources.extend(address_range(part, address(first)?, address(last)?)?);
        if sources.len() > MAX_SOURCES {
            return Err(format!("more than {MAX_SOURCES} addresses"));
        }
    }
    Ok(Sources(sources))
}

fn address_range(text: &str, first: IpAddr, last: IpAddr) -> Result<Vec<IpAddr>, String> {
    let (first, last, make): (u128, u128, fn(u128) -> IpAddr) = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let bits = |address: Ipv4Addr| u128::from(address.to_bits());
            (bits(first), bits(last), |bits| Ipv4Addr::from_bits(bits as u32).into())
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            (first.to_bits(), last.to_bits(), |bits| Ipv6Addr::from_bits(bits).into())
        }
        _ => return Err(format!("`{text}` has an IPv4 and an IPv6 address")),
    };
    if first > last {
        return Err(format!("`{text}` ends before it begins"));
    }
    if last - first >= MAX_SOURCES as u128 {
        return Err(format!("`{text}` has more than {MAX_SOURCES} addresses"));
    }
    Ok((first..=last).map(make).collect())
}

/// `HOST:PORT`, where an IPv6 address is in brackets.
pub(super) fn parse_host_port(text: &str) -> Result<HostPort, String> {
    let expected = || format!("`{text}` is not HOST:PORT, such as 10.0.0.7:8080 or [::1]:80");
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(expected)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(address) => address.parse::<Ipv6Addr>().map_err(|_| expected())?.to_string(),
        None if host.is_empty() || host.contains(':') => return Err(expected()),
        None => host.to_owned(),
    };
    Ok(HostPort { host, port })
}

/// curl's `HOST:PORT:ADDRESS`.
pub(super) fn parse_resolve(text: &str) -> Result<Resolve, String> {
    let expected =
        || format!("`{text}` is not HOST:PORT:ADDRESS, such as example.com:80:127.0.0.1");
    let mut parts = text.splitn(3, ':');
    let (host, port, address) = (parts.next(), parts.next(), parts.next());
    let (Some(host), Some(port), Some(address)) = (host, port, address) else {
        return Err(expected());
    };
    let port = port.parse().map_err(|_| expected())?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = address.parse().map_err(|_| expected())?;
    Ok(Resolve { host: host.to_owned(), address: SocketAddr::new(address, port) })
}

/// The longest time that may be spent spinning before each request.
const MOST_SPIN: Duration = Duration::from_secs(1);

pub(super) fn parse_spin(text: &str) -> Result<Duration, String> {
    let spin = parse_duration(text).map_err(|error| error.to_string())?;
    if spin > MOST_SPIN {
        return Err("must be at most 1s".to_owned());
    }
    Ok(spin)
}
