//! `cargo xtask dist`: the release binary without any shared library, for images from scratch
//! and hosts of any age. Goes to `target/dist/weft`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{setup, step, workspace};

/// Program header type that names a dynamic loader.
const PT_INTERP: u32 = 3;

/// The command `dist`.
///
/// # Errors
/// When it does not build, or is not static after all.
pub(crate) fn run() -> Result<()> {
    setup::try_all(&[setup::Part::Build, setup::Part::Bpf])?;
    let binary = build("weft", "weft")?;
    let size = fs::metadata(&binary)?.len();
    step::note(format!("{}: {:.1} MB, static", binary.display(), mb(size)));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Builds a binary of a package as static; returns where it is.
///
/// # Errors
/// When it does not build, or needs a dynamic loader.
pub(crate) fn build(package: &str, name: &str) -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(setup::cargo());
    command
        .current_dir(workspace::root())
        .args([
            "build",
            "--profile",
            "dist",
            "--target",
            &target,
            "--package",
            package,
            "--bin",
            name,
        ])
        .env(
            "RUSTFLAGS",
            "-C target-feature=+crt-static -C strip=debuginfo",
        );
    step::run(
        &format!("build {name}, static"),
        &format!("dist-{name}"),
        &mut command,
    )?;
    let built = workspace::target().join(&target).join("dist").join(name);
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    match wants_loader(&bytes) {
        Some(false) => {}
        Some(true) => bail!("{} wants shared libraries", built.display()),
        None => bail!("{} is no ELF file of 64 bits", built.display()),
    }
    let place = workspace::target().join("dist");
    fs::create_dir_all(&place)?;
    let placed = place.join(name);
    fs::copy(&built, &placed).with_context(|| format!("cannot write {}", placed.display()))?;
    Ok(placed)
}

/// Whether an ELF file names a dynamic loader; `None` when it is none (little-endian, 64 bits).
fn wants_loader(elf: &[u8]) -> Option<bool> {
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = elf.get(at..at + size)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    };
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(number(32, 8)?).ok()?;
    let size = usize::try_from(number(54, 2)?).ok()?;
    let count = usize::try_from(number(56, 2)?).ok()?;
    for index in 0..count {
        if number(table.checked_add(index * size)?, 4)? == u64::from(PT_INTERP) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_dynamic_program_from_other_files() -> Result<()> {
        let own = fs::read(std::env::current_exe()?)?;
        assert_eq!(
            wants_loader(&own),
            Some(true),
            "this test program is dynamic"
        );
        assert_eq!(wants_loader(b"#!/bin/sh\n"), None);
        assert_eq!(wants_loader(&own[..40]), None);
        let mut headless = own.clone();
        headless[56] = 0;
        headless[57] = 0;
        assert_eq!(wants_loader(&headless), Some(false));
        Ok(())
    }
}
