use super::*;
use crate::protocol::sql::text::sanitised;

const ALL: [Dialect; 7] = [
    Postgresql, Mysql, Sqlite, SqlServer, Oracle, Clickhouse, Unknown,
];

/// What is shown of `statement` in these dialects; `…` at its end stands for more that is not shown.
fn check(statement: &str, dialects: &[Dialect], expected: &str) {
    for dialect in dialects {
        let found = scan(statement.as_bytes(), false, *dialect);
        let mut shown = sanitised(&found.tokens);
        if found.cut {
            shown.push('…');
        }
        assert_eq!(shown, expected, "{statement} in {dialect:?}");
    }
}

#[test]
fn values_are_replaced_in_every_dialect() {
    for (statement, expected) in [
        ("SELECT 1", "SELECT ?"),
        (
            "select a1 from t2 where b = 'x' ",
            "select a1 from t2 where b = ?",
        ),
        ("a='it''s' and b=''", "a=? and b=?"),
        ("x = -1.5e-3 + 0xFFe+1 + .5", "x = -? + ?+? + ?"),
        ("x = X'00ff' or y = N'é' or z=b'1'", "x = ? or y = ? or z=?"),
        ("a IN (1, 'x', ?)", "a IN (?)"),
        (
            "a in($1,$2) and b in (select 1)",
            "a in (?) and b in (select ?)",
        ),
        (
            "a = $1 and b = :name and c = @p1 and d = ?",
            "a = $1 and b = :name and c = @p1 and d = ?",
        ),
        (
            "a::text = true and b is null",
            "a::text = true and b is null",
        ),
        ("a /* 'x' */ b -- it's\n c", "a b c"),
        ("q'[it's]' x", "?…"),
        ("U&'d\\0061'", "?"),
        ("a\\b", "a\\b"),
        ("'cut", "?…"),
        ("a /* cut", "a…"),
        ("a /* b /* c */ d */ e", "a…"),
        ("'a\\\\' x", "? x"),
        ("  ", ""),
    ] {
        let all: &[Dialect] = match statement {
            "q'[it's]' x" => &[Postgresql, Mysql, Sqlite, SqlServer, Clickhouse, Unknown],
            _ => &ALL,
        };
        check(statement, all, expected);
    }
}

#[test]
fn what_dialects_read_differently() {
    check("\"A b\".c", &[Postgresql, Oracle], "\"A b\".c");
    check(
        "\"A b\".c",
        &[Mysql, Sqlite, SqlServer, Clickhouse, Unknown],
        "?.c",
    );
    check("`a b`", &[Mysql, Sqlite, Clickhouse, Unknown], "`a b`");
    check("x `a b`", &[Postgresql, Oracle, SqlServer], "x…");
    check("[it's] 'x'", &[Sqlite, SqlServer], "[it's] ?");
    check("[it's] 'x'", &[Unknown], "…");
    check(
        "[1] 'x'",
        &[Postgresql, Mysql, Clickhouse, Unknown],
        "[?] ?",
    );
    check(
        "'it\\'s' x",
        &[Postgresql, Mysql, Clickhouse, Unknown],
        "?…",
    );
    check("'a\\' x", &[Sqlite, SqlServer, Oracle], "? x");
    check("E'it\\'s' x", &[Postgresql], "? x");
    check("e'it\\'s' x", &[Mysql, Unknown], "?…");
    check("q'[it's]' x", &[Oracle], "? x");
    check("q'!it!' x", &ALL, "? x");
    check("a $$it's$$ b $x$ $$ $x$ c", &[Postgresql], "a ? b ? c");
    check(
        "a $$it's$$ b",
        &[Mysql, Sqlite, SqlServer, Oracle, Clickhouse, Unknown],
        "a ?…",
    );
    check("a $x$ cut", &[Postgresql], "a ?…");
    check("a # b\nc", &[Mysql], "a c");
    check(
        "a # b\nc",
        &[Postgresql, Sqlite, SqlServer, Oracle],
        "a # b c",
    );
    check("a # b\nc", &[Clickhouse, Unknown], "a…");
    check("5--3\n+c", &[Mysql], "?--? +c");
    check(
        "5--3\n+c",
        &[Postgresql, Sqlite, SqlServer, Oracle, Clickhouse],
        "? +c",
    );
    check("5--3\n+c", &[Unknown], "?…");
    check("'''a ' b'''", &[Unknown], "?…");
}

#[test]
fn what_is_cut_ends_with_what_is_certain() {
    let check = |statement: &str, expected: &str| {
        let found = scan(statement.as_bytes(), true, Postgresql);
        assert!(found.cut);
        assert_eq!(sanitised(&found.tokens), expected, "{statement}");
    };
    check("SELECT a FROM use", "SELECT a FROM");
    check("SELECT 12", "SELECT ?");
    check("SELECT 'x", "SELECT ?");
    check("SELECT a -- x", "SELECT a");
    check("SELECT a, ", "SELECT a,");
    check("SELECT $1", "SELECT");
}

/// Bytes of literals: no name, keyword or number has one of them.
const SECRET: &str = "§";

/// Literals of a dialect, each of which holds [`SECRET`] wherever it may.
fn literals(dialect: Dialect) -> Vec<String> {
    let inside = [
        SECRET.to_owned(),
        format!("{SECRET}''{SECRET}"),
        format!("''{SECRET}''"),
        format!("{SECRET}\" ` [ ] $$ -- /* {SECRET}"),
        format!("{SECRET}\\\\"),
        format!("*/ {SECRET}\n# {SECRET}"),
    ];
    let mut all: Vec<String> = Vec::new();
    for text in &inside {
        all.extend([format!("'{text}'"), format!("N'{text}'")]);
        if dialect == Postgresql {
            all.extend([format!("E'\\'{text}'"), format!("$t${text} ' $$ $t$")]);
        }
        if !matches!(dialect, Sqlite | SqlServer | Oracle) {
            all.push(format!("'\\'{text}'"));
        }
        if dialect == Mysql {
            all.push(format!("\"{}\"", text.replace('"', "\"\"")));
        }
        if dialect == Oracle {
            all.push(format!("q'[it's {text} ]'"));
        }
    }
    all
}

proptest::proptest! {
    /// Whatever stands between literals, and wherever the statement is cut, no byte of one is shown.
    #[test]
    fn no_byte_of_a_literal_is_shown(
        kind in 0..6_usize,
        pieces in proptest::collection::vec((0..64_usize, 0..16_usize), 1..12),
        end in 0..400_usize,
    ) {
        // Of one that is not known, any may be right.
        let dialect = ALL[kind];
        let between = [
            " ", " = ", ", ", " a ", " IN (", ") ", " -- c\n", " /* c */ ", " 1 ", "(", " || ", "; ", " x.y ", " 0x1 ",
            "\n", " AND ",
        ];
        let literals = literals(dialect);
        let mut statement = String::from("SELECT ");
        for (literal, gap) in pieces {
            statement.push_str(&literals[literal % literals.len()]);
            statement.push_str(between[gap]);
        }
        let bytes = statement.as_bytes();
        for (cut, bytes) in [(false, bytes), (true, &bytes[..end.min(bytes.len())])] {
            for reader in [dialect, Unknown] {
                // Where Oracle's quotes are not known, nor PostgreSQL's, what is left out is more.
                let found = scan(bytes, cut, reader);
                let shown = sanitised(&found.tokens);
                proptest::prop_assert!(!shown.contains(SECRET), "{statement} in {reader:?}: {shown}");
                proptest::prop_assert!(!shown.contains('%'), "{statement} in {reader:?}: {shown}");
            }
        }
    }

    /// Any bytes at all, in any dialect.
    #[test]
    fn takes_any_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), cut: bool) {
        for dialect in ALL {
            let found = scan(&bytes, cut, dialect);
            let _ = sanitised(&found.tokens);
            let _ = crate::protocol::sql::summary::summary(&found.tokens, found.cut);
        }
    }

    /// What looks like SQL, in any dialect.
    #[test]
    fn takes_any_marks(text in "[-'\"`\\[\\]$#/*a-e0-9 \n\\\\qnE.:@?(),;]{0,80}", cut: bool) {
        for dialect in ALL {
            let found = scan(text.as_bytes(), cut, dialect);
            let _ = sanitised(&found.tokens);
            let _ = crate::protocol::sql::summary::summary(&found.tokens, found.cut);
        }
    }
}
