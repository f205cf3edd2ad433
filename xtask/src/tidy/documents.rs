//! What the documents must say, checked against the tree.

use std::fs;
use std::path::Path;

use super::Findings;
use crate::hooks;

/// A document and what must stand in it.
const MUST_SAY: [(&str, &[&str]); 4] = [
    (
        "README.md",
        &["cargo xtask demo", "cargo xtask test", "CONTRIBUTING.md"],
    ),
    ("CONTRIBUTING.md", &["cargo xtask test", "cargo xtask tidy"]),
    ("CHANGELOG.md", &["## Unreleased"]),
    (".ci/run", &["cargo xtask test"]),
];

/// Documents that must be there.
const MUST_BE: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// Findings over the whole tree.
pub(super) fn check(root: &Path) -> Findings {
    let mut findings = Vec::new();
    for (name, phrases) in MUST_SAY {
        findings.extend(says(
            name,
            fs::read_to_string(root.join(name)).ok().as_deref(),
            phrases,
        ));
    }
    let missing = MUST_BE.iter().filter(|name| !root.join(name).is_file());
    findings.extend(missing.map(|name| format!("{name}:1: is missing")));
    findings.extend(up_to_date(
        hooks::PAGE,
        fs::read_to_string(root.join(hooks::PAGE)).ok().as_deref(),
        &hooks::page(root),
    ));
    if let Ok(readme) = fs::read_to_string(root.join("README.md")) {
        findings.extend(broken_links(&readme, |path| root.join(path).exists()));
    }
    findings
}

fn says(name: &str, text: Option<&str>, phrases: &[&str]) -> Findings {
    let Some(text) = text else {
        return vec![format!("{name}:1: is missing")];
    };
    let missing = phrases.iter().filter(|phrase| !text.contains(**phrase));
    missing
        .map(|phrase| format!("{name}:1: does not say `{phrase}`"))
        .collect()
}

/// A page that is written from the sources must be what they say now.
fn up_to_date(name: &str, text: Option<&str>, wanted: &anyhow::Result<String>) -> Findings {
    match wanted {
        Err(error) => vec![format!("{name}:1: cannot be made: {error:#}")],
        Ok(wanted) if text == Some(wanted.as_str()) => Vec::new(),
        Ok(_) => vec![format!("{name}:1: is old: `cargo xtask hooks` writes it")],
    }
}

/// Links of the form `](path)` to files that are not there.
fn broken_links(text: &str, exists: impl Fn(&str) -> bool) -> Findings {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (at, open) in line.match_indices("](") {
            let rest = line.get(at + open.len()..).unwrap_or_default();
            let Some((link, _)) = rest.split_once(')') else {
                continue;
            };
            let path = link.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains("://") && !exists(path) {
                findings.push(format!(
                    "README.md:{}: links to {path}, which is not there",
                    index + 1
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_must_be_there_and_say_it() {
        let check = |text, want: usize| assert_eq!(says("R", text, &["a", "b"]).len(), want);
        check(Some("a and b"), 0);
        check(Some("a"), 1);
        check(None, 1);
    }

    #[test]
    fn pages_from_the_sources_must_be_new() {
        let page = || Ok("a".to_owned());
        let check = |text, wanted: &anyhow::Result<String>, want: usize| {
            assert_eq!(up_to_date("R", text, wanted).len(), want, "{text:?}");
        };
        check(Some("a"), &page(), 0);
        check(Some("b"), &page(), 1);
        check(None, &page(), 1);
        check(Some("a"), &Err(anyhow::anyhow!("no")), 1);
    }

    #[test]
    fn links_must_lead_somewhere() {
        let check = |text: &str, want| assert_eq!(broken_links(text, |p| p == "a.md").len(), want);
        check("[a](a.md) [b](a.md#x) [c](#y) [d](https://example.com)", 0);
        check("[a](b.md)", 1);
        check("[a](b.md", 0);
    }
}
