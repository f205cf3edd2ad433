//! What a statement does, to what.
//!
//! In: the parts of a statement. Out: its operation, and the tables that it certainly names. No parser: words
//! that stand where only a table's name can are taken for one, and all else is left out.

use super::scan::{Part, Token};

/// Longest summary, bytes.
const LONGEST: usize = 255;
/// Most words of a summary.
const WORDS: usize = 32;
/// Parentheses within each other that are followed.
const DEPTH: usize = 64;

/// What a statement does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// `db.operation.name`, in capital letters.
    pub operation: Option<String>,
    /// `db.collection.name`: the one table that it is about.
    pub collection: Option<String>,
    /// `db.query.summary`: operations and tables, in their order.
    pub words: String,
}

/// Summarises `tokens`; more of them followed if they are `cut`.
#[must_use]
pub fn summary(tokens: &[Token<'_>], cut: bool) -> Summary {
    let mut reader = Reader {
        tokens,
        at: 0,
        levels: vec![Level::default()],
        words: Vec::new(),
        operations: Vec::new(),
        tables: Vec::new(),
        // The name of a table that follows may be one of the statement's own.
        vague: cut,
    };
    reader.read();
    let operation = match reader.operations.as_slice() {
        [] => None,
        [first, rest @ ..] => rest
            .iter()
            .all(|other| other == first)
            .then(|| first.clone()),
    };
    let collection = match reader.tables.as_slice() {
        [first, rest @ ..] if !reader.vague && rest.iter().all(|other| other == first) => {
            Some(first.clone())
        }
        _ => None,
    };
    let mut words = String::new();
    for word in reader.words {
        if words.len() + 1 + word.len() > LONGEST {
            break;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(&word);
    }
    Summary {
        operation,
        collection,
        words,
    }
}

/// What is known within a pair of parentheses.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Its `SELECT` or `DELETE` is still to say from where.
    reads: bool,
    /// In the list of tables behind `FROM`.
    lists: bool,
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    levels: Vec<Level>,
    words: Vec<String>,
    operations: Vec<String>,
    tables: Vec<String>,
    vague: bool,
}

/// Words that begin a statement and say all of it.
const ALONE: [&str; 14] = [
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
    "SET",
    "SHOW",
    "CALL",
    "PRAGMA",
    "VACUUM",
    "ANALYZE",
    "EXPLAIN",
    "EXEC",
    "START",
];
/// Words that begin a statement about an object, of a kind.
const DEFINING: [&str; 3] = ["CREATE", "ALTER", "DROP"];
/// Kinds of objects.
const KINDS: [&str; 9] = [
    "TABLE", "INDEX", "VIEW", "SCHEMA", "DATABASE", "SEQUENCE", "FUNCTION", "TRIGGER", "USER",
];
/// Words between a kind and a name, and before a table's name.
const FILLERS: [&str; 8] = [
    "IF",
    "NOT",
    "EXISTS",
    "ONLY",
    "CONCURRENTLY",
    "LOW_PRIORITY",
    "IGNORE",
    "INTO",
];
/// What ends a list of tables.
const CLAUSES: [&str; 12] = [
    "WHERE",
    "GROUP",
    "ORDER",
    "HAVING",
    "LIMIT",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "RETURNING",
    "SET",
    "ON",
    "WINDOW",
];

impl<'a> Reader<'a> {
    fn read(&mut self) {
        let mut begins = true;
        while let Some(part) = self.part(0) {
            let word = self.word(0);
            self.at += 1;
            match part {
                Part::Symbol(b'(') if self.levels.len() < DEPTH => {
                    self.levels.push(Level::default())
                }
                Part::Symbol(b'(') => return,
                Part::Symbol(b')') if self.levels.len() > 1 => {
                    self.levels.pop();
                }
                Part::Symbol(b';') => {
                    self.vague |= self.at < self.tokens.len();
                    self.levels = vec![Level::default()];
                    begins = true;
                    continue;
                }
                Part::Symbol(b',') if self.level().lists => self.table(),
                _ => {}
            }
            if let Some(word) = word {
                self.keyword(&word, begins);
            }
            begins = false;
        }
    }

    fn keyword(&mut self, word: &str, begins: bool) {
        let main = self.operations.is_empty();
        match word {
            "SELECT" => {
                self.operation("SELECT".to_owned());
                *self.level() = Level {
                    reads: true,
                    lists: false,
                };
            }
            "FROM" if self.level().reads && !self.is_compared() => {
                self.level().reads = false;
                self.level().lists = true;
                self.table();
            }
            "JOIN" => self.table(),
            "INSERT" | "REPLACE" | "MERGE" if begins || main => {
                self.operation(word.to_owned());
                if self
                    .word(0)
                    .is_some_and(|next| FILLERS.contains(&next.as_str()))
                {
                    self.table();
                }
            }
            "UPDATE" | "TRUNCATE" if begins || main => {
                self.operation(word.to_owned());
                if self.word(0).as_deref() == Some("TABLE") {
                    self.at += 1;
                }
                self.table();
            }
            "DELETE" if begins || main => {
                self.operation(word.to_owned());
                self.level().reads = true;
            }
            "WITH" if begins => self.vague = true,
            _ if begins && DEFINING.contains(&word) => self.define(word),
            _ if begins && ALONE.contains(&word) => self.operation(word.to_owned()),
            _ if CLAUSES.contains(&word) => self.level().lists = false,
            _ => {}
        }
    }

    /// `IS DISTINCT FROM`.
    fn is_compared(&self) -> bool {
        let before = self.at.checked_sub(2).and_then(|at| self.tokens.get(at));
        before.is_some_and(
            |token| matches!(token.part, Part::Word(word) if word.eq_ignore_ascii_case(b"distinct")),
        )
    }

    /// `CREATE UNIQUE INDEX IF NOT EXISTS name`.
    fn define(&mut self, word: &str) {
        for ahead in 0..3 {
            let Some(kind) = self
                .word(ahead)
                .filter(|kind| KINDS.contains(&kind.as_str()))
            else {
                continue;
            };
            self.at += ahead + 1;
            self.operation(format!("{word} {kind}"));
            self.skip_fillers();
            let name = self.name();
            let called = name.map(|(name, len)| {
                self.at += len;
                name
            });
            match called {
                Some(name) if kind == "TABLE" => self.found(name),
                Some(name) => {
                    self.vague = true;
                    self.say(name);
                }
                None => self.vague = true,
            }
            return;
        }
        self.operation(word.to_owned());
    }

    fn operation(&mut self, name: String) {
        if self.operations.len() < WORDS {
            self.operations.push(name.clone());
        }
        self.say(name);
    }

    fn found(&mut self, table: String) {
        if self.tables.len() < WORDS {
            self.tables.push(table.clone());
        }
        self.say(table);
    }

    fn say(&mut self, word: String) {
        if self.words.len() < WORDS {
            self.words.push(word);
        }
    }

    fn skip_fillers(&mut self) {
        while self
            .word(0)
            .is_some_and(|next| FILLERS.contains(&next.as_str()))
        {
            self.at += 1;
        }
    }

    /// A table's name stands here, or what is none: a function, a query of its own.
    fn table(&mut self) {
        self.skip_fillers();
        let Some((name, len)) = self.name() else {
            // A query in parentheses names its own tables.
            self.vague |= self.part(0) != Some(Part::Symbol(b'('));
            return;
        };
        // Of an INSERT the columns follow.
        let inserts = matches!(
            self.operations.last().map(String::as_str),
            Some("INSERT" | "REPLACE")
        );
        if self.part(len) == Some(Part::Symbol(b'(')) && !inserts {
            self.vague = true;
            return;
        }
        self.at += len;
        self.found(name);
    }

    /// The name that stands here, with those before its dots, and how many parts it has.
    fn name(&self) -> Option<(String, usize)> {
        let mut name = String::new();
        let mut len = 0;
        loop {
            match self.part(len)? {
                Part::Word(word) => name.push_str(std::str::from_utf8(word).ok()?),
                Part::Quoted(quoted) => {
                    let inside = quoted.get(1..quoted.len().checked_sub(1)?)?;
                    name.push_str(std::str::from_utf8(inside).ok()?);
                }
                _ => return None,
            }
            len += 1;
            if self.part(len) != Some(Part::Symbol(b'.')) {
                return Some((name, len));
            }
            name.push('.');
            len += 1;
        }
    }

    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    fn part(&self, ahead: usize) -> Option<Part<'a>> {
        self.tokens
            .get(self.at.checked_add(ahead)?)
            .map(|token| token.part)
    }

    /// The word that stands so far ahead, in capital letters, if it is one that may be a keyword.
    fn word(&self, ahead: usize) -> Option<String> {
        match self.part(ahead)? {
            Part::Word(word) if word.len() <= 16 => {
                let word = std::str::from_utf8(word).ok()?;
                Some(word.to_ascii_uppercase())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
