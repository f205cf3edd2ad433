//! `cargo xtask fuzz`: runs the fuzz targets of `tests/fuzz`, each for the given time. Coverage
//! comes from the stable compiler's own flags, so that no other toolchain is needed. The corpus
//! stays below `target/xtask/fuzz`; what crashes a target goes to `tests/fuzz/artifacts`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{setup, step, workspace};

/// Instrumentation that libFuzzer reads; the profile keeps assertions and overflow checks on.
const RUSTFLAGS: &str = "--cfg fuzzing -C passes=sancov-module \
    -C llvm-args=-sanitizer-coverage-level=4 \
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
    -C llvm-args=-sanitizer-coverage-pc-table \
    -C llvm-args=-sanitizer-coverage-trace-compares \
    -C debug-assertions=on -C overflow-checks=on -C codegen-units=1";
/// A target that needs more is a finding.
const MEMORY_MB: u32 = 512;
/// One input may not take longer.
const SECONDS_AN_INPUT: u32 = 10;

/// The command `fuzz`: `time` such as `60s` or `5m`, all targets or the named ones.
///
/// # Errors
/// When a target does not build, or has a finding.
pub(crate) fn run(time: &str, only: &[String]) -> Result<()> {
    let Some(seconds) = seconds(time) else {
        bail!("`{time}` is no time\nhint: seconds or minutes, such as 60s or 5m");
    };
    setup::try_all(&[setup::Part::Build])?;
    let manifest = workspace::root().join("tests/fuzz/Cargo.toml");
    let targets = chosen(&targets(&manifest)?, only)?;
    let target_dir = workspace::target().join("fuzz");
    let mut build = Command::new(setup::cargo());
    build
        .args(["build", "--release", "--bins", "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target_dir)
        // a target given by name keeps the flags away from build scripts
        .args([
            "--target",
            &format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
        ])
        .env("RUSTFLAGS", RUSTFLAGS);
    step::run("build the fuzz targets", "fuzz-build", &mut build)?;
    let binaries = target_dir.join(format!(
        "{}-unknown-linux-gnu/release",
        std::env::consts::ARCH
    ));
    let mut findings = Vec::new();
    for target in &targets {
        if let Err(error) = fuzz(&binaries.join(target), target, seconds) {
            step::warn(format!("{error:#}"));
            findings.push(target.as_str());
        }
    }
    if !findings.is_empty() {
        bail!(
            "findings in {}\nhint: the inputs are in tests/fuzz/artifacts",
            findings.join(", ")
        );
    }
    step::say(format!(
        "{} targets, {seconds} s each: no finding",
        targets.len()
    ));
    Ok(())
}

fn fuzz(binary: &Path, target: &str, seconds: u32) -> Result<()> {
    let corpus = workspace::kept().join("fuzz").join(target);
    let artifacts = workspace::root().join("tests/fuzz/artifacts").join(target);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(binary);
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB}"))
        .arg(format!("-timeout={SECONDS_AN_INPUT}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-print_final_stats=1"])
        .arg(&corpus);
    let seeds = seeds(target);
    command.args(&seeds);
    step::run(
        &format!("fuzz {target} for {seconds} s"),
        &format!("fuzz-{target}"),
        &mut command,
    )
}

/// Recorded traffic of the protocol that a target is named after, as first inputs.
fn seeds(target: &str) -> Option<PathBuf> {
    Some(workspace::root().join("tests/fuzz/seeds").join(target)).filter(|dir| dir.is_dir())
}

fn targets(manifest: &Path) -> Result<Vec<String>> {
    let output = Command::new(setup::cargo())
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(manifest)
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!(
            "no fuzz targets: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    Ok(binaries_in(&metadata))
}

fn binaries_in(metadata: &serde_json::Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .flat_map(|package| package["targets"].as_array().into_iter().flatten())
        .filter(|target| {
            target["kind"]
                .as_array()
                .is_some_and(|k| k.iter().any(|k| k == "bin"))
        })
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect()
}

fn chosen(all: &[String], only: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = only.iter().find(|name| !all.contains(name)) {
        bail!(
            "no fuzz target `{unknown}`\nhint: there are {}",
            all.join(", ")
        );
    }
    Ok(if only.is_empty() {
        all.to_vec()
    } else {
        only.to_vec()
    })
}

/// `90`, `90s` and `2m` in seconds.
fn seconds(text: &str) -> Option<u32> {
    match text.strip_suffix('m') {
        Some(minutes) => minutes.parse::<u32>().ok()?.checked_mul(60),
        None => text.strip_suffix('s').unwrap_or(text).parse().ok(),
    }
    .filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times() {
        let check = |text, want| assert_eq!(seconds(text), want, "{text}");
        check("60s", Some(60));
        check("5m", Some(300));
        check("7", Some(7));
        check("0s", None);
        check("1h", None);
        check("99999999m", None);
    }

    #[test]
    fn chooses_targets_and_names_unknown_ones() {
        let all = ["http1".to_owned(), "stream".to_owned()];
        assert_eq!(chosen(&all, &[]).ok().as_deref(), Some(&all[..]));
        assert_eq!(chosen(&all, &all[1..]).ok().as_deref(), Some(&all[1..]));
        assert!(chosen(&all, &["x".to_owned()]).is_err());
    }
}
