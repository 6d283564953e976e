//! From the path of a request to the name of a file. Strict, so that a file has one path only: what
//! is taken apart and put together differently by a proxy and by us could be let through by the one
//! and mean something else to the other.

use super::root::Refusal;

/// Longer paths name nothing: the kernel takes up to 4,096 bytes, and endings are still to come.
pub(super) const MAX_PATH_BYTES: usize = 4000;

/// Undoes the percent-encoding (RFC 3986 section 2.1), once; `decoded` is used where there is any.
pub(super) fn decode<'a>(sent: &'a [u8], decoded: &'a mut Vec<u8>) -> Result<&'a [u8], Refusal> {
    let Some(mut at) = memchr::memchr(b'%', sent) else {
        return Ok(sent);
    };
    if sent.len() > 3 * MAX_PATH_BYTES {
        return Err(Refusal::NotFound);
    }
    decoded.clear();
    decoded.extend_from_slice(&sent[..at]);
    while let Some(&byte) = sent.get(at) {
        if byte != b'%' {
            decoded.push(byte);
            at += 1;
            continue;
        }
        let digit = |at| sent.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
            return Err(Refusal::Malformed);
        };
        match (high * 16 + low) as u8 {
            // No file has such a name.
            0 => return Err(Refusal::Malformed),
            // RFC 3986 section 2.2: encoded, it separates nothing, but is a part of a name; and no
            // name has it.
            b'/' => return Err(Refusal::NotFound),
            byte => decoded.push(byte),
        }
        at += 3;
    }
    Ok(decoded)
}

/// Whether a decoded path may be looked up at all. That it leads nowhere outside is for the kernel
/// to see to, which alone can say where links lead; this is the second lock on that door.
pub(super) fn check(path: &[u8]) -> Result<(), Refusal> {
    if path.len() > MAX_PATH_BYTES {
        return Err(Refusal::NotFound);
    }
    if path.contains(&0) {
        return Err(Refusal::Malformed);
    }
    // The directory itself, whose index it stands for.
    if path.is_empty() {
        return Ok(());
    }
    // One slash at the end stands for the index of a directory below it.
    let path = path.strip_suffix(b"/").unwrap_or(path);
    // RFC 3986 section 5.2.4: clients remove dot segments before they ask.
    let nowhere = |segment: &[u8]| matches!(segment, b"" | b"." | b"..");
    if path.split(|&byte| byte == b'/').any(nowhere) {
        return Err(Refusal::NotFound);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(sent: &str) -> Result<String, Refusal> {
        let mut decoded = b"left over".to_vec();
        let path = decode(sent.as_bytes(), &mut decoded)?;
        check(path)?;
        Ok(String::from_utf8_lossy(path).into_owned())
    }

    #[test]
    fn names_are_decoded_once() {
        for (sent, expected) in [
            ("", ""),
            ("a.txt", "a.txt"),
            ("dir/", "dir/"),
            ("dir/a", "dir/a"),
            ("%61%2e%74xt", "a.txt"),
            ("a%20b+c", "a b+c"),
            ("%25%32%65", "%2e"),
            ("%C3%a9", "é"),
            ("..a/b..", "..a/b.."),
            (".../.a", ".../.a"),
            ("a\\b%5c..", "a\\b\\.."),
            ("%0a", "\n"),
        ] {
            assert_eq!(find(sent).unwrap(), expected, "{sent}");
        }
    }

    #[test]
    fn what_names_no_file_is_refused() {
        let nowhere = [
            "..",
            ".",
            "../a",
            "a/..",
            "a/../b",
            "a/../",
            "./a",
            "a/.",
            "%2e",
            "%2e%2E/a",
            ".%2e/a",
            "a/%2e%2e/b",
            "/",
            "//",
            "/etc/passwd",
            "a//b",
            "a//",
            "%2f",
            "a%2fb",
            "%2F..%2f..",
            "dir%2f",
            "..%2f",
        ];
        for sent in nowhere {
            assert_eq!(find(sent), Err(Refusal::NotFound), "{sent}");
        }
        for sent in ["%", "a%", "%2", "a%2", "%zz", "%+1", "% 1", "%00", "a%00.txt", "\0", "%é"] {
            assert_eq!(find(sent), Err(Refusal::Malformed), "{sent}");
        }
    }

    #[test]
    fn length_has_a_bound() {
        assert!(find(&"a".repeat(MAX_PATH_BYTES)).is_ok());
        assert!(find(&"%61".repeat(MAX_PATH_BYTES)).is_ok());
        for sent in ["a".repeat(MAX_PATH_BYTES + 1), "%61".repeat(MAX_PATH_BYTES + 1)] {
            assert_eq!(find(&sent), Err(Refusal::NotFound));
        }
    }
}
