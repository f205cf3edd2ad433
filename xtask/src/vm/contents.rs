//! What services need of this machine in a guest: programs, their libraries, Python's modules. A
//! name comes in, files are added to an archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::initramfs::Archive;
use crate::workspace;

/// All files below a folder but what was left over from building.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn tree(archive: &mut Archive, folder: &Path) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            archive.host_file(&path)?;
        } else if path.is_dir() && !path.ends_with("target") {
            tree(archive, &path)?;
        }
    }
    Ok(())
}

/// A program on PATH, and its libraries.
///
/// # Errors
/// When it is missing.
pub(crate) fn program(archive: &mut Archive, name: &str) -> Result<()> {
    let path = workspace::program(name)
        .with_context(|| format!("{name} is missing\nhint: cargo xtask setup"))?;
    libraries(archive, &path)?;
    archive.once(&format!("bin/{name}"), &fs::read(&path)?);
    Ok(())
}

/// The libraries that the dynamic loader finds for a program.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn libraries(archive: &mut Archive, program: &Path) -> Result<()> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot start ldd")?;
    for word in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        if word.starts_with('/') && Path::new(word) != program {
            archive.host_file(Path::new(word))?;
        }
    }
    Ok(())
}

/// A program of the Python environment as it is installed, the interpreter that it names, and all
/// that `modules` load.
///
/// # Errors
/// When it is not installed, or a module cannot be loaded.
pub(crate) fn python(
    archive: &mut Archive,
    folder: &Path,
    program: &str,
    modules: &[&str],
) -> Result<()> {
    let program = workspace::venv().join("bin").join(program);
    archive.host_file(&program)?;
    let interpreter = interpreter(&program)?;
    let output = Command::new(&interpreter)
        .arg(workspace::root().join("tests/vm/python_files.py"))
        .args(modules)
        .current_dir(folder)
        .output()
        .with_context(|| format!("cannot start {}", interpreter.display()))?;
    if !output.status.success() {
        bail!(
            "cannot find the files of {}: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for path in String::from_utf8_lossy(&output.stdout).lines() {
        archive.host_file(Path::new(path))?;
    }
    Ok(())
}

/// The interpreter that a script names in its first line; a program that is no script is one.
fn interpreter(program: &Path) -> Result<PathBuf> {
    let bytes = fs::read(program)?;
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    let named = first.strip_prefix(b"#!").map(String::from_utf8_lossy);
    Ok(named.map_or_else(
        || program.to_owned(),
        |named| PathBuf::from(named.trim().to_owned()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_name_their_interpreters() -> Result<()> {
        let file = std::env::temp_dir().join(format!("interpreter-{}", std::process::id()));
        fs::write(&file, "#! /usr/bin/python3\nprint()\n")?;
        let named = interpreter(&file);
        fs::write(&file, [0x7f, b'E', b'L', b'F'])?;
        let own = interpreter(&file);
        fs::remove_file(&file)?;
        assert_eq!(named?, Path::new("/usr/bin/python3"));
        assert_eq!(own?, file);
        Ok(())
    }
}
