//! The URL to load, taken apart.

use std::str::FromStr;

/// Why an argument is not a URL that can be loaded. The text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No scheme in front.
    #[error("a URL starts with http://, as in http://127.0.0.1:8080/")]
    NoScheme,
    /// TLS is not spoken here.
    #[error("https is not supported: use http://")]
    Https,
    /// Neither `http` nor `https`.
    #[error("the scheme `{0}` is not supported: use http://")]
    Scheme(String),
    /// `user:password@` in front of the host.
    #[error("a user name in the URL is not supported: send it with -H 'Authorization: ...'")]
    UserInfo,
    /// Nothing where the host should be.
    #[error("the URL names no host")]
    NoHost,
    /// Characters in the host that no host has.
    #[error("`{0}` is not a host name or an IP address")]
    Host(String),
    /// An IPv6 address without brackets, or brackets without an IPv6 address.
    #[error("`{0}` is not an IPv6 address in brackets, as in http://[::1]:8080/")]
    Ipv6(String),
    /// Not a number from 1 to 65535.
    #[error("`{0}` is not a port (1 to 65535)")]
    Port(String),
    /// A character that may not stand in a path or query.
    #[error("{0:?} may not stand in a URL's path: percent-encode it (a space is %20)")]
    Path(char),
}

/// An `http` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    authority: String,
    host: String,
    port: u16,
    target: String,
}

impl Url {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Host and port as in the URL: the value of the `Host` header (RFC 9112 3.2).
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 80 when none was given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query in origin-form (RFC 9112 3.2.1), never empty.
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NoScheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(UrlError::Https),
            _ => return Err(UrlError::Scheme(scheme.to_owned())),
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port) = split_authority(authority)?;
        // A fragment is for the reader of the response; it is never sent (RFC 9110 7.1).
        let target = rest.split_once('#').map_or(rest, |(target, _fragment)| target);
        if let Some(found) = target.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(UrlError::Path(found));
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            text: text.to_owned(),
            authority: authority.to_owned(),
            host: host.to_owned(),
            port,
            target: format!("{slash}{target}"),
        })
    }
}

/// Host (without brackets) and port.
fn split_authority(authority: &str) -> Result<(&str, u16), UrlError> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let malformed = || UrlError::Ipv6(authority.to_owned());
        let (host, after) = rest.split_once(']').ok_or_else(malformed)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| malformed())?;
        match after.strip_prefix(':') {
            None if !after.is_empty() => return Err(malformed()),
            port => (host, port),
        }
    } else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        if port.is_some_and(|port| port.contains(':')) {
            return Err(UrlError::Ipv6(authority.to_owned()));
        }
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if host.is_empty() {
            return Err(UrlError::NoHost);
        }
        if !host.chars().all(valid) {
            return Err(UrlError::Host(host.to_owned()));
        }
        (host, port)
    };
    // An empty port is the default one (RFC 3986 3.2.3).
    let port = match port {
        None | Some("") => 80,
        Some(text) => {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            let port = text.parse().ok().filter(|&port: &u16| digits && port != 0);
            port.ok_or_else(|| UrlError::Port(text.to_owned()))?
        }
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, u16, String) {
        let url: Url = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        (url.authority, url.host, url.port, url.target)
    }

    fn expect(text: &str, authority: &str, host: &str, port: u16, target: &str) {
        let expected = (authority.to_owned(), host.to_owned(), port, target.to_owned());
        assert_eq!(parts(text), expected, "{text}");
    }

    #[test]
    fn the_parts_of_a_url() {
        expect("http://127.0.0.1:8080/", "127.0.0.1:8080", "127.0.0.1", 8080, "/");
        expect("http://localhost", "localhost", "localhost", 80, "/");
        expect(
            "HTTP://Host_1.example:/a/b?c=d",
            "Host_1.example:",
            "Host_1.example",
            80,
            "/a/b?c=d",
        );
        expect("http://h?q=1#part", "h", "h", 80, "/?q=1");
        expect("http://h/a#b?c", "h", "h", 80, "/a");
        expect("http://[::1]:8080/x", "[::1]:8080", "::1", 8080, "/x");
        expect("http://[2001:db8::1]", "[2001:db8::1]", "2001:db8::1", 80, "/");
        expect("http://h/user@host", "h", "h", 80, "/user@host");
    }

    #[test]
    fn what_is_refused_and_why() {
        let refused = |text: &str| text.parse::<Url>().expect_err(text);
        assert_eq!(refused("127.0.0.1:8080"), UrlError::NoScheme);
        assert_eq!(refused(""), UrlError::NoScheme);
        assert_eq!(refused("https://h/"), UrlError::Https);
        assert_eq!(refused("ftp://h/"), UrlError::Scheme("ftp".into()));
        assert_eq!(refused("http://me:secret@h/"), UrlError::UserInfo);
        assert_eq!(refused("http:///path"), UrlError::NoHost);
        assert_eq!(refused("http://:80/"), UrlError::NoHost);
        assert_eq!(refused("http://b\u{fc}cher/"), UrlError::Host("b\u{fc}cher".into()));
        for host in ["::1", "[::1", "[::1]x", "[1.2.3.4]", "[fe80::1%eth0]"] {
            assert_eq!(refused(&format!("http://{host}/")), UrlError::Ipv6(host.into()));
        }
        for port in ["0", "65536", "+80", "80a", "-1"] {
            assert_eq!(refused(&format!("http://h:{port}/")), UrlError::Port(port.into()));
        }
        assert_eq!(refused("http://h/a b"), UrlError::Path(' '));
        assert_eq!(refused("http://h/a\r\nX: y"), UrlError::Path('\r'));
        assert_eq!(refused("http://h/\u{e9}"), UrlError::Path('\u{e9}'));
    }

    #[test]
    fn every_refusal_reads_as_a_sentence() {
        for text in ["h", "https://h", "x://h", "http://a@b", "http://", "http://[", "http://h:x"] {
            let message = text.parse::<Url>().expect_err(text).to_string();
            assert!(message.len() > 20 && !message.contains("Err"), "{text}: {message}");
        }
    }
}
