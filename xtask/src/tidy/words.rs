//! Words that do not belong in the repository: promises instead of work, traces of one machine,
//! and the names of tools that say nothing of the product.

use super::Findings;
use super::source::Source;

/// Work that is not done. Split, so that this file may hold them.
const UNFINISHED: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("unimpl", "emented!"),
    concat!("to", "do!"),
];
/// One machine's folders, package hosts that others replace by their own, and writing tools.
const FOREIGN: [(&str, &str); 15] = [
    (concat!("/wo", "rk/shared"), MACHINE),
    (concat!("/wo", "rk/main"), MACHINE),
    (concat!("/wo", "rk/wt"), MACHINE),
    (concat!(".rust", "up/toolchains/"), MACHINE),
    (concat!("registry.", "npmjs"), HOST),
    (concat!("crates", ".io"), HOST),
    (concat!("pypi", ".org"), HOST),
    (concat!("pythonhosted", ".org"), HOST),
    (concat!("proxy.", "golang"), HOST),
    (concat!("deb.", "debian.org"), HOST),
    (concat!("repo.", "maven"), HOST),
    (concat!("cla", "ude"), TOOL),
    (concat!("anth", "ropic"), TOOL),
    (concat!("chat", "gpt"), TOOL),
    (concat!("cop", "ilot"), TOOL),
];
const MACHINE: &str = "a path of one machine";
const HOST: &str = "a package host: others have their own";
const TOOL: &str = "the repository speaks of the product alone";

/// Files that tools write.
const WRITTEN_BY_TOOLS: [&str; 2] = ["Cargo.lock", "go.sum"];

/// Findings of one file.
pub(super) fn check(source: &Source) -> Findings {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    if WRITTEN_BY_TOOLS.contains(&name) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        let small = line.to_lowercase();
        for word in UNFINISHED.iter().filter(|word| has_word(line, word)) {
            findings.push(source.finding(
                index + 1,
                format!("`{word}`: do it or write it up elsewhere"),
            ));
        }
        for (word, why) in FOREIGN
            .iter()
            .filter(|(word, _)| small.contains(&word.to_lowercase()))
        {
            findings.push(source.finding(index + 1, format!("`{word}`: {why}")));
        }
    }
    findings
}

/// A word, not a part of one.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line
            .get(at + word.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::check as check_rule;

    #[test]
    fn finds_unfinished_work_and_foreign_words() {
        let case = |path, text: &str, want: &[usize]| check_rule(check, path, text, want);
        case("a.rs", "fn a() {}\n", &[]);
        case("a.rs", &format!("\n// {}: later\n", UNFINISHED[0]), &[2]);
        case("a.rs", &format!("fn a() {{ {}() }}\n", UNFINISHED[3]), &[1]);
        case("a.rs", "MASTODON, autodo\n", &[]);
        case("a.md", &format!("see {}x\n", FOREIGN[0].0), &[1]);
        case("a.json", &format!("https://{}.org\n", FOREIGN[4].0), &[1]);
        case("Cargo.lock", &format!("https://{}\n", FOREIGN[5].0), &[]);
    }
}
