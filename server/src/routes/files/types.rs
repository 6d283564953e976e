//! What files are, by the endings of their names.

/// What is said of a file whose ending is not known.
const UNKNOWN: &str = "application/octet-stream";

/// Endings in lower case, with the type as the IANA has registered it. Text is taken to be UTF-8.
const TYPES: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("txt", "text/plain; charset=utf-8"),
    ("text", "text/plain; charset=utf-8"),
    ("log", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("tsv", "text/tab-separated-values; charset=utf-8"),
    ("ics", "text/calendar; charset=utf-8"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    // These say themselves how they are encoded.
    ("xml", "application/xml"),
    ("xhtml", "application/xhtml+xml"),
    ("atom", "application/atom+xml"),
    ("rss", "application/rss+xml"),
    ("svg", "image/svg+xml"),
    // RFC 8259 section 8.1: always UTF-8.
    ("json", "application/json"),
    ("map", "application/json"),
    ("jsonld", "application/ld+json"),
    ("geojson", "application/geo+json"),
    ("webmanifest", "application/manifest+json"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("toml", "application/toml"),
    ("sql", "application/sql"),
    ("wasm", "application/wasm"),
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("zst", "application/zstd"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("ico", "image/vnd.microsoft.icon"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("flac", "audio/flac"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("mpeg", "video/mpeg"),
];

/// The Content-Type of a file with this name.
pub(super) fn of(name: &[u8]) -> &'static str {
    let file = memchr::memrchr(b'/', name).map_or(name, |at| &name[at + 1..]);
    let Some(dot) = memchr::memrchr(b'.', file) else {
        return UNKNOWN;
    };
    let ending = &file[dot + 1..];
    TYPES
        .iter()
        .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(ending))
        .map_or(UNKNOWN, |(_, content_type)| content_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ending_counts() {
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("dir/A.HTM", "text/html; charset=utf-8"),
            ("a.tar.gz", "application/gzip"),
            ("a.min.js", "text/javascript; charset=utf-8"),
            ("d.css/README", UNKNOWN),
            ("d.css/a.svg", "image/svg+xml"),
            ("README", UNKNOWN),
            ("a.", UNKNOWN),
            ("", UNKNOWN),
            ("a.html~", UNKNOWN),
            (".json", "application/json"),
        ] {
            assert_eq!(of(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn the_table_is_sound() {
        for (position, (ending, content_type)) in TYPES.iter().enumerate() {
            assert_eq!(of(format!("x.{ending}").as_bytes()), *content_type);
            assert!(ending.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
            assert!(TYPES[..position].iter().all(|(earlier, _)| earlier != ending), "{ending}");
            assert_eq!(content_type.starts_with("text/"), content_type.ends_with("charset=utf-8"));
        }
    }
}
