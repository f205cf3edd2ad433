//! Low-cardinality span names.
//!
//! In: a verb, and what is known of low cardinality: a route, a table. Out: a name after the
//! semantic conventions. A path never stands in a name: a client, who cannot know the server's
//! routes, gives the verb alone.

use crate::protocol::text::cut;

/// Longest name, bytes.
const LONGEST: usize = 256;

/// The name of a span.
#[must_use]
pub fn name(verb: &str, target: Option<&str>) -> String {
    let target = target.unwrap_or_default();
    let mut name = String::with_capacity(verb.len() + 1 + target.len());
    name.push_str(verb);
    if !target.is_empty() {
        name.push(' ');
        name.push_str(target);
    }
    cut(&mut name, LONGEST);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name("GET", Some("/a/{id}")), "GET /a/{id}");
        assert_eq!(name("GET", None), "GET");
        assert_eq!(name("GET", Some("")), "GET");
        let long = "n".repeat(900);
        let expected = format!("GET {}", "n".repeat(252));
        assert_eq!(name("GET", Some(&long)), expected);
    }
}
