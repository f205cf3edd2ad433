//! Redaction of what may hold secrets.
//!
//! In: attributes as a protocol found them. Out: the same without the values of query
//! parameters, without user and password in URLs, without control characters, and bounded.
//! Here and nowhere else, so that no protocol can forget it.

use crate::protocol::exchange::{Attribute, Value};
use crate::protocol::text::{LONGEST, cut, is_plain, text};
use crate::semconv;
use std::borrow::Cow;

/// What stands in place of what was removed; the semantic conventions' word.
const REDACTED: &str = "REDACTED";

/// Longest list of texts that is kept.
const MOST_ITEMS: usize = 64;

/// Parameters whose values the semantic conventions always want removed: signatures of
/// pre-signed URLs.
const SIGNATURES: [&str; 4] = ["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"];

/// What is left of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Query {
    /// Names of the parameters, not their values.
    #[default]
    Names,
    /// All but the values of signatures.
    Signatures,
    /// Nothing.
    Nothing,
}

/// Redacts one attribute. False if nothing is left of it.
#[must_use]
pub fn attribute(attribute: &mut Attribute, policy: Query) -> bool {
    match &mut attribute.value {
        // This program's own words: short, printable, and no secret.
        Value::Text(Cow::Borrowed(_)) | Value::Int(_) | Value::Bool(_) => {}
        Value::Text(Cow::Owned(text)) => {
            match attribute.key {
                semconv::URL_QUERY => match query(text, policy) {
                    Some(left) => *text = left,
                    None => return false,
                },
                semconv::URL_FULL => *text = url(text, policy),
                _ => {}
            }
            bound(text);
        }
        Value::List(items) => {
            if let Some(first) = items.get(..MOST_ITEMS) {
                *items = first.into();
            }
            items.iter_mut().for_each(bound);
        }
    }
    true
}

/// A query string without the values of its parameters. None if nothing is to be left of it.
#[must_use]
pub fn query(query: &str, policy: Query) -> Option<String> {
    if policy == Query::Nothing || query.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(query.len());
    for (place, pair) in query.split('&').enumerate() {
        if place > 0 {
            out.push('&');
        }
        match pair.split_once('=') {
            Some((name, value)) => {
                out.push_str(name);
                out.push('=');
                let keep = policy == Query::Signatures && !is_signature(name);
                out.push_str(if keep { value } else { REDACTED });
            }
            // Without a name it is all value: a token, an address.
            None if pair.is_empty() || policy == Query::Signatures => out.push_str(pair),
            None => out.push_str(REDACTED),
        }
    }
    Some(out)
}

/// A URL without user, password and the values of its query.
#[must_use]
pub fn url(url: &str, policy: Query) -> String {
    let (rest, fragment) = match url.split_once('#') {
        Some((rest, _)) => (rest, true),
        None => (url, false),
    };
    let (place, asked) = match rest.split_once('?') {
        Some((place, asked)) => (place, query(asked, policy)),
        None => (rest, None),
    };
    let mut out = without_user(place);
    if let Some(asked) = asked {
        out.push('?');
        out.push_str(&asked);
    }
    if fragment {
        out.push('#');
        out.push_str(REDACTED);
    }
    out
}

fn without_user(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://") else {
        return place.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{path}"),
        None => place.to_owned(),
    }
}

fn is_signature(name: &str) -> bool {
    SIGNATURES
        .iter()
        .any(|signature| signature.eq_ignore_ascii_case(name))
}

/// Makes `value` one without control characters and of bounded length.
fn bound(value: &mut String) {
    if !is_plain(value.as_bytes()) && value.chars().any(char::is_control) {
        *value = text(value.as_bytes(), LONGEST);
    } else {
        cut(value, LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_query(asked: &str, policy: Query, expected: Option<&str>) {
        assert_eq!(query(asked, policy).as_deref(), expected, "{asked}");
    }

    #[test]
    fn queries() {
        check_query(
            "q=secret&page=2",
            Query::Names,
            Some("q=REDACTED&page=REDACTED"),
        );
        check_query("token", Query::Names, Some("REDACTED"));
        check_query("a=b=c&&d=", Query::Names, Some("a=REDACTED&&d=REDACTED"));
        check_query(
            "a=b&sig=x&SIGNATURE=y",
            Query::Signatures,
            Some("a=b&sig=REDACTED&SIGNATURE=REDACTED"),
        );
        check_query("a=b", Query::Nothing, None);
        check_query("", Query::Names, None);
    }

    fn check_url(whole: &str, expected: &str) {
        assert_eq!(url(whole, Query::Names), expected);
    }

    #[test]
    fn urls() {
        check_url("http://h/a?b=c", "http://h/a?b=REDACTED");
        check_url("http://u:p@h:1/a@b", "http://h:1/a@b");
        check_url("http://u:p@x@h", "http://h");
        check_url("http://h/a#secret", "http://h/a#REDACTED");
        check_url("no url", "no url");
    }

    #[test]
    fn values_are_bounded_and_printable() {
        let check = |value: Value, expected: Value| {
            let mut one = Attribute { key: "k", value };
            assert!(attribute(&mut one, Query::Names));
            assert_eq!(one.value, expected);
        };
        check(Value::from("a\nb"), Value::from("a%0Ab"));
        check(Value::from("ä".repeat(4000)), Value::from("ä".repeat(2048)));
        check(Value::from(7), Value::from(7));
        check(
            Value::List(vec!["x".to_owned(); 100].into()),
            Value::List(vec!["x".to_owned(); 64].into()),
        );
    }
}
