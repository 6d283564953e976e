//! The request target and its forms (RFC 9112 section 3.2), and what a valid host is.

use core::net::Ipv6Addr;

use crate::RejectReason;
use crate::chars::{self, REG_NAME, TARGET};
use crate::head::Method;

/// A request target, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'b> {
    /// Path and query; of an absolute-form what follows the authority.
    pub(crate) path_and_query: &'b [u8],
    pub(crate) path: &'b [u8],
    pub(crate) query: Option<&'b [u8]>,
    /// Of absolute-form and authority-form: what overrides the Host header field.
    pub(crate) authority: Option<&'b [u8]>,
}

impl<'b> Target<'b> {
    /// Checks that `raw` has only bytes that may stand in a target, and a form that `method`
    /// allows.
    #[inline]
    pub(crate) fn parse(method: Method, raw: &'b [u8]) -> Result<Self, RejectReason> {
        if raw.first() == Some(&b'/') && method != Method::Connect {
            return Self::origin(raw, None).ok_or(RejectReason::BadTarget);
        }
        Self::other_form(method, raw).ok_or(RejectReason::BadTarget)
    }

    #[inline]
    fn origin(raw: &'b [u8], authority: Option<&'b [u8]>) -> Option<Self> {
        let end = raw.iter().position(|&b| b == b'?' || !chars::is(b, TARGET));
        let Some(end) = end else {
            return Some(Self { path_and_query: raw, path: raw, query: None, authority });
        };
        let query = &raw[end + 1..];
        let valid = raw[end] == b'?' && chars::all(query, TARGET);
        valid.then_some(Self {
            path_and_query: raw,
            path: &raw[..end],
            query: Some(query),
            authority,
        })
    }

    #[cold]
    fn other_form(method: Method, raw: &'b [u8]) -> Option<Self> {
        if method == Method::Connect {
            // Section 3.2.3: authority-form is for CONNECT only, and CONNECT has no other.
            let valid = has_port(raw) && is_valid_host(raw);
            return valid.then_some(Self {
                path_and_query: raw,
                path: raw,
                query: None,
                authority: Some(raw),
            });
        }
        if raw == b"*" {
            // Section 3.2.4: asterisk-form is for OPTIONS only.
            let options = method == Method::Options;
            return options.then_some(Self {
                path_and_query: raw,
                path: raw,
                query: None,
                authority: None,
            });
        }
        let rest = after_scheme(raw)?;
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        // RFC 9110 section 4.2.4: user information in an http URI is to be treated as an error;
        // `@` is not in the grammar of a host.
        if !is_valid_host(authority) {
            return None;
        }
        match rest.first() {
            Some(b'/') => Self::origin(rest, Some(authority)),
            // An empty path is `/`, except that of OPTIONS, which is `*` (section 3.2.4).
            None if method == Method::Options => Some(Self {
                path_and_query: b"*",
                path: b"*",
                query: None,
                authority: Some(authority),
            }),
            None => Some(Self {
                path_and_query: b"/",
                path: b"/",
                query: None,
                authority: Some(authority),
            }),
            Some(_) => Self::origin(rest, Some(authority)).map(|t| Self { path: b"/", ..t }),
        }
    }
}

fn after_scheme(raw: &[u8]) -> Option<&[u8]> {
    let strip = |scheme: &[u8]| {
        let (head, rest) = raw.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    strip(b"http://").or_else(|| strip(b"https://"))
}

/// Where the host of `host[:port]` ends: at the colon before the port, or at the end.
fn host_end(value: &[u8]) -> usize {
    let bracket = value.iter().rposition(|&b| b == b']').unwrap_or(0);
    value[bracket..].iter().position(|&b| b == b':').map_or(value.len(), |colon| bracket + colon)
}

/// Whether the port of `host[:port]` is there and is one. RFC 9110 section 9.3.6: a CONNECT to an
/// empty or invalid port is refused.
fn has_port(value: &[u8]) -> bool {
    let port = value.get(host_end(value) + 1..).and_then(|port| core::str::from_utf8(port).ok());
    port.and_then(|port| port.parse().ok()).is_some_and(|port: u16| port > 0)
}

/// Whether `value` is `uri-host [ ":" port ]` (RFC 9110 section 7.2) with a host that is not
/// empty: an http URI has none without one, and it is invalid where it is empty (section 4.2.1).
#[inline]
pub(crate) fn is_valid_host(value: &[u8]) -> bool {
    let end = value.iter().position(|&b| !chars::is(b, REG_NAME)).unwrap_or(value.len());
    match value.get(end) {
        None => end > 0,
        Some(b':') => end > 0 && value[end + 1..].iter().all(u8::is_ascii_digit),
        Some(_) => is_valid_rare_host(value),
    }
}

#[cold]
fn is_valid_rare_host(value: &[u8]) -> bool {
    let end = host_end(value);
    let (host, port) = value.split_at(end);
    let port_valid = port.is_empty() || port[1..].iter().all(u8::is_ascii_digit);
    let host_valid = match host {
        [b'[', literal @ .., b']'] => is_ip_literal(literal),
        _ => is_reg_name(host),
    };
    port_valid && host_valid
}

fn is_ip_literal(literal: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = literal {
        // IPvFuture = "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )
        let Some(dot) = future.iter().position(|&b| b == b'.') else { return false };
        let (version, address) = (&future[..dot], &future[dot + 1..]);
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address.iter().all(|&b| b == b':' || chars::is(b, REG_NAME));
    }
    core::str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_reg_name(mut host: &[u8]) -> bool {
    if host.is_empty() {
        return false;
    }
    loop {
        host = match host {
            [] => return true,
            [b'%', a, b, rest @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest,
            [b, rest @ ..] if chars::is(*b, REG_NAME) => rest,
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let valid = [
            "a",
            "a:80",
            "a:",
            "127.0.0.1:8080",
            "0.0.0.0=5000",
            "[::1]",
            "[::1]:80",
            "a%20b",
            "[v1.a:b]",
            "ex-ample.com",
            "xn--nxasmq6b",
            "a,b",
        ];
        let invalid = [
            "",
            ":80",
            "a:b",
            "a:80:80",
            "a b",
            "a/b",
            "u@a",
            "a?b",
            "a#b",
            "[::1",
            "::1",
            "[]",
            "[::1]x",
            "[zz]",
            "[::1%eth0]",
            "a%2",
            "a%zz",
            "\u{e9}",
            "a\\b",
            "[v1]",
            "[v.a]",
            "[]:80",
            "a[::1]",
            "[::1]:8x",
            "a, b",
        ];
        for host in valid {
            assert!(is_valid_host(host.as_bytes()), "{host:?} is valid");
        }
        for host in invalid {
            assert!(!is_valid_host(host.as_bytes()), "{host:?} is invalid");
        }
    }

    /// Path and query, path, query, authority.
    type Parts<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>);

    fn parse(method: Method, raw: &str) -> Option<Parts<'_>> {
        let text = |bytes| core::str::from_utf8(bytes).unwrap();
        let t = Target::parse(method, raw.as_bytes()).ok()?;
        Some((text(t.path_and_query), text(t.path), t.query.map(text), t.authority.map(text)))
    }

    #[test]
    fn origin_form() {
        assert_eq!(parse(Method::Get, "/"), Some(("/", "/", None, None)));
        assert_eq!(parse(Method::Get, "/a?b?c"), Some(("/a?b?c", "/a", Some("b?c"), None)));
        assert_eq!(parse(Method::Get, "/a?"), Some(("/a?", "/a", Some(""), None)));
        assert_eq!(parse(Method::Get, "/\"{|}\""), Some(("/\"{|}\"", "/\"{|}\"", None, None)));
        for bad in ["/a#b", "/a?b#c", "/\u{e9}", "a", "", "?a", "/\u{7f}"] {
            assert_eq!(parse(Method::Get, bad), None, "{bad:?}");
        }
    }

    #[test]
    fn absolute_form() {
        let a = Some("a:80");
        assert_eq!(parse(Method::Get, "http://a:80/b?c"), Some(("/b?c", "/b", Some("c"), a)));
        assert_eq!(parse(Method::Get, "HTTPS://a:80"), Some(("/", "/", None, a)));
        assert_eq!(parse(Method::Get, "http://a:80?c"), Some(("?c", "/", Some("c"), a)));
        assert_eq!(parse(Method::Options, "http://a:80"), Some(("*", "*", None, a)));
        for bad in ["http://", "http:///x", "ftp://a/", "s://]ufd/:", "http://u:p@a/", "http:/a"] {
            assert_eq!(parse(Method::Get, bad), None, "{bad:?}");
        }
    }

    #[test]
    fn asterisk_and_authority_form() {
        assert_eq!(parse(Method::Options, "*"), Some(("*", "*", None, None)));
        assert_eq!(parse(Method::Get, "*"), None);
        assert_eq!(parse(Method::Connect, "a:1"), Some(("a:1", "a:1", None, Some("a:1"))));
        assert!(parse(Method::Connect, "[::1]:443").is_some());
        assert!(parse(Method::Connect, "a:65535").is_some());
        for bad in ["a", "a:", "a:0", "a:65536", "a:+1", "[::1]", "/", "http://a/", "*"] {
            assert_eq!(parse(Method::Connect, bad), None, "{bad:?}");
        }
        assert_eq!(parse(Method::Get, "a:443"), None);
    }
}
