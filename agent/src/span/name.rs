//! Low-cardinality span names.
//!
//! In: a verb, what it acts on, the route if one is known. Out: a name after the semantic
//! conventions: the verb, and behind it only what is of low cardinality. A path never stands in
//! a name: a client, who cannot know the server's routes, gives the verb alone.

use crate::protocol::exchange::{Operation, Target};

/// Longest name, bytes.
const LONGEST: usize = 256;

/// The name of a span.
#[must_use]
pub fn name(operation: &Operation, route: Option<&str>) -> String {
    let target = match &operation.target {
        Some(Target::Name(name)) => Some(name.as_str()),
        Some(Target::Path(_)) => route,
        None => None,
    };
    let mut name = operation.verb.clone();
    if let Some(target) = target.filter(|target| !target.is_empty()) {
        name.push(' ');
        name.push_str(target);
    }
    crate::protocol::text::cut(&mut name, LONGEST);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: Option<Target>, route: Option<&str>, expected: &str) {
        let operation = Operation {
            verb: "GET".to_owned(),
            target,
            attributes: Vec::new(),
        };
        assert_eq!(name(&operation, route), expected);
    }

    #[test]
    fn names() {
        let path = || Some(Target::Path("/a/1".to_owned()));
        check(path(), Some("/a/{id}"), "GET /a/{id}");
        check(path(), None, "GET");
        check(
            Some(Target::Name("users".to_owned())),
            Some("/x"),
            "GET users",
        );
        check(None, Some("/x"), "GET");
        check(
            Some(Target::Name("n".repeat(900))),
            None,
            &format!("GET {}", "n".repeat(252)),
        );
    }
}
