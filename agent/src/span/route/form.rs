//! Which segments of a path look like values.

/// Longest segment that may be a word, bytes.
const LONGEST_WORD: usize = 32;

/// Shortest segment of hexadecimal letters alone that is no word, bytes.
const HEXADECIMAL: usize = 16;

/// The placeholder of a segment that looks like a value; None for a word.
pub(super) fn form(segment: &str) -> Option<&'static str> {
    let bytes = segment.as_bytes();
    if bytes.len() < HEXADECIMAL && bytes.iter().all(u8::is_ascii_lowercase) {
        // Most segments: none of what follows can be said of them.
        return None;
    }
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = bytes
        .iter()
        .filter(|byte| byte.is_ascii_alphabetic())
        .count();
    if is_uuid(bytes) {
        Some("{uuid}")
    } else if is_date(bytes) {
        Some("{date}")
    } else if digits > 0 && letters == 0 {
        // Numbers, with whatever separates their groups.
        Some("{id}")
    } else if is_mail_address(segment) {
        Some("{email}")
    } else if is_hash(bytes, digits) {
        Some("{hash}")
    } else if bytes.len() > LONGEST_WORD || is_token(bytes, digits) {
        Some("{token}")
    } else if digits >= 4 || ends_in_number(segment) {
        Some("{id}")
    } else if segment.contains(['%', '{', '}', '*']) || !segment.is_ascii() {
        // Routes are written in plain letters; what had to be escaped was put in.
        Some("{name}")
    } else {
        None
    }
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `2024-01-31`, with or without a time behind it.
fn is_date(bytes: &[u8]) -> bool {
    let day = bytes
        .iter()
        .take(10)
        .enumerate()
        .all(|(place, byte)| match place {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    day && bytes.len() >= 10 && matches!(bytes.get(10), None | Some(b'T' | b't' | b'_' | b' '))
}

fn is_mail_address(segment: &str) -> bool {
    let at = segment.split_once('@').or_else(|| {
        // `@` is often escaped.
        segment.split_once("%40")
    });
    at.is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}

/// Hexadecimal of some length: with digits among it, or so long that it is no word.
fn is_hash(bytes: &[u8], digits: usize) -> bool {
    let enough = if digits > 0 { 8 } else { HEXADECIMAL };
    bytes.len() >= enough && bytes.iter().all(u8::is_ascii_hexdigit)
}

/// Letters of both cases and digits, mixed: base64, ULID, nanoid.
fn is_token(bytes: &[u8], digits: usize) -> bool {
    let upper = bytes.iter().any(u8::is_ascii_uppercase);
    let lower = bytes.iter().any(u8::is_ascii_lowercase);
    match bytes.len() {
        0..=9 => false,
        10..=19 => upper && lower && digits >= 2,
        _ => {
            digits >= 2
                && bytes
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(byte))
        }
    }
}

/// `order-17`, `item_3`: a word, a separator and a number.
fn ends_in_number(segment: &str) -> bool {
    segment
        .rsplit_once(['-', '_', ':', '='])
        .is_some_and(|(_, number)| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(segment: &str, expected: Option<&str>) {
        assert_eq!(form(segment), expected, "{segment}");
    }

    #[test]
    fn words() {
        for word in [
            "users",
            "v1",
            "v2.1",
            "oauth2",
            "s3",
            "sha256",
            "utf-8",
            "index.html",
            "2fa",
            "k8s",
            "access",
            "facade",
            "process",
            "alice",
            "my-long-but-still-a-word",
            "@me",
            "a",
        ] {
            check(word, (word == "utf-8").then_some("{id}"));
        }
    }

    #[test]
    fn values() {
        check("1", Some("{id}"));
        check("12.5", Some("{id}"));
        check("-3", Some("{id}"));
        check("10.0.0.1", Some("{id}"));
        check("order-17", Some("{id}"));
        check("ab1234", Some("{id}"));
        check("123e4567-e89b-12d3-a456-426614174000", Some("{uuid}"));
        check("2024-01-31", Some("{date}"));
        check("2024-01-31T10:00:00Z", Some("{date}"));
        check("a@example.com", Some("{email}"));
        check("a%40example.com", Some("{email}"));
        check("deadbeef01", Some("{hash}"));
        check("d41d8cd98f00b204e9800998ecf8427e", Some("{hash}"));
        check("01ARZ3NDEKTSV4RRFFQ69G5FAV", Some("{token}"));
        check("V1StGXR8Z5", Some("{token}"));
        check("how-to-do-a-very-long-thing-in-ten-steps", Some("{token}"));
        check("M%C3%BCller", Some("{name}"));
        check("Müller", Some("{name}"));
        check("{id}", Some("{name}"));
    }
}
