//! A real OpenTelemetry Collector for the tests of `deploy/`, built from the list of components
//! in `tests/deploy/collector.yaml`. Takes minutes, so it is made only when asked for; the tests
//! that want it skip themselves, loudly, where it is not.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{step, workspace};

/// The builder, of the same release as the components.
const BUILDER: &str = "go.opentelemetry.io/collector/cmd/builder@v0.158.0";

/// Where it is, or will be.
#[must_use]
pub(crate) fn place() -> PathBuf {
    workspace::kept().join("collector/otelcol")
}

/// Builds it where it is missing.
///
/// # Errors
/// When Go is missing, or a module cannot be had.
pub(crate) fn ensure() -> Result<()> {
    if place().is_file() {
        return Ok(());
    }
    if workspace::program("go").is_none() {
        bail!(
            "a collector is built with Go, which is missing; get it: cargo xtask setup --only services"
        );
    }
    let dir = workspace::kept().join("collector");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let list = workspace::root().join("tests/deploy/collector.yaml");
    let mut install = Command::new("go");
    install
        .args(["install", BUILDER])
        .env("GOBIN", &dir)
        .current_dir(&dir);
    step::run(
        "build the collector's builder",
        "collector-builder",
        &mut install,
    )?;
    let mut generate = Command::new(dir.join("builder"));
    generate
        .args(["--skip-compilation", "--skip-strict-versioning", "--config"])
        .arg(list);
    generate.current_dir(&dir);
    step::run(
        "download the collector's modules",
        "collector-modules",
        &mut generate,
    )?;
    let mut build = Command::new("go");
    build
        .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(place())
        .arg(".");
    build
        .env("CGO_ENABLED", "0")
        .current_dir(dir.join("sources"));
    step::run(
        "build the collector (minutes)",
        "collector-build",
        &mut build,
    )
}
