//! What is wrong with a setting.

use std::fmt;

/// A setting that cannot be used: where it stands, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The setting and where it was found.
    pub subject: String,
    /// What is wrong.
    pub why: String,
    /// What to do about it.
    pub hint: String,
}

impl Invalid {
    /// All three.
    pub fn new(
        subject: impl Into<String>,
        why: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            subject: subject.into(),
            why: why.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\nhint: {}", self.subject, self.why, self.hint)
    }
}

impl std::error::Error for Invalid {}
