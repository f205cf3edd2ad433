use super::*;
use crate::protocol::exchange::Value;

/// Attributes of an operation as `key=value`.
fn shown(operation: &Operation) -> Vec<String> {
    let value = |value: &Value| match value {
        Value::Text(text) => text.to_string(),
        other => format!("{other:?}"),
    };
    let attributes = operation.attributes.iter();
    attributes
        .map(|found| format!("{}={}", found.key, value(&found.value)))
        .collect()
}

#[test]
fn says_what_the_conventions_want() {
    let system = driver::of_go("pq.Driver");
    let found = operation(b"SELECT name FROM users WHERE id = 7", false, system);
    assert_eq!(found.verb, "SELECT users");
    assert_eq!(
        shown(&found),
        [
            "db.system.name=postgresql",
            "db.operation.name=SELECT",
            "db.collection.name=users",
            "db.query.summary=SELECT users",
            "db.query.text=SELECT name FROM users WHERE id = ?",
        ]
    );
}

#[test]
fn what_says_nothing_is_named_by_its_system() {
    let found = operation(b"'x", true, driver::of_go("unheard.Of"));
    assert_eq!(found.verb, "other_sql");
    assert_eq!(
        shown(&found),
        ["db.system.name=other_sql", "db.query.text=?"]
    );
    let found = function("COMMIT", driver::of_go("sqlite.Driver"));
    assert_eq!(found.verb, "COMMIT");
    assert_eq!(
        shown(&found),
        ["db.system.name=sqlite", "db.operation.name=COMMIT"]
    );
}
