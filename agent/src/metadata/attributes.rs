//! `OTEL_RESOURCE_ATTRIBUTES`.
//!
//! In: the variable's text. Out: keys and values. Not here: which of them win.

/// Most attributes that are taken.
const ATTRIBUTES: usize = 128;
/// Longest key, and longest value, bytes.
const TEXT_BYTES: usize = 4096;

/// Reads `key=value,key=value`, percent-decoded. As the specification asks, a text with any
/// malformed pair is refused as a whole.
#[must_use]
pub fn parse(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    pairs
        .take(ATTRIBUTES)
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let (key, value) = (decode(key.trim())?, decode(value.trim())?);
            (!key.is_empty() && key.len() <= TEXT_BYTES && value.len() <= TEXT_BYTES)
                .then_some((key, value))
        })
        .collect()
}

/// Undoes percent-encoding; `None` when it is malformed or no UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_variable() {
        for (text, expected) in [
            ("a=1,b=2", Some("a:1 b:2")),
            (" a = 1 , b=2,", Some("a:1 b:2")),
            ("a=x%2Cy%3D%c3%a9", Some("a:x,y=é")),
            ("a=b=c", Some("a:b=c")),
            ("a=", Some("a:")),
            ("", Some("")),
            ("a", None),
            ("=1", None),
            ("a=%", None),
            ("a=%zz", None),
            ("a=%ff", None),
            ("a=1,b", None),
        ] {
            let found = parse(text).map(|pairs| {
                let shown = pairs.iter().map(|(key, value)| format!("{key}:{value}"));
                shown.collect::<Vec<_>>().join(" ")
            });
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        let long = format!("a={}", "x".repeat(TEXT_BYTES + 1));
        assert_eq!(parse(&long), None);
    }
}
