//! The rows of the bench: the manifests of the services come in, rows in the order of the table
//! go out. And what a running row is made of: its processes and versions.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::load::Over;
use super::shared::Request;
use crate::{survey, workspace};

/// A service in one configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// Its name.
    pub(super) name: String,
    /// Its folder among the services.
    pub(super) folder: String,
    /// Language and runtime.
    pub(super) runtime: String,
    /// Framework, client and hand-off.
    pub(super) what: String,
    /// Shell command that prints versions.
    versions: String,
    /// Its environment.
    pub(super) variables: BTreeMap<String, String>,
    /// Kinds of request it serves.
    pub(super) paths: Vec<String>,
    /// How often it calls itself before it calls the upstream.
    pub(super) hops: usize,
    /// Statements that it gives to a database for each of those calls.
    pub(super) statements: usize,
    /// Least recall in `cargo xtask test`, %.
    pub(super) recall: Option<f64>,
    /// What it is asked over.
    pub(super) over: Over,
    /// It is measured only by its name, and has no place in the tables.
    pub(super) asked: bool,
}

impl survey::Row for Row {
    fn name(&self) -> &str {
        &self.name
    }

    fn folders(&self) -> Vec<&str> {
        vec![&self.folder]
    }
}

/// All rows whose names contain one of `only`; or all but those that must be asked for.
///
/// # Errors
/// When a manifest is wrong, or nothing is left.
pub(super) fn chosen(only: &[String]) -> Result<Vec<Row>> {
    let mut rows = survey::chosen(all()?, only)?;
    rows.retain(|row| !only.is_empty() || !row.asked);
    Ok(rows)
}

/// All rows in their order.
///
/// # Errors
/// When a manifest is wrong.
pub(super) fn all() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (folder, manifest) in survey::services()? {
        rows.extend(manifest.rows.iter().map(|row| Row {
            name: row.name.clone(),
            folder: folder.clone(),
            runtime: manifest.runtime.clone(),
            what: row.what.clone(),
            versions: manifest.versions.clone(),
            variables: row.variables.clone(),
            paths: row.paths.clone(),
            hops: row.hops,
            statements: row.statements,
            recall: row.recall,
            over: over(&row.over),
            asked: manifest.asked,
        }));
    }
    Ok(rows)
}

/// As manifests name it.
fn over(name: &str) -> Over {
    match name {
        "h2c" => Over::Shared(Request::Get),
        "grpc" => Over::Shared(Request::Call),
        _ => Over::Kept,
    }
}

/// What the row runs on, in one line.
pub(super) fn versions(row: &Row) -> String {
    let output = Command::new("sh")
        .args(["-c", &row.versions])
        .envs(&row.variables)
        .current_dir(workspace::workloads().join(&row.folder))
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let words: Vec<String> = text
        .unwrap_or_default()
        .lines()
        .map(|line| line.trim().to_owned())
        .collect();
    words.join(", ")
}

/// A process and all that came from it.
///
/// # Errors
/// When it is gone.
pub(crate) fn family(root: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok());
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // behind the name: state, parent (`proc_pid_stat(5)`)
        let parent: Option<u32> = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        parents.extend(pid.zip(parent));
    }
    if !parents.iter().any(|(pid, _)| *pid == root) {
        return Err(anyhow::anyhow!("process {root} is gone")).context("the service ended");
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == pid)
                .map(|(child, _)| *child),
        );
        at += 1;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_can_be_run() -> Result<()> {
        let rows = all()?;
        let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rows.len(), "two rows have one name");
        for row in &rows {
            super::super::plan::Plan::new(&row.paths, 1, "x")?;
            assert!(
                !row.runtime.is_empty() && !row.what.is_empty(),
                "{}",
                row.name
            );
        }
        Ok(())
    }

    #[test]
    fn some_rows_must_be_asked_for() -> Result<()> {
        let asked = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|part| (*part).to_owned()).collect();
            Ok::<_, anyhow::Error>(chosen(&only)?.iter().filter(|row| row.asked).count())
        };
        assert_eq!(asked(&[])?, 0);
        assert!(asked(&["go-versions"])? > 0);
        Ok(())
    }

    #[test]
    fn a_process_is_its_own_family() -> Result<()> {
        let own = std::process::id();
        assert_eq!(family(own)?.first(), Some(&own));
        Ok(())
    }
}
