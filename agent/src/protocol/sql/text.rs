//! A statement without its literals, as text.
//!
//! In: the parts of a statement. Out: text in which each literal is a `?`, comments are gone and blanks are
//! single, so that statements that differ in values alone are alike. Lists behind `IN` are one `?`.

use super::scan::{Part, Token};
use crate::protocol::text::{LONGEST, text};

/// What stands for a literal.
const VALUE: &[u8] = b"?";

/// The text of `tokens`.
#[must_use]
pub fn sanitised(tokens: &[Token<'_>]) -> String {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if token.apart && !out.is_empty() {
            out.push(b' ');
        }
        at += 1;
        match token.part {
            Part::Word(word) => {
                out.extend(word);
                let list = tokens.get(at..).unwrap_or_default();
                if let Some(len) = list_behind(word, list) {
                    out.extend(b" (?)");
                    at += len;
                }
            }
            Part::Quoted(name) => out.extend(name),
            Part::Literal => out.extend(VALUE),
            Part::Placeholder(name) => out.extend(name),
            Part::Symbol(byte) => out.push(byte),
        }
    }
    text(&out, LONGEST)
}

/// Parts of the list of values that `tokens` begin with, if that stands behind `IN`.
fn list_behind(word: &[u8], tokens: &[Token<'_>]) -> Option<usize> {
    if !word.eq_ignore_ascii_case(b"in") || tokens.first()?.part != Part::Symbol(b'(') {
        return None;
    }
    let close = tokens
        .iter()
        .position(|token| token.part == Part::Symbol(b')'))?;
    let inside = tokens.get(1..close)?;
    let is_value = |token: &Token<'_>| {
        matches!(
            token.part,
            Part::Literal | Part::Placeholder(_) | Part::Symbol(b',' | b'+' | b'-')
        )
    };
    (!inside.is_empty() && inside.iter().all(is_value)).then_some(close + 1)
}
