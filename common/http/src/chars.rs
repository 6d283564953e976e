//! Character classes of RFC 9110 and RFC 3986, as one table.

/// `tchar`: what tokens, such as methods and field names, are made of (RFC 9110 section 5.6.2).
pub(crate) const TOKEN: u8 = 1;
/// What may stand in a request target. The URI grammar is narrower, but clients send ``"<>\^`{|}``
/// unencoded; they are harmless in a string that is only compared. `#` is not among them: a
/// fragment is never sent, so a target with one is malformed (RFC 9112 section 3.2).
pub(crate) const TARGET: u8 = 2;
/// `unreserved` and `sub-delims`: the bytes of a `reg-name` (RFC 3986 section 3.2.2), except `%`.
pub(crate) const REG_NAME: u8 = 4;
/// HTAB, SP, VCHAR and `obs-text`: what may stand in a field value (RFC 9110 section 5.5).
pub(crate) const VALUE: u8 = 8;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut i = 0usize;
    while i < 256 {
        let b = i as u8;
        let alphanumeric = b.is_ascii_alphanumeric();
        if alphanumeric
            || matches!(b, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        {
            table[i] |= TOKEN;
        }
        if matches!(b, 0x21..=0x7e) && b != b'#' {
            table[i] |= TARGET;
        }
        if alphanumeric
            || matches!(b, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'..=b',' | b';' | b'=')
        {
            table[i] |= REG_NAME;
        }
        if b == b'\t' || matches!(b, 0x20..=0x7e | 0x80..) {
            table[i] |= VALUE;
        }
        i += 1;
    }
    table
}

#[inline]
pub(crate) fn is(b: u8, class: u8) -> bool {
    CLASSES[b as usize] & class != 0
}

#[inline]
pub(crate) fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().all(|&b| is(b, class))
}

/// Whether `bytes` is a token (RFC 9110 section 5.6.2): one or more `tchar`.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(bytes, TOKEN)
}

/// `bytes` without the optional white space (SP and HTAB) around it.
pub(crate) fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_the_grammars() {
        for b in 0..=255u8 {
            let token = b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            assert_eq!(is(b, TOKEN), token, "token {b:#x}");
            let reg_name = b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&b);
            assert_eq!(is(b, REG_NAME), reg_name, "reg-name {b:#x}");
            assert_eq!(is(b, TARGET), b.is_ascii_graphic() && b != b'#', "target {b:#x}");
            let value = b == b'\t' || (b >= b' ' && b != 0x7f);
            assert_eq!(is(b, VALUE), value, "value {b:#x}");
        }
    }

    #[test]
    fn white_space_is_trimmed_at_both_ends_only() {
        assert_eq!(trim_ows(b" \t a b\t "), b"a b");
        assert_eq!(trim_ows(b" \t "), b"");
    }
}
