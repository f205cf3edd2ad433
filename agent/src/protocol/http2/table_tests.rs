use super::*;

fn check(table: &Table, index: usize, expected: Found<'_>) {
    assert_eq!(table.find(index), expected, "{index}");
}

fn add(table: &mut Table, name: Name, value: &str) {
    table.add(Some((name, 4)), Some(value.as_bytes()), value.len());
}

#[test]
fn newest_first_and_oldest_out() {
    let mut table = Table::default();
    check(&table, 0, Found::Nothing);
    check(&table, 2, Found::Known(Name::Method, 7, b"GET"));
    check(&table, 61, Found::Known(Name::Other, 16, b""));
    check(&table, 62, Found::Nothing);
    add(&mut table, Name::Host, "a");
    add(&mut table, Name::Host, "b");
    check(&table, 62, Found::Known(Name::Host, 4, b"b"));
    check(&table, 63, Found::Known(Name::Host, 4, b"a"));
    // Room for one of 37 bytes.
    table.resize(40);
    check(&table, 62, Found::Known(Name::Host, 4, b"b"));
    check(&table, 63, Found::Nothing);
    add(&mut table, Name::Host, &"c".repeat(100));
    check(&table, 62, Found::Nothing);
}

#[test]
fn what_was_not_seen_is_unknown() {
    let mut table = Table::default();
    add(&mut table, Name::Host, "a");
    table.lose();
    check(&table, 62, Found::Unknown);
    check(&table, 1000, Found::Unknown);
    add(&mut table, Name::Host, "b");
    check(&table, 62, Found::Known(Name::Host, 4, b"b"));
    check(&table, 63, Found::Unknown);
    table.add(None, Some(b"x"), 1);
    check(&table, 62, Found::Unknown);
    check(&table, 63, Found::Known(Name::Host, 4, b"b"));
    table.add(Some((Name::Path, 5)), None, 0);
    check(&table, 62, Found::Named(Name::Path, 5));
    // An entry too large to be kept is there nevertheless.
    add(&mut table, Name::Host, &"c".repeat(2 * UNKNOWN));
    check(&table, 62, Found::Named(Name::Host, 4));
    add(&mut table, Name::Host, "d");
    check(&table, 62, Found::Known(Name::Host, 4, b"d"));
    // Emptied, it is known.
    table.resize(0);
    table.resize(USUAL);
    assert!(table.is_exact());
    check(&table, 62, Found::Nothing);
}

#[test]
fn a_large_table_is_followed_in_part() {
    let mut table = Table::default();
    table.resize(100 * MOST);
    for _ in 0..100 {
        add(&mut table, Name::Host, &"x".repeat(4000));
    }
    let (entries, bytes) = table.held();
    assert!(entries < 17 && bytes <= MOST, "{entries} {bytes}");
    check(&table, 62 + entries, Found::Unknown);
}
