//! Which of a file's forms a client takes (RFC 9110 section 12.5.3).

/// A form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is.
    Identity,
    /// Compressed with brotli.
    Brotli,
    /// Compressed with gzip.
    Gzip,
}

impl Coding {
    /// What Content-Encoding calls it.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
        }
    }
}

/// The compressed forms that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) brotli: bool,
    pub(super) gzip: bool,
}

/// Weights in thousandths; `None` where nothing was said.
#[derive(Debug, Default)]
struct Weights {
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    /// For all that were not named.
    others: Option<u16>,
}

/// The form that a client with these values of Accept-Encoding likes best: of equal ones the
/// smaller, and the plain one only where it is named for no less. `None` if it takes none of them.
pub(super) fn choose<'v>(
    values: impl Iterator<Item = &'v [u8]>,
    offered: Offered,
) -> Option<Coding> {
    let mut weights = Weights::default();
    for value in values {
        weights.read(value);
    }
    let weight_of = |own: Option<u16>, offered: bool| {
        own.or(weights.others).filter(|&weight| offered && weight > 0)
    };
    let brotli = weight_of(weights.brotli, offered.brotli).map(|weight| (weight, Coding::Brotli));
    let gzip = weight_of(weights.gzip, offered.gzip).map(|weight| (weight, Coding::Gzip));
    let compressed = match (brotli, gzip) {
        (Some(brotli), Some(gzip)) if gzip.0 > brotli.0 => Some(gzip),
        (brotli, gzip) => brotli.or(gzip),
    };
    // It needs no mention to be acceptable, and is only shut out by name, or by `*;q=0`.
    let shut_out = weights.identity.or(weights.others) == Some(0);
    match (compressed, weights.identity) {
        (Some((weight, _)), Some(identity)) if identity > weight => Some(Coding::Identity),
        (Some((_, coding)), _) => Some(coding),
        (None, _) if shut_out => None,
        (None, _) => Some(Coding::Identity),
    }
}

impl Weights {
    /// Takes in one value; what cannot be read of it counts as not said.
    fn read(&mut self, value: &[u8]) {
        for element in value.split(|&byte| byte == b',') {
            let (name, weight) = match memchr::memchr(b';', element) {
                Some(at) => (&element[..at], parse_weight(&element[at + 1..])),
                None => (element, Some(1000)),
            };
            let own = match name.trim_ascii() {
                b"*" => &mut self.others,
                name if name.eq_ignore_ascii_case(b"br") => &mut self.brotli,
                name if name.eq_ignore_ascii_case(b"gzip") => &mut self.gzip,
                // Section 8.4.1.3: to be taken for the same.
                name if name.eq_ignore_ascii_case(b"x-gzip") => &mut self.gzip,
                name if name.eq_ignore_ascii_case(b"identity") => &mut self.identity,
                _ => continue,
            };
            *own = weight.or(*own);
        }
    }
}

/// `q=` and a number from 0 to 1 with up to three decimals, in thousandths (RFC 9110 section
/// 12.4.2).
fn parse_weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', whole @ (b'0' | b'1'), decimals @ ..] = parameter.trim_ascii() else {
        return None;
    };
    let decimals = match decimals {
        [] => decimals,
        [b'.', decimals @ ..] if decimals.len() <= 3 => decimals,
        _ => return None,
    };
    let mut weight = u16::from(whole - b'0');
    for position in 0..3 {
        let digit = decimals.get(position).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        weight = weight * 10 + u16::from(digit - b'0');
    }
    Some(weight).filter(|&weight| weight <= 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Offered = Offered { brotli: true, gzip: true };
    const GZIP: Offered = Offered { brotli: false, gzip: true };
    const NONE: Offered = Offered { brotli: false, gzip: false };

    fn chosen(value: &str, offered: Offered) -> &'static str {
        match choose([value.as_bytes()].into_iter(), offered) {
            Some(coding) => coding.name().unwrap_or("identity"),
            None => "none",
        }
    }

    #[test]
    fn the_best_that_there_is_and_that_is_taken() {
        for (value, both, gzip, none) in [
            ("", "identity", "identity", "identity"),
            ("gzip", "gzip", "gzip", "identity"),
            ("x-gzip", "gzip", "gzip", "identity"),
            ("br", "br", "identity", "identity"),
            ("gzip, deflate, br, zstd", "br", "gzip", "identity"),
            ("GZIP,BR", "br", "gzip", "identity"),
            ("gzip;q=1.0, br;q=0.9", "gzip", "gzip", "identity"),
            ("gzip;q=0.8 , br ; q=0.801", "br", "gzip", "identity"),
            ("gzip;Q=0.001", "gzip", "gzip", "identity"),
            ("br;q=0, gzip", "gzip", "gzip", "identity"),
            ("br;q=0,gzip;q=0.000", "identity", "identity", "identity"),
            ("*", "br", "gzip", "identity"),
            ("*;q=0.5", "br", "gzip", "identity"),
            ("br;q=0, *", "gzip", "gzip", "identity"),
            ("gzip;q=0.2, *;q=0.1", "gzip", "gzip", "identity"),
            ("identity", "identity", "identity", "identity"),
            ("identity;q=1, gzip;q=0.5", "identity", "identity", "identity"),
            ("identity;q=0.5, gzip;q=0.5", "gzip", "gzip", "identity"),
            ("identity;q=0.4, br;q=0.5, gzip;q=0.3", "br", "identity", "identity"),
            ("identity;q=0", "none", "none", "none"),
            ("identity;q=0, br", "br", "none", "none"),
            ("*;q=0", "none", "none", "none"),
            ("*;q=0, identity", "identity", "identity", "identity"),
            ("*;q=0, gzip", "gzip", "gzip", "none"),
            ("*;q=0, identity;q=0.1, gzip;q=0", "identity", "identity", "identity"),
            ("deflate, zstd", "identity", "identity", "identity"),
            // What cannot be read counts as not said.
            ("br;q=2, gzip;q=x", "identity", "identity", "identity"),
            ("br;q=, gzip", "gzip", "gzip", "identity"),
            (",, ;q=1 ,gzip,", "gzip", "gzip", "identity"),
        ] {
            let found = [BOTH, GZIP, NONE].map(|offered| chosen(value, offered));
            assert_eq!(found, [both, gzip, none], "{value}");
        }
    }

    #[test]
    fn several_fields_are_one_list_and_none_asks_for_the_plain_form() {
        let values: [&[u8]; 2] = [b"gzip;q=0.5", b"br;q=0.4"];
        assert_eq!(choose(values.into_iter(), BOTH), Some(Coding::Gzip));
        assert_eq!(choose([].into_iter(), BOTH), Some(Coding::Identity));
    }

    #[test]
    fn weights_are_thousandths() {
        for (text, expected) in [
            ("q=0", Some(0)),
            ("q=1", Some(1000)),
            ("q=0.", Some(0)),
            ("q=0.5", Some(500)),
            (" q=0.05 ", Some(50)),
            ("Q=0.005", Some(5)),
            ("q=1.000", Some(1000)),
            ("q=1.001", None),
            ("q=0.0001", None),
            ("q=.5", None),
            ("q=2", None),
            ("q=-1", None),
            ("q= 1", None),
            ("q", None),
            ("p=1", None),
            ("", None),
            ("q=0.a", None),
        ] {
            assert_eq!(parse_weight(text.as_bytes()), expected, "{text}");
        }
    }
}
