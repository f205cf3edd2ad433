//! `cargo xtask tidy`: the rules of the house that a compiler does not know and a machine can
//! check cheaply. Files of the workspace come in, findings go out. Each rule is a function from
//! one file to its findings, with a passing and a failing sample in its tests.

mod crates;
mod documents;
mod layering;
mod shape;
mod source;
mod words;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{step, workspace};
use source::Source;

/// Folders that hold no sources of ours.
const NOT_OURS: [&str; 6] = [
    "target",
    ".git",
    "node_modules",
    "__pycache__",
    "artifacts",
    "corpus",
];

/// Something a rule does not like: `path:line: why`.
type Findings = Vec<String>;

/// The rules that look at one file.
const RULES: [fn(&Source) -> Findings; 4] =
    [layering::check, crates::check, shape::check, words::check];

/// The command `tidy`.
///
/// # Errors
/// When there are findings.
pub(crate) fn run() -> Result<()> {
    let findings = check_workspace()?;
    if findings.is_empty() {
        step::say("tidy: nothing to say");
        return Ok(());
    }
    for finding in &findings {
        println!("{finding}");
    }
    bail!(
        "tidy: {} findings\nhint: the rules and their reasons are in CONTRIBUTING.md",
        findings.len()
    )
}

/// All findings, in the order of files.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn check_workspace() -> Result<Findings> {
    let root = workspace::root();
    let mut paths = Vec::new();
    collect(&root, &mut paths)?;
    paths.sort();
    let mut findings = Vec::new();
    for path in &paths {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        }; // recordings are binary
        let relative = path.strip_prefix(&root)?.display().to_string();
        let source = Source::new(&relative, &text);
        findings.extend(RULES.iter().flat_map(|rule| rule(&source)));
    }
    findings.extend(documents::check(&root));
    Ok(findings)
}

fn collect(dir: &Path, found: &mut Vec<std::path::PathBuf>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && !NOT_OURS.iter().any(|name| entry.file_name() == **name) {
            collect(&entry.path(), found)?;
        } else if kind.is_file() && entry.file_name() != ".git" {
            found.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs one rule over one file and compares the lines it complains about.
    pub(super) fn check(rule: fn(&Source) -> Findings, path: &str, text: &str, want: &[usize]) {
        let findings = rule(&Source::new(path, text));
        let lines: Vec<usize> = findings
            .iter()
            .map(|finding| {
                finding
                    .split(':')
                    .nth(1)
                    .and_then(|n| n.parse().ok())
                    .unwrap_or(0)
            })
            .collect();
        assert_eq!(lines, want, "{path}: {findings:#?}");
    }
}
