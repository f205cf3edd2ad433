use super::*;
use crate::protocol::sql::scan::{Dialect, scan};

/// Operation, collection and summary of a statement of PostgreSQL.
fn check(statement: &str, operation: &str, collection: &str, words: &str) {
    let found = scan(statement.as_bytes(), false, Dialect::Postgresql);
    let found = summary(&found.tokens, found.cut);
    let known = [found.operation, found.collection].map(Option::unwrap_or_default);
    assert_eq!(
        [known[0].as_str(), known[1].as_str(), found.words.as_str()],
        [operation, collection, words],
        "{statement}"
    );
}

#[test]
fn one_table() {
    check(
        "select * from users where id = 1",
        "SELECT",
        "users",
        "SELECT users",
    );
    check(
        "SELECT a FROM shop.\"Order Items\" o",
        "SELECT",
        "shop.Order Items",
        "SELECT shop.Order Items",
    );
    check(
        "SELECT extract(year FROM at) FROM t",
        "SELECT",
        "t",
        "SELECT t",
    );
    check(
        "SELECT a IS DISTINCT FROM b FROM t",
        "SELECT",
        "t",
        "SELECT t",
    );
    check(
        "INSERT INTO t (a, b) VALUES (1, 'x')",
        "INSERT",
        "t",
        "INSERT t",
    );
    check(
        "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 2",
        "INSERT",
        "t",
        "INSERT t",
    );
    check("UPDATE ONLY t SET a = 1", "UPDATE", "t", "UPDATE t");
    check("DELETE FROM t WHERE a = 1", "DELETE", "t", "DELETE t");
    check("SELECT a FROM t FOR UPDATE", "SELECT", "t", "SELECT t");
    check(
        "CREATE TABLE IF NOT EXISTS t (a int)",
        "CREATE TABLE",
        "t",
        "CREATE TABLE t",
    );
    check("TRUNCATE TABLE t", "TRUNCATE", "t", "TRUNCATE t");
    check("SELECT 1 FROM t;", "SELECT", "t", "SELECT t");
}

#[test]
fn several_tables_or_none() {
    check("SELECT 1", "SELECT", "", "SELECT");
    check(
        "SELECT * FROM a, b x, c WHERE 1 IN (2, 3)",
        "SELECT",
        "",
        "SELECT a b c",
    );
    check(
        "SELECT * FROM a JOIN b ON a.x = b.y",
        "SELECT",
        "",
        "SELECT a b",
    );
    check("INSERT INTO a SELECT x FROM b", "", "", "INSERT a SELECT b");
    check(
        "SELECT * FROM (SELECT x FROM a) z",
        "SELECT",
        "a",
        "SELECT SELECT a",
    );
    check("SELECT * FROM f(1)", "SELECT", "", "SELECT");
    check(
        "WITH x AS (SELECT 1 FROM a) SELECT * FROM x",
        "SELECT",
        "",
        "SELECT a SELECT x",
    );
    check(
        "SELECT 1 FROM a; SELECT 2 FROM a",
        "SELECT",
        "",
        "SELECT a SELECT a",
    );
    check("DROP INDEX i", "DROP INDEX", "", "DROP INDEX i");
    check("BEGIN", "BEGIN", "", "BEGIN");
    check("whatever 1", "", "", "");
    check("", "", "", "");
}

#[test]
fn what_is_cut_names_no_collection() {
    let found = scan(b"SELECT a FROM t WHERE b = 'x", true, Dialect::Mysql);
    let found = summary(&found.tokens, found.cut);
    assert_eq!(found.collection, None);
    assert_eq!(found.words, "SELECT t");
}

#[test]
fn summaries_are_bounded() {
    let names: Vec<String> = (0..500).map(|n| format!("table_{n}")).collect();
    let statement = format!("SELECT * FROM {}", names.join(", "));
    let found = scan(statement.as_bytes(), false, Dialect::Mysql);
    let words = summary(&found.tokens, false).words;
    assert!(
        words.len() <= LONGEST && words.starts_with("SELECT table_0 table_1 "),
        "{words}"
    );
    assert!(
        words
            .split(' ')
            .skip(1)
            .all(|word| names.iter().any(|name| name == word))
    );
}
