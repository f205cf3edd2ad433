//! Statements of databases, in the words of the semantic conventions.
//!
//! In: a statement as it was given to a library or sent, whole or cut, and which database reads it. Out: what
//! of it may be shown: its text without any literal, what it does, to what. Shared by whoever sees
//! statements; not a protocol itself.

pub mod calls;
pub mod driver;
pub mod scan;
pub mod summary;
pub mod text;

use crate::protocol::exchange::{Attribute, Operation};
use crate::protocol::text::text as plain;
use crate::semconv;
use scan::Dialect;
use std::borrow::Cow;

/// A database management system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// `db.system.name`.
    pub name: &'static str,
    /// How it reads statements.
    pub dialect: Dialect,
}

impl System {
    /// One that is not known.
    pub const OTHER: Self = Self {
        name: "other_sql",
        dialect: Dialect::Unknown,
    };
}

/// What `statement` asks of `system`, of which more followed if it is `cut`.
#[must_use]
pub fn operation(statement: &[u8], cut: bool, system: System) -> Operation {
    let scanned = scan::scan(statement, cut, system.dialect);
    let found = summary::summary(&scanned.tokens, scanned.cut);
    let mut operation = named(system, &found.words);
    let attributes = [
        (semconv::DB_OPERATION_NAME, found.operation),
        (semconv::DB_COLLECTION_NAME, found.collection),
        (semconv::DB_QUERY_SUMMARY, Some(found.words)),
        (
            semconv::DB_QUERY_TEXT,
            Some(text::sanitised(&scanned.tokens)),
        ),
    ];
    for (key, value) in attributes {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            operation.attributes.push(Attribute::new(key, value));
        }
    }
    operation
}

/// What a function named `verb` asks of `system` without a statement.
#[must_use]
pub fn function(verb: &'static str, system: System) -> Operation {
    let mut operation = named(system, verb);
    let attribute = Attribute::fixed(semconv::DB_OPERATION_NAME, verb);
    operation.attributes.push(attribute);
    operation
}

/// An operation whose span has this summary for its name, or the system's.
fn named(system: System, summary: &str) -> Operation {
    Operation {
        verb: match summary {
            "" => Cow::Borrowed(system.name),
            _ => Cow::Owned(plain(summary.as_bytes(), summary.len())),
        },
        target: None,
        attributes: vec![Attribute::fixed(semconv::DB_SYSTEM_NAME, system.name)],
    }
}

#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
