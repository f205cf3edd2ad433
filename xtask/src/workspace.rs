//! Where things are: the workspace, what the commands keep below `target/xtask`, who runs us.
//! Nothing is created here but folders.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the workspace: of the one that `cargo run` was called in, which is another than we
/// were built in when checkouts share a target folder.
#[must_use]
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent()
        .map_or_else(|| here.clone(), Path::to_path_buf)
}

/// Cargo's target folder: `CARGO_TARGET_DIR` where set.
#[must_use]
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// What these commands keep: logs, the Python environment, installed services. Always inside
/// the workspace, so that scripts find it without asking.
#[must_use]
pub(crate) fn kept() -> PathBuf {
    root().join("target/xtask")
}

/// The same, made when absent.
///
/// # Errors
/// When it cannot be created.
pub(crate) fn make_kept() -> Result<PathBuf> {
    let dir = kept();
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// The Python environment of the test services.
#[must_use]
pub(crate) fn venv() -> PathBuf {
    kept().join("venv")
}

/// The sources of the test services.
#[must_use]
pub(crate) fn workload_sources() -> PathBuf {
    root().join("tests/workloads")
}

/// The test services, installed: ready to be started by their `run`.
#[must_use]
pub(crate) fn workloads() -> PathBuf {
    kept().join("workloads")
}

/// Whether this process is root.
#[must_use]
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// The program on `PATH`, if any.
#[must_use]
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // root's PATH under su and cron often lacks the sbin folders, where nginx is
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}
