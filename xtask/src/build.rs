//! `cargo xtask build`: the agent with its kernel object. `agent/build.rs` does the work; this
//! makes sure that what it needs is there and says where the result is.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{setup, step, workspace};

/// Builds for development; returns the binary.
///
/// # Errors
/// When it does not build.
pub(crate) fn debug() -> Result<PathBuf> {
    build(&[], "debug", &workspace::target())
}

/// Builds as released; returns the binary.
///
/// # Errors
/// When it does not build.
pub(crate) fn release() -> Result<PathBuf> {
    build(&["--release"], "release", &workspace::target())
}

/// The command `build`.
///
/// # Errors
/// When it does not build.
pub(crate) fn run(is_release: bool) -> Result<()> {
    setup::try_all(&[setup::Part::Build, setup::Part::Bpf])?;
    let binary = if is_release { release()? } else { debug()? };
    step::note(binary.display());
    Ok(())
}

fn build(args: &[&str], profile: &str, target: &std::path::Path) -> Result<PathBuf> {
    let mut command = Command::new(setup::cargo());
    command
        .current_dir(workspace::root())
        .args(["build", "--package", "weft", "--bin", "weft"])
        .args(args);
    step::run(&format!("build weft ({profile})"), "build", &mut command)?;
    let binary = target.join(profile).join("weft");
    if !binary.is_file() {
        bail!("cargo built weft, but {} is not there", binary.display());
    }
    Ok(binary)
}
