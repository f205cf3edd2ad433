//! The rows of the bench: manifests of the services come in, rows in the order of the table go out.

use anyhow::Result;

use super::plan::Kind;
use crate::survey;
use crate::workloads::manifest;

/// A server and its client.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The server's folder.
    pub(super) folder: String,
    pub(super) kind: Kind,
    pub(super) peer: manifest::Peer,
}

impl Row {
    /// The service calls another for some of its requests, by itself.
    pub(super) const fn calls(&self) -> bool {
        self.peer.upstream.is_some() && !self.peer.proxy
    }
}

impl survey::Row for Row {
    fn name(&self) -> &str {
        &self.peer.name
    }

    fn folders(&self) -> Vec<&str> {
        let upstream = self.peer.upstream.iter();
        let others = upstream.map(|upstream| upstream.folder.as_str());
        [self.folder.as_str(), self.peer.client.folder.as_str()]
            .into_iter()
            .chain(others)
            .collect()
    }
}

/// All rows whose names contain one of `only`, or all.
///
/// # Errors
/// When a manifest is wrong, or nothing is left.
pub(super) fn chosen(only: &[String]) -> Result<Vec<Row>> {
    survey::chosen(all()?, only)
}

/// All rows in their order.
///
/// # Errors
/// When a manifest is wrong.
pub(super) fn all() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (folder, manifest) in survey::services()? {
        for peer in manifest.peers {
            rows.push(Row {
                folder: folder.clone(),
                kind: Kind::parse(&peer.kind)?,
                peer,
            });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::Row as _;
    use crate::workspace;

    #[test]
    fn every_row_can_be_run() -> Result<()> {
        let rows = all()?;
        let mut names: Vec<&str> = rows.iter().map(|row| row.peer.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rows.len(), "two rows have one name");
        for row in &rows {
            assert!(!row.peer.what.is_empty(), "{}", row.peer.name);
            let client = workspace::workload_sources().join(&row.peer.client.folder);
            assert!(client.join("client").is_file(), "{}", row.peer.name);
            for folder in row.folders() {
                let found = workspace::workload_sources().join(folder);
                assert!(found.join("run").is_file(), "{folder} of {}", row.peer.name);
            }
        }
        Ok(())
    }
}
