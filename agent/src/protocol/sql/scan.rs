//! The words of a statement, in whichever dialect it is, whole or cut.
//!
//! In: bytes of a statement. Out: [`Token`]s, none of which holds a byte of a literal. Not here: what they
//! mean.
//!
//! Dialects disagree on where literals begin and end, and one that is taken to end too early gives away what
//! follows. So wherever the ways to read it part, and the dialect does not say which one is right, the
//! statement ends there: what is behind is not looked at.

/// How a database reads statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL and those that speak like it.
    Postgresql,
    /// MySQL, MariaDB.
    Mysql,
    /// SQLite.
    Sqlite,
    /// Microsoft SQL Server.
    SqlServer,
    /// Oracle.
    Oracle,
    /// ClickHouse.
    Clickhouse,
    /// It is not known.
    Unknown,
}

use Dialect::{Clickhouse, Mysql, Oracle, Postgresql, SqlServer, Sqlite, Unknown};

/// A part of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A keyword or a name as it stands, without quotes.
    Word(&'a [u8]),
    /// A name, with its quotes.
    Quoted(&'a [u8]),
    /// A literal was here.
    Literal,
    /// What stands for a value that is passed beside the statement.
    Placeholder(&'a [u8]),
    /// Any other byte.
    Symbol(u8),
}

/// A part, and whether something stood between it and the one before: blanks, comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// Which.
    pub part: Part<'a>,
    /// Something stood before it.
    pub apart: bool,
}

/// A statement in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// All parts that are certain.
    pub tokens: Vec<Token<'a>>,
    /// More followed.
    pub cut: bool,
}

/// Splits `statement`; more of it follows if it is `cut`.
#[must_use]
pub fn scan(statement: &[u8], cut: bool, dialect: Dialect) -> Scanned<'_> {
    let mut scanner = Scanner {
        bytes: statement,
        at: 0,
        dialect,
    };
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let end = loop {
        let before = scanner.at;
        if scanner.skip_blanks() == Next::End {
            break End::Unsure;
        }
        let apart = scanner.at > before && !tokens.is_empty();
        match scanner.part() {
            None => break End::Reached,
            Some((part, next)) => {
                // A word that is cut may be anything: the beginning of a literal's, too.
                let whole = !(cut && scanner.at >= statement.len() && is_open(part));
                if whole && (next == Next::More || part == Part::Literal) {
                    tokens.push(Token { part, apart });
                }
                if next == Next::End {
                    break End::Unsure;
                }
            }
        }
    };
    Scanned {
        tokens,
        cut: cut || end == End::Unsure,
    }
}

/// Would it go on if bytes followed?
const fn is_open(part: Part<'_>) -> bool {
    matches!(part, Part::Word(_) | Part::Placeholder(_))
}

#[derive(PartialEq, Eq)]
enum End {
    Reached,
    Unsure,
}

/// What is behind a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    More,
    /// Nothing that is certain.
    End,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    dialect: Dialect,
}

impl<'a> Scanner<'a> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at.checked_add(ahead)?).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The bytes from `from` to here.
    fn since(&self, from: usize) -> &'a [u8] {
        self.bytes.get(from..self.at).unwrap_or_default()
    }

    fn is_one_of(&self, dialects: &[Dialect]) -> bool {
        dialects.contains(&self.dialect)
    }

    /// Passes blanks and comments.
    fn skip_blanks(&mut self) -> Next {
        loop {
            let next = match (self.peek(0), self.peek(1)) {
                (Some(b'-'), Some(b'-')) => match self.dashes() {
                    Some(next) => next,
                    None => return Next::More,
                },
                (Some(b'/'), Some(b'*')) => self.block(),
                (Some(b'#'), _) if self.is_one_of(&[Mysql]) => self.line(),
                // A comment, or an operator.
                (Some(b'#'), _) if self.is_one_of(&[Clickhouse, Unknown]) => Next::End,
                (Some(blank), _) if blank.is_ascii_whitespace() || blank == 0x0b => {
                    self.at += 1;
                    Next::More
                }
                _ => return Next::More,
            };
            if next == Next::End {
                return next;
            }
        }
    }

    /// `--`: a comment, or in MySQL, if no blank follows, two signs (`None`).
    fn dashes(&mut self) -> Option<Next> {
        let blank = self.peek(2).is_none_or(|byte| byte <= b' ');
        match self.dialect {
            Mysql if !blank => None,
            Unknown if !blank => Some(Next::End),
            _ => Some(self.line()),
        }
    }

    fn line(&mut self) -> Next {
        match memchr::memchr(b'\n', self.rest()) {
            Some(end) => {
                self.at += end + 1;
                Next::More
            }
            None => Next::End,
        }
    }

    /// A comment in a comment ends both, or one of them.
    fn block(&mut self) -> Next {
        let inside = self.rest().get(2..).unwrap_or_default();
        let Some(end) = memchr::memmem::find(inside, b"*/") else {
            return Next::End;
        };
        let text = inside.get(..end).unwrap_or_default();
        if memchr::memmem::find(text, b"/*").is_some() {
            return Next::End;
        }
        self.at += end + 4;
        Next::More
    }

    fn part(&mut self) -> Option<(Part<'a>, Next)> {
        let from = self.at;
        let first = self.peek(0)?;
        let certain = |part| (part, Next::More);
        let found = match first {
            b'\'' => self.literal(b'\'', self.backslashes()),
            b'"' if self.is_one_of(&[Postgresql, Oracle]) => self.name(b'"'),
            b'"' => self.literal(b'"', self.backslashes()),
            b'`' if self.is_one_of(&[Postgresql, Oracle, SqlServer]) => {
                (Part::Symbol(first), Next::End)
            }
            b'`' => self.name(b'`'),
            b'[' if self.is_one_of(&[SqlServer, Sqlite]) => self.name(b']'),
            b'[' if self.dialect == Unknown && self.may_be_a_name() => {
                (Part::Symbol(first), Next::End)
            }
            b'$' => self.dollar(),
            b'?' => {
                self.at += 1;
                certain(Part::Placeholder(self.since(from)))
            }
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_some_and(|next| next.is_ascii_digit()) => self.number(),
            b':' if self.peek(1) == Some(b':') => {
                // A cast: its type is a word of its own.
                self.at += 1;
                certain(Part::Symbol(first))
            }
            b'@' | b':'
                if self
                    .peek(1)
                    .is_some_and(|next| is_letter(next) || next.is_ascii_digit()) =>
            {
                let cast = first == b':' && from > 0 && self.bytes.get(from - 1) == Some(&b':');
                self.at += 1;
                if cast {
                    certain(Part::Symbol(first))
                } else {
                    self.word();
                    certain(Part::Placeholder(self.since(from)))
                }
            }
            letter if is_letter(letter) => self.named(),
            _ => {
                self.at += 1;
                certain(Part::Symbol(first))
            }
        };
        Some(found)
    }

    /// Passes letters and digits.
    fn word(&mut self) {
        let hash = self.is_one_of(&[Oracle, SqlServer]);
        let of_word = |byte: &u8| {
            is_letter(*byte) || byte.is_ascii_digit() || *byte == b'$' || (hash && *byte == b'#')
        };
        self.at += self.rest().iter().take_while(|byte| of_word(byte)).count();
    }

    /// A word, or the literal that it begins: `E'...'`, `x'...'`, `q'[...]'`.
    fn named(&mut self) -> (Part<'a>, Next) {
        let from = self.at;
        self.word();
        let word = self.since(from);
        let is = |prefixes: &[&str]| {
            prefixes
                .iter()
                .any(|prefix| word.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        let quoted = self.peek(0) == Some(b'\'');
        if quoted && is(&["q", "nq"]) {
            return self.own_quotes();
        }
        if quoted && is(&["e"]) && self.dialect == Postgresql {
            return self.literal(b'\'', Backslashes::Escape);
        }
        if quoted && is(&["e", "b", "x", "n", "r"]) {
            return self.literal(b'\'', self.backslashes());
        }
        if self.peek(0) == Some(b'&') && self.peek(1) == Some(b'\'') && is(&["u"]) {
            self.at += 1;
            return self.literal(b'\'', self.backslashes());
        }
        (Part::Word(word), Next::More)
    }

    /// What a backslash before a quote means.
    const fn backslashes(&self) -> Backslashes {
        match self.dialect {
            Sqlite | SqlServer | Oracle => Backslashes::Plain,
            // Settings decide, of the server or of the session.
            Postgresql | Mysql | Clickhouse | Unknown => Backslashes::Unsure,
        }
    }

    /// A literal in `quote`s, at the first of which this stands; two of them in it mean one.
    fn literal(&mut self, quote: u8, backslashes: Backslashes) -> (Part<'a>, Next) {
        // Three of them may begin a literal that ends with three.
        if self.dialect == Unknown && self.rest().starts_with(&[quote; 3]) {
            return (Part::Literal, Next::End);
        }
        match self.end_of(quote, backslashes) {
            Some(end) => {
                self.at = end;
                (Part::Literal, Next::More)
            }
            None => (Part::Literal, Next::End),
        }
    }

    /// A name that ends with `quote`; two of them in it mean one.
    fn name(&mut self, quote: u8) -> (Part<'a>, Next) {
        let from = self.at;
        let backslashes = match self.dialect {
            Clickhouse | Unknown => Backslashes::Unsure,
            _ => Backslashes::Plain,
        };
        match self.end_of(quote, backslashes) {
            Some(end) => {
                self.at = end;
                (Part::Quoted(self.since(from)), Next::More)
            }
            None => (Part::Quoted(b""), Next::End),
        }
    }

    /// Where the text in quotes ends that begins here, if that is certain.
    fn end_of(&self, quote: u8, backslashes: Backslashes) -> Option<usize> {
        let mut at = self.at.checked_add(1)?;
        loop {
            let rest = self.bytes.get(at..)?;
            let found = at + memchr::memchr(quote, rest)?;
            let inside = self.bytes.get(self.at + 1..found)?;
            let odd = inside
                .iter()
                .rev()
                .take_while(|byte| **byte == b'\\')
                .count()
                % 2
                == 1;
            match (odd, backslashes) {
                (true, Backslashes::Unsure) => return None,
                (true, Backslashes::Escape) => at = found + 1,
                // SQLite's brackets end with the first.
                (..) if self.bytes.get(found + 1) == Some(&quote)
                    && !(quote == b']' && self.dialect == Sqlite) =>
                {
                    at = found + 2;
                }
                (..) => return Some(found + 1),
            }
        }
    }

    /// `'[...]'` behind `q`: where Oracle ends it, others may not.
    fn own_quotes(&mut self) -> (Part<'a>, Next) {
        let close = match self.peek(1) {
            Some(b'[') => b']',
            Some(b'{') => b'}',
            Some(b'(') => b')',
            Some(b'<') => b'>',
            Some(other) => other,
            None => return (Part::Literal, Next::End),
        };
        let inside = self.rest().get(2..).unwrap_or_default();
        let oracles = memchr::memmem::find(inside, &[close, b'\'']).map(|end| self.at + end + 4);
        let end = match self.dialect {
            Oracle => oracles,
            _ => oracles.filter(|end| self.end_of(b'\'', Backslashes::Unsure) == Some(*end)),
        };
        match end {
            Some(end) => {
                self.at = end;
                (Part::Literal, Next::More)
            }
            None => (Part::Literal, Next::End),
        }
    }

    /// `$1`, `$name`, or `$tag$...$tag$`.
    fn dollar(&mut self) -> (Part<'a>, Next) {
        let from = self.at;
        let of_tag = |byte: &u8| is_letter(*byte) || byte.is_ascii_digit();
        let behind = self.rest().get(1..).unwrap_or_default();
        let tag = behind.iter().take_while(|byte| of_tag(byte)).count();
        let number = behind.first().is_some_and(u8::is_ascii_digit);
        if number || behind.get(tag) != Some(&b'$') {
            self.at += 1 + tag;
            return (Part::Placeholder(self.since(from)), Next::More);
        }
        if !self.is_one_of(&[Postgresql, Unknown]) {
            return (Part::Literal, Next::End);
        }
        let quote = self.rest().get(..tag + 2).unwrap_or_default();
        let inside = self.rest().get(tag + 2..).unwrap_or_default();
        match memchr::memmem::find(inside, quote) {
            // Elsewhere it may be two names.
            Some(end) if self.dialect == Postgresql => {
                self.at += 2 * (tag + 2) + end;
                (Part::Literal, Next::More)
            }
            _ => (Part::Literal, Next::End),
        }
    }

    /// A number, and all letters that follow it.
    fn number(&mut self) -> (Part<'a>, Next) {
        let from = self.at;
        loop {
            let of_number = |byte: &u8| is_letter(*byte) || byte.is_ascii_digit() || *byte == b'.';
            self.at += self
                .rest()
                .iter()
                .take_while(|byte| of_number(byte))
                .count();
            let text = self.since(from);
            let exponent =
                matches!(text, [.., b'e' | b'E']) && !matches!(text, [b'0', b'x' | b'X', ..]);
            let signed = matches!(self.peek(0), Some(b'+' | b'-'))
                && self.peek(1).is_some_and(|next| next.is_ascii_digit());
            if !(exponent && signed) {
                return (Part::Literal, Next::More);
            }
            self.at += 1;
        }
    }

    /// Would what stands in these brackets be read otherwise if it were a name?
    fn may_be_a_name(&self) -> bool {
        let inside = self.rest();
        let end = memchr::memchr(b']', inside).unwrap_or(inside.len());
        let text = inside.get(1..end).unwrap_or_default();
        text.iter().any(|byte| b"'\"`$#-/\\[".contains(byte))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backslashes {
    /// They are bytes like any other.
    Plain,
    /// A quote behind one is none.
    Escape,
    /// Either.
    Unsure,
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
