//! Bytes of the wire as bounded text.
//!
//! In: bytes of unknown encoding. Out: text without control characters, cut on a character's
//! boundary. What is not UTF-8 or is a control character is percent-escaped, so that two
//! different inputs stay different. Not here: redaction (`span`).

use std::fmt::Write;

/// Longest value of an attribute, bytes.
pub const LONGEST: usize = 4096;

/// `bytes` as text of at most `most` bytes.
#[must_use]
pub fn text(bytes: &[u8], most: usize) -> String {
    // One byte never gives less than one, so what lies behind cannot show.
    let bytes = bytes.get(..most.saturating_add(4)).unwrap_or(bytes);
    if is_plain(bytes) {
        let plain = bytes.get(..most).unwrap_or(bytes);
        return str::from_utf8(plain).unwrap_or_default().to_owned();
    }
    let mut out = String::with_capacity(bytes.len().min(most));
    for part in bytes.utf8_chunks() {
        for letter in part.valid().chars() {
            if letter.is_control() {
                let mut raw = [0; 4];
                escape(letter.encode_utf8(&mut raw).as_bytes(), &mut out);
            } else {
                out.push(letter);
            }
        }
        // The last character may be incomplete only because it was cut above.
        escape(part.invalid(), &mut out);
    }
    cut(&mut out, most);
    out
}

/// Printable ASCII only, which nearly all texts are: they need no look at each character.
#[must_use]
pub fn is_plain(bytes: &[u8]) -> bool {
    // No early end: so the compiler looks at sixteen bytes at once.
    bytes
        .iter()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// Shortens `text` to at most `most` bytes on a character's boundary.
pub fn cut(text: &mut String, most: usize) {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.truncate(end);
}

fn escape(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "%{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], most: usize, expected: &str) {
        assert_eq!(text(bytes, most), expected);
        assert!(text(bytes, most).len() <= most);
    }

    #[test]
    fn text_is_bounded_and_printable() {
        check(b"/plain", 100, "/plain");
        check("/grüße".as_bytes(), 100, "/grüße");
        check("/grüße".as_bytes(), 4, "/gr");
        check(b"/caf\xe9/x", 100, "/caf%E9/x");
        check(b"a\tb\x00\x7f", 100, "a%09b%00%7F");
        check("\u{85}".as_bytes(), 100, "%C2%85");
        check(b"abc", 0, "");
    }
}
