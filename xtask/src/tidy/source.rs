//! A file as the rules see it: its text, and for Rust the same lines without comments and the
//! insides of strings, and where its tests begin. A small scanner, not a parser.

/// One file of the workspace.
#[derive(Debug)]
pub(super) struct Source {
    /// Its path from the root of the workspace.
    pub(super) path: String,
    /// Its lines.
    pub(super) lines: Vec<String>,
    /// The same without comments and strings; empty for what is not Rust.
    pub(super) code: Vec<String>,
    /// The first line (from 0) of its tests; beyond the end when it has none.
    pub(super) tests_from: usize,
}

impl Source {
    /// Reads a text.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let code: Vec<String> = if path.ends_with(".rs") {
            code_only(text).lines().map(str::to_owned).collect()
        } else {
            Vec::new()
        };
        let tests_from = if is_test_file(path) {
            0
        } else {
            code.iter()
                .position(|line| line.trim() == "#[cfg(test)]")
                .unwrap_or(lines.len())
        };
        Self {
            path: path.to_owned(),
            lines,
            code,
            tests_from,
        }
    }

    /// Whether it holds the tests of the file beside it, whose header is its own.
    pub(super) fn is_beside(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.ends_with("_tests.rs")
    }

    /// Whether it is Rust.
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Code lines outside tests, with their numbers from 1.
    pub(super) fn product_code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.numbered_code()
            .filter(|(number, _)| *number <= self.tests_from)
    }

    /// All code lines, with their numbers from 1.
    pub(super) fn numbered_code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .iter()
            .enumerate()
            .map(|(index, line)| (index + 1, line.as_str()))
    }

    /// A finding on a line (from 1).
    pub(super) fn finding(&self, line: usize, why: impl std::fmt::Display) -> String {
        format!("{}:{line}: {why}", self.path)
    }
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

/// Whether `name` stands in `line` as a whole path segment or word.
pub(super) fn names(line: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line
            .get(at + name.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// Blanks comments, strings and character literals; newlines stay.
fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let peek = |at: usize| chars.get(at).copied().unwrap_or('\0');
    while at < chars.len() {
        let end = match (peek(at), peek(at + 1)) {
            ('/', '/') => line_end(&chars, at),
            ('/', '*') => comment_end(&chars, at),
            ('"', _) => string_end(&chars, at + 1),
            ('\'', _) => char_end(&chars, at),
            ('r', '"' | '#') if !follows_word(&chars, at) => raw_end(&chars, at),
            _ => at,
        };
        if end == at {
            out.push(peek(at));
            at += 1;
        } else {
            out.extend(
                chars
                    .iter()
                    .take(end)
                    .skip(at)
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

fn follows_word(chars: &[char], at: usize) -> bool {
    // `br"…"` is a string too; `for"` is not one
    let word = |c: &char| c.is_alphanumeric() || *c == '_';
    at.checked_sub(1)
        .and_then(|i| chars.get(i))
        .is_some_and(|c| *c != 'b' && word(c))
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars
        .iter()
        .skip(at)
        .position(|c| *c == '\n')
        .map_or(chars.len(), |n| at + n)
}

fn comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i < chars.len() {
        match (chars.get(i), chars.get(i + 1)) {
            (Some('/'), Some('*')) => (depth, i) = (depth + 1, i + 2),
            (Some('*'), Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i.min(chars.len())
}

fn string_end(chars: &[char], from: usize) -> usize {
    let mut i = from;
    while let Some(c) = chars.get(i) {
        match c {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// A character literal ends at its quote; a lifetime is no literal.
fn char_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let close = chars.iter().skip(at + 3).take(10).position(|c| *c == '\'');
            close.map_or(at, |n| at + 3 + n + 1)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

fn raw_end(chars: &[char], at: usize) -> usize {
    let hashes = chars.iter().skip(at + 1).take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at; // r#name
    }
    let mut i = at + 2 + hashes;
    while i < chars.len() {
        let closes = chars.get(i) == Some(&'"')
            && chars
                .iter()
                .skip(i + 1)
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes;
        if closes {
            return i + 1 + hashes;
        }
        i += 1;
    }
    chars.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_what_is_not_code() {
        let check = |text: &str, want: &str| {
            let squeezed = code_only(text)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            assert_eq!(squeezed, want, "{text}");
        };
        check("a // b\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check(r#"f("x // \" y", 1)"#, "f( , 1)");
        check("r#\"a \"b\"# + c", "+ c");
        check("br\"a\" + c", "b + c");
        check("r#type: u8", "r#type: u8");
        check("'\"' + '\\'' + '\\u{41}' + &'a str", "+ + + &'a str");
        check("\"not closed", "");
    }

    #[test]
    fn finds_whole_words() {
        let check = |line, name, want| assert_eq!(names(line, name), want, "{line}");
        check("use tokio::net", "tokio", true);
        check("use tokio_util::x", "tokio", false);
        check("let x = my_tokio;", "tokio", false);
    }

    #[test]
    fn knows_where_tests_begin() {
        let source = Source::new("agent/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {}\n");
        assert_eq!(source.product_code().count(), 1);
        assert_eq!(source.numbered_code().count(), 3);
    }
}
