//! The name that was probably meant.

/// The one of `known` that is nearest to `name`, if it is near enough to be a slip.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let rated = known.iter().map(|other| (slips(name, other), *other));
    let (slips, best) = rated.min()?;
    (slips <= name.chars().count().max(3) / 3).then_some(best)
}

/// Letters in the wrong order are one slip, however many places it takes to mend them.
fn slips(left: &str, right: &str) -> usize {
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().take(64).collect();
        letters.sort_unstable();
        letters
    };
    match distance(left, right) {
        0 => 0,
        _ if sorted(left) == sorted(right) => 1,
        distance => distance,
    }
}

/// Levenshtein distance; names of settings are short, others are cut.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(64).collect();
    let right: Vec<char> = right.chars().take(64).collect();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for ((b, diagonal), above) in right.iter().zip(&previous).zip(previous.iter().skip(1)) {
            let before = current.last().copied().unwrap_or(0);
            let replaced = diagonal + usize::from(a != b);
            current.push(replaced.min(above + 1).min(before + 1));
        }
        previous = current;
    }
    previous.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let known = ["endpoint", "protocol", "headers", "timeout", "port"];
        let table = [
            ("endpont", Some("endpoint")),
            ("end_point", Some("endpoint")),
            ("header", Some("headers")),
            ("tiemout", Some("timeout")),
            ("prot", Some("port")),
            ("color", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(nearest(name, &known), expected, "{name}");
        }
    }
}
