//! Installs the test services: the folders of `tests/workloads` go in, ready-to-run copies
//! below `target/xtask/workloads` and one Python environment come out. Each copy has a `run`
//! that starts the service on the port that `PORT` names. Repeated only when a source changed.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{apt, runtimes, setup, step, workspace};

pub(crate) mod manifest;

/// Holds the digest of the sources that an installed copy was made from.
const STAMP: &str = ".stamp";

/// What the demo starts.
const DEMO: [&str; 3] = ["backend", "maze/data-processor", "maze/frontend-api"];

/// Installs the Python environment and every service; returns how many failed.
#[must_use]
pub(crate) fn install_all() -> usize {
    let mut failed = 0;
    let mut report = |result: Result<()>| {
        if let Err(error) = result {
            step::warn(format!("{error:#}"));
            failed += 1;
        }
    };
    report(remove_gone());
    report(python_environment());
    match chosen(false) {
        Ok(names) => names.iter().for_each(|name| report(install(name))),
        Err(error) => report(Err(error)),
    }
    failed
}

/// Installs what the demo starts, with no Python packages but theirs; returns how many failed.
#[must_use]
pub(crate) fn install_demo() -> usize {
    let mut failed = 0;
    for name in DEMO {
        if let Err(error) = python_packages_of(name).and_then(|()| install(name)) {
            step::warn(format!("{error:#}"));
            failed += 1;
        }
    }
    failed
}

/// Installs the services that take long; returns how many failed.
#[must_use]
pub(crate) fn install_heavy() -> usize {
    let mut failed = 0;
    for name in chosen(true).unwrap_or_default() {
        if let Err(error) = install(&name) {
            step::warn(format!("{error:#}"));
            failed += 1;
        }
    }
    failed
}

/// Installs one service, whatever it takes, and looks for its Python packages.
///
/// # Errors
/// When it cannot be installed here.
pub(crate) fn ensure(name: &str) -> Result<()> {
    install(name)?;
    let missing = missing_packages(name)?;
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "service {name} lacks Python's {}\nhint: cargo xtask setup",
        missing.join(", ")
    )
}

/// Python packages of a service that the shared environment lacks.
fn missing_packages(name: &str) -> Result<Vec<String>> {
    let source = workspace::workload_sources().join(name);
    let list = source.join("requirements.txt");
    if !list.is_file() || manifest::read(&source)?.heavy {
        return Ok(Vec::new());
    }
    let list = fs::read_to_string(list)?;
    let installed = python_packages()?;
    Ok(list
        .lines()
        .filter(|line| !installed.contains(&dist_info(line)))
        .map(str::to_owned)
        .collect())
}

/// `some-name==1.0 ; python_version >= "3"` is installed as this folder.
fn dist_info(requirement: &str) -> String {
    let wanted = requirement.split(';').next().unwrap_or_default().trim();
    let (name, version) = wanted.split_once("==").unwrap_or((wanted, ""));
    format!("{}-{version}.dist-info", name.replace('-', "_")).to_lowercase()
}

/// The folders of packages in the shared environment, in small letters.
fn python_packages() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for python in fs::read_dir(workspace::venv().join("lib"))? {
        for package in fs::read_dir(python?.path().join("site-packages"))? {
            found.push(package?.file_name().to_string_lossy().to_lowercase());
        }
    }
    Ok(found)
}

/// The services that take long to install, or the others; none of those that must be asked for.
fn chosen(heavy: bool) -> Result<Vec<String>> {
    let mut chosen = Vec::new();
    for name in names()? {
        let manifest = manifest::read(&workspace::workload_sources().join(&name))?;
        if manifest.heavy == heavy && !manifest.asked {
            chosen.push(name);
        }
    }
    Ok(chosen)
}

/// The services there are: every folder that has a `run`, named by its path.
///
/// # Errors
/// When the sources cannot be read.
pub(crate) fn names() -> Result<Vec<String>> {
    let sources = workspace::workload_sources();
    let mut names: Vec<String> = files_below(&sources)?
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| name == "run"))
        .filter_map(|path| path.parent()?.strip_prefix(&sources).ok())
        .map(|path| path.display().to_string())
        .collect();
    names.sort();
    Ok(names)
}

/// Removes the copies of services that are no more.
fn remove_gone() -> Result<()> {
    let installed = workspace::workloads();
    for gone in gone(&installed, &names()?) {
        fs::remove_dir_all(&gone).with_context(|| format!("cannot remove {}", gone.display()))?;
    }
    Ok(())
}

/// The copies below `installed` that are of none of `names`: every folder with a stamp is a copy.
fn gone(installed: &Path, names: &[String]) -> Vec<PathBuf> {
    let mut gone = Vec::new();
    let mut left = vec![installed.to_path_buf()];
    while let Some(dir) = left.pop() {
        if !dir.join(STAMP).is_file() {
            // a folder of services, as far as it can be read
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(folders.map(|entry| entry.path()));
        } else if !names.iter().any(|name| installed.join(name) == dir) {
            gone.push(dir);
        }
    }
    gone
}

/// What a service runs with, by its manifest and by what it is installed with: some have no manifest.
fn programs(source: &Path, manifest: &manifest::Manifest) -> Vec<String> {
    let mut programs = manifest.programs.clone();
    for (file, program) in [("package.json", "node"), ("go.mod", "go")] {
        if source.join(file).is_file() {
            programs.push(program.to_owned());
        }
    }
    programs
}

fn install(name: &str) -> Result<()> {
    let source = workspace::workload_sources().join(name);
    let installed = workspace::workloads().join(name);
    let digest = digest(&files_below(&source)?)?;
    let manifest = manifest::read(&source)?;
    packages(name, &manifest)?;
    if stamp(&installed).is_some_and(|stamp| stamp == digest) {
        return Ok(());
    }
    runtimes::ensure(&programs(&source, &manifest))?;
    copy(&source, &installed)?;
    let log = format!("workload-{}", name.replace('/', "-"));
    for (file, command) in [
        ("package.json", npm as fn() -> Command),
        ("go.mod", go),
        ("Server.java", javac),
        ("pom.xml", maven),
        ("Cargo.toml", cargo),
        ("Makefile", make),
        ("requirements.txt", pip_here),
    ] {
        // light services share one environment of Python
        let shared = file == "requirements.txt" && !manifest.heavy;
        if installed.join(file).is_file() && !shared {
            let mut command = command();
            step::run(
                &format!("install service {name} ({file})"),
                &log,
                command.current_dir(&installed),
            )
            .with_context(|| format!("service {name} is not ready"))?;
        }
    }
    fs::write(installed.join(STAMP), digest)?;
    Ok(())
}

fn npm() -> Command {
    let mut command = Command::new("npm");
    command.args([
        "install",
        "--no-package-lock",
        "--no-audit",
        "--no-fund",
        "--omit=dev",
    ]);
    command
}

fn go() -> Command {
    let mut command = Command::new("go");
    // no toolchain of another release is fetched behind our back
    command
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0")
        .args(["build", "-o", "server", "."]);
    command
}

fn maven() -> Command {
    let mut command = Command::new("mvn");
    command.args(["--batch-mode", "--quiet", "-DskipTests", "package"]);
    command
}

fn cargo() -> Command {
    let mut command = Command::new(setup::cargo());
    command
        .args(["build", "--release", "--target-dir", "target"])
        .env_remove("CARGO_TARGET_DIR");
    command
}

fn make() -> Command {
    Command::new("make")
}

/// Python packages of one service alone, beside it.
fn pip_here() -> Command {
    let mut command = Command::new(workspace::venv().join("bin/python"));
    command
        .args(["-m", "pip", "install", "--quiet", "--upgrade"])
        .args(["--disable-pip-version-check", "--target", "packages"])
        .args(["-r", "requirements.txt"]);
    command
}

/// Installs the Debian packages of a service when something of it is missing.
fn packages(name: &str, manifest: &manifest::Manifest) -> Result<()> {
    let missing = || {
        let programs = manifest.programs.iter();
        let files = manifest.files.iter();
        programs
            .filter(|program| workspace::program(program).is_none())
            .chain(files.filter(|file| !Path::new(file).exists()))
            .cloned()
            .collect::<Vec<String>>()
    };
    let before = missing();
    if before.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = manifest.packages.iter().map(String::as_str).collect();
    if let Some(reason) = apt::unavailable().or(packages.is_empty().then_some("no package has it"))
    {
        bail!(
            "service {name} lacks {}: {reason}\nhint: `{}`",
            before.join(", "),
            apt::command_line(&packages)
        );
    }
    apt::install(&packages)?;
    match missing() {
        left if left.is_empty() => Ok(()),
        left => bail!(
            "service {name} still lacks {}\nhint: get it from your system",
            left.join(", ")
        ),
    }
}

fn javac() -> Command {
    let mut command = Command::new("javac");
    command.arg("Server.java");
    command
}

/// One environment for all Python services, the test backend and the checks of deploy/.
fn python_environment() -> Result<()> {
    // the services', and what checks deploy/
    let mut files = files_below(&workspace::workload_sources())?;
    files.extend(files_below(&workspace::root().join("tests/deploy"))?);
    let wanted: Vec<PathBuf> = files
        .into_iter()
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name == "requirements.txt")
        })
        .filter(|path| {
            let manifest = path.parent().map(manifest::read);
            !matches!(manifest, Some(Ok(manifest)) if manifest.heavy)
        })
        .collect();
    let digest = digest(&wanted)?;
    let venv = workspace::venv();
    let python = venv.join("bin/python");
    if python.exists() && stamp(&venv).is_some_and(|stamp| stamp == digest) {
        return Ok(());
    }
    create_python(&venv)?;
    // one call for each file: a package that has no build for this Python spoils only its own
    let failures: Vec<String> = wanted
        .iter()
        .filter_map(|file| Some(format!("{:#}", install_python(file).err()?)))
        .collect();
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    fs::write(venv.join(STAMP), digest)?;
    Ok(())
}

/// The shared environment has at least what service `name` needs.
fn python_packages_of(name: &str) -> Result<()> {
    let venv = workspace::venv();
    if !venv.join("bin/python").exists() {
        create_python(&venv)?;
    }
    if missing_packages(name)?.is_empty() {
        return Ok(());
    }
    install_python(
        &workspace::workload_sources()
            .join(name)
            .join("requirements.txt"),
    )
}

fn create_python(venv: &Path) -> Result<()> {
    let mut create = Command::new("python3");
    create.args(["-m", "venv", "--clear"]).arg(venv);
    step::run("create the Python environment", "venv", &mut create)
}

/// Installs a list of packages into the shared environment.
fn install_python(list: &Path) -> Result<()> {
    let mut install = Command::new(workspace::venv().join("bin/python"));
    install
        .args(["-m", "pip", "install", "--quiet"])
        .arg("--disable-pip-version-check")
        .arg("-r")
        .arg(list);
    let place = list.parent().and_then(Path::file_name).unwrap_or_default();
    let place = place.to_string_lossy();
    step::run(
        &format!("install Python packages of {place}"),
        "pip",
        &mut install,
    )
}

fn stamp(dir: &Path) -> Option<String> {
    fs::read_to_string(dir.join(STAMP)).ok()
}

fn digest(files: &[PathBuf]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        bytes.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Copies a service; what an earlier install left beside it (modules, binaries) stays.
fn copy(source: &Path, target: &Path) -> Result<()> {
    for file in files_below(source)? {
        let to = target.join(file.strip_prefix(source)?);
        let Some(dir) = to.parent() else {
            bail!("{} has no folder", to.display())
        };
        fs::create_dir_all(dir)?;
        fs::copy(&file, &to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// All files below a folder, in order, without what package managers leave there.
fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_path_buf()];
    while let Some(dir) = left.pop() {
        let entries =
            fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if ["node_modules", "__pycache__", "target"]
                .iter()
                .any(|left| name == *left)
            {
                continue;
            }
            if entry.file_type()?.is_dir() {
                left.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_services_that_are_no_more_are_found() -> Result<()> {
        let dir = std::env::temp_dir().join(format!("xtask-gone-{}", std::process::id()));
        for copy in ["here", "maze/one", "maze/other"] {
            fs::create_dir_all(dir.join(copy).join("packages"))?;
            fs::write(dir.join(copy).join(STAMP), "")?;
        }
        fs::create_dir_all(dir.join("nobody's"))?;
        let names = ["here", "maze/one"].map(str::to_owned);
        assert_eq!(gone(&dir, &names), [dir.join("maze/other")]);
        assert!(gone(&dir.join("missing"), &names).is_empty());
        fs::remove_dir_all(dir)?;
        Ok(())
    }

    #[test]
    fn services_without_manifest_have_a_runtime_all_the_same() -> Result<()> {
        let source = workspace::workload_sources().join("maze/frontend-api");
        let manifest = manifest::read(&source)?;
        assert_eq!(programs(&source, &manifest), ["node"]);
        Ok(())
    }

    #[test]
    fn packages_are_known_by_their_folders() {
        let check = |line, want| assert_eq!(dist_info(line), want);
        check(
            "rotel==0.0.1a15 ; python_version >= \"3.10\"",
            "rotel-0.0.1a15.dist-info",
        );
        check("flask==3.1.2", "flask-3.1.2.dist-info");
        check("PyYAML==6.0.3 ", "pyyaml-6.0.3.dist-info");
        check(
            "charset-normalizer==3.5.2",
            "charset_normalizer-3.5.2.dist-info",
        );
    }
}
