//! How the program ends when it does not end well.

use crate::config::Invalid;
use std::fmt;
use std::process::ExitCode;

/// Exit codes; success is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Something failed.
    Failed = 1,
    /// It was asked for wrongly.
    Misuse = 2,
    /// This host cannot do it.
    Host = 3,
}

/// An end with a message: what failed on which object, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code.
    pub code: Code,
    /// What failed, on which object.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do about it.
    pub hint: String,
}

impl Exit {
    /// Something failed: exit code 1.
    pub fn failed(
        what: impl Into<String>,
        why: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::new(Code::Failed, what, why, hint)
    }

    /// It was asked for wrongly: exit code 2.
    pub fn misuse(
        what: impl Into<String>,
        why: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::new(Code::Misuse, what, why, hint)
    }

    /// This host cannot: exit code 3.
    pub fn host(what: impl Into<String>, why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Code::Host, what, why, hint)
    }

    fn new(
        code: Code,
        what: impl Into<String>,
        why: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            code,
            what: what.into(),
            why: why.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weft: {}: {}", self.what, self.why)?;
        if !self.hint.is_empty() {
            write!(f, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Exit {}

impl From<Invalid> for Exit {
    fn from(invalid: Invalid) -> Self {
        Self::misuse(invalid.subject, invalid.why, invalid.hint)
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}
