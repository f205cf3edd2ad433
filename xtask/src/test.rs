//! `cargo xtask test`: every layer that proves a change, or the named ones. Ends with exactly one
//! line, `N passed, N failed, N skipped`; what failed and what was skipped stands before it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::libtest::{Counts, Line, Reader};
use crate::{build, protocols, setup, step, tidy, truth, vm, workspace};

/// A line this often while the tests are silent.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Lines that wait between cargo and us; the reader blocks when we are slower.
const WAITING_LINES: usize = 1024;
/// The test targets that need a kernel to themselves: not part of the unit layer.
const OWN_LAYERS: [&str; 3] = ["kernel", "e2e", "flood"];
/// The crate of the kernel object; it stands outside the workspace.
const KERNEL_OBJECT: &str = "agent-ebpf/Cargo.toml";
/// The package that holds them.
const TESTS_PACKAGE: &str = "weft-tests";

/// A set of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layer {
    /// The rules of the house
    Tidy,
    /// Formatting
    Fmt,
    /// Lints, as errors
    Clippy,
    /// All tests that need neither root nor eBPF
    Unit,
    /// What is in deploy/, against schemas and tools
    Deploy,
    /// Hooks on the running kernel (root)
    Kernel,
    /// Unmodified services to traces (root)
    E2e,
    /// More requests than the agent can take (root)
    Flood,
    /// Parents under concurrency, few requests of the truth bench (root)
    Truth,
    /// What is seen of real servers and clients, few requests of each (root)
    Protocols,
    /// The whole on other kernels, under qemu; such as `vm 6.1 5.10`
    Vm,
}

/// What runs when no layer is named: all that one machine can do in minutes.
const DEFAULT: [Layer; 11] = [
    Layer::Tidy,
    Layer::Fmt,
    Layer::Clippy,
    Layer::Unit,
    Layer::Deploy,
    Layer::Kernel,
    Layer::E2e,
    Layer::Flood,
    Layer::Truth,
    Layer::Protocols,
    Layer::Vm,
];

/// Runs the layers; the summary is the last line on stdout.
///
/// # Errors
/// When the tests cannot be run at all.
pub(crate) fn run(layer: Option<Layer>, filters: &[String]) -> Result<ExitCode> {
    let layers = layer.map_or_else(|| DEFAULT.to_vec(), |layer| vec![layer]);
    let mut counts = Counts::default();
    // what cannot be had is told there; tests that need it skip themselves
    if let Err(error) = setup::try_all(&needed(&layers)) {
        step::warn(format!("{error:#}"));
    }
    for layer in &layers {
        counts.add(run_layer(*layer, filters)?);
    }
    report(&counts);
    Ok(if counts.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn needed(layers: &[Layer]) -> Vec<setup::Part> {
    use setup::Part;
    let any = |wanted: &[Layer]| layers.iter().any(|layer| wanted.contains(layer));
    let mut parts = vec![Part::Build];
    if layers
        .iter()
        .any(|layer| !matches!(layer, Layer::Tidy | Layer::Fmt))
    {
        parts.push(Part::Bpf);
    }
    let live = [
        Layer::Deploy,
        Layer::Kernel,
        Layer::E2e,
        Layer::Flood,
        Layer::Truth,
        Layer::Protocols,
    ];
    if any(&live) {
        parts.extend([Part::Mounts, Part::Services]);
    }
    if any(&[Layer::Vm]) {
        parts.push(Part::Vm);
    }
    parts
}

fn run_layer(layer: Layer, filters: &[String]) -> Result<Counts> {
    match layer {
        Layer::Tidy => Ok(tidy_layer()),
        Layer::Fmt => fmt_layer(),
        Layer::Clippy => clippy_layer(),
        Layer::Unit => unit_layer(filters),
        Layer::Deploy => deploy_layer(),
        Layer::Kernel => target_layer("kernel", filters),
        Layer::E2e => target_layer("e2e", filters),
        Layer::Flood => target_layer("flood", filters),
        Layer::Truth => truth::test(filters),
        Layer::Protocols => protocols::test(filters),
        Layer::Vm => vm::run(filters),
    }
}

fn report(counts: &Counts) {
    for skip in &counts.skips {
        println!("skipped: {skip}");
    }
    for failure in &counts.failures {
        println!("failed: {failure}");
    }
    println!("{}", counts.summary());
    // nothing may follow it
    let _ = std::io::stdout().flush();
}

fn tidy_layer() -> Counts {
    step::say("tidy");
    match tidy::check_workspace() {
        Ok(findings) if findings.is_empty() => Counts::pass(),
        Ok(findings) => {
            for finding in &findings {
                step::note(finding);
            }
            Counts::fail(format!("tidy: {} findings", findings.len()))
        }
        Err(error) => Counts::fail(format!("tidy: {error:#}")),
    }
}

/// Runs a tool that is one check as a whole.
fn one_check(what: &str, log: &str, command: &mut Command) -> Counts {
    match step::run(what, log, command) {
        Ok(()) => Counts::pass(),
        Err(error) => Counts::fail(
            format!("{error:#}")
                .lines()
                .next()
                .unwrap_or(what)
                .to_owned(),
        ),
    }
}

/// Manifests outside the workspace that exist.
fn outer_manifests() -> Vec<PathBuf> {
    [KERNEL_OBJECT, "tests/fuzz/Cargo.toml"]
        .iter()
        .map(|path| workspace::root().join(path))
        .filter(|path| path.is_file())
        .collect()
}

fn cargo() -> Command {
    let mut command = Command::new(setup::cargo());
    command.current_dir(workspace::root());
    command
}

fn has_component(name: &str) -> bool {
    cargo()
        .args([name, "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn fmt_layer() -> Result<Counts> {
    if !has_component("fmt") {
        return Ok(Counts::skip("fmt: rustfmt: rustup component add rustfmt"));
    }
    let mut counts = one_check(
        "check the formatting",
        "fmt",
        cargo().args(["fmt", "--all", "--", "--check", "--color", "never"]),
    );
    for manifest in outer_manifests() {
        let mut command = cargo();
        command
            .args(["fmt", "--check", "--manifest-path"])
            .arg(&manifest);
        let name = manifest.display();
        let outer = step::run(
            &format!("check the formatting of {name}"),
            "fmt-outer",
            &mut command,
        );
        if outer.is_err() && counts.failed == 0 {
            counts = Counts::fail(format!("fmt: {name}"));
        }
    }
    Ok(counts)
}

fn clippy_layer() -> Result<Counts> {
    if !has_component("clippy") {
        return Ok(Counts::skip("clippy: clippy: rustup component add clippy"));
    }
    let mut command = cargo();
    command.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    let mut counts = one_check("lint", "clippy", &mut command);
    // the rules that the kernel object is made of are an ordinary library here
    if workspace::root().join(KERNEL_OBJECT).is_file() {
        let mut command = cargo();
        command.args([
            "clippy",
            "--lib",
            "--manifest-path",
            KERNEL_OBJECT,
            "--target-dir",
        ]);
        command
            .arg(workspace::target().join("ebpf-host"))
            .args(["--target", &host()?]);
        command.args(["--", "-D", "warnings"]);
        let outer = step::run(
            "lint the rules of the kernel object",
            "clippy-ebpf",
            &mut command,
        );
        if outer.is_err() && counts.failed == 0 {
            counts = Counts::fail("clippy: the kernel object's library");
        }
    }
    Ok(counts)
}

fn unit_layer(filters: &[String]) -> Result<Counts> {
    let mut command = cargo();
    command.args([
        "test",
        "--no-fail-fast",
        "--workspace",
        "--exclude",
        TESTS_PACKAGE,
    ]);
    let mut counts = cargo_test("unit", command, filters, false)?;
    let targets = test_targets()?;
    let mut command = cargo();
    command.args([
        "test",
        "--no-fail-fast",
        "--package",
        TESTS_PACKAGE,
        "--lib",
    ]);
    for target in targets
        .iter()
        .filter(|target| !OWN_LAYERS.contains(&target.as_str()))
    {
        command.args(["--test", target]);
    }
    counts.add(with_binary(|binary| {
        command.env("WEFT_BIN", binary);
        cargo_test("tests", command, filters, false)
    })?);
    if workspace::root().join(KERNEL_OBJECT).is_file() {
        let mut command = cargo();
        command.args(["test", "--lib", "--manifest-path", KERNEL_OBJECT]);
        command
            .args(["--target", &host()?, "--target-dir"])
            .arg(workspace::target().join("ebpf-host"));
        counts.add(cargo_test("ebpf", command, filters, false)?);
    }
    Ok(counts)
}

/// The layers whose tests are one target each: they print as they go, since they take long.
fn target_layer(name: &str, filters: &[String]) -> Result<Counts> {
    if !test_targets()?.iter().any(|target| target == name) {
        return Ok(Counts::fail(format!(
            "{name}: no test target of that name in tests/Cargo.toml"
        )));
    }
    with_binary(|binary| {
        let mut command = cargo();
        command.args([
            "test",
            "--no-fail-fast",
            "--package",
            TESTS_PACKAGE,
            "--test",
            name,
        ]);
        command.env("WEFT_BIN", binary);
        cargo_test(name, command, filters, true)
    })
}

/// Builds the agent that the tests start, and tells them where it is.
fn with_binary(then: impl FnOnce(&Path) -> Result<Counts>) -> Result<Counts> {
    match build::debug() {
        Ok(binary) => then(&binary),
        Err(error) => {
            let first = format!("{error:#}")
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            Ok(Counts::fail(first))
        }
    }
}

fn deploy_layer() -> Result<Counts> {
    let script = workspace::root().join("tests/deploy/check.py");
    let python = workspace::venv().join("bin/python");
    if !python.exists() {
        return Ok(Counts::skip(
            "deploy: Python environment: cargo xtask setup --only services",
        ));
    }
    with_binary(|binary| {
        let mut command = Command::new(python);
        command
            .arg(script)
            .current_dir(workspace::root())
            .env("WEFT_BIN", binary);
        stream("deploy", command, true)
    })
}

fn cargo_test(
    layer: &str,
    mut command: Command,
    filters: &[String],
    verbose: bool,
) -> Result<Counts> {
    command
        .args(["--", "--show-output"])
        .args(filters)
        .env("CARGO_TERM_COLOR", "never");
    stream(layer, command, verbose)
}

/// Runs a test command and counts from its lines as they come.
pub(crate) fn stream(layer: &str, mut command: Command, verbose: bool) -> Result<Counts> {
    step::say(format!("test: {layer}"));
    let path = step::log_path(&format!("test-{layer}"))?;
    let mut log = std::fs::File::create(&path)?;
    // one pipe for both, so that lines keep their order
    let (output, writer) = std::io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", step::name_of(&command)))?;
    drop(command); // and with it our ends of the pipe
    let (sender, lines) = sync_channel::<String>(WAITING_LINES);
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut bytes = Vec::new();
        while output
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|read| read > 0)
        {
            let line = String::from_utf8_lossy(&bytes)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            bytes.clear();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut reader = Reader::default();
    let mut last = String::new();
    let start = Instant::now();
    let mut told = start;
    loop {
        match lines.recv_timeout(HEARTBEAT) {
            Ok(line) => {
                writeln!(log, "{line}")?;
                if show(&reader.line(&line), &line, verbose) {
                    told = Instant::now();
                }
                last = line;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if told.elapsed() >= HEARTBEAT {
            told = Instant::now();
            let short: String = last.trim().chars().take(90).collect();
            step::note(format!("... {} s  {short}", start.elapsed().as_secs()));
        }
    }
    let status: ExitStatus = child.wait()?;
    let counts = reader.finish(layer, status.success());
    if counts.failed > 0 {
        if !status.success() && counts.passed + counts.failed <= 1 {
            step::print_tail(&path); // most likely a compile error
        }
        step::note(format!("the whole output is in {}", path.display()));
    }
    step::note(format!(
        "{layer}: {} ({:.1} s)",
        counts.summary(),
        start.elapsed().as_secs_f64()
    ));
    Ok(counts)
}

/// Prints what is worth it; returns whether anything was.
fn show(kind: &Line, line: &str, verbose: bool) -> bool {
    match kind {
        Line::Target(target) if verbose => step::note(format!("-- {target}")),
        Line::Test(test) if verbose || !test.ends_with(" ok") => step::note(test),
        Line::Detail => println!("    | {line}"),
        Line::Other if line.starts_with("SKIPPED ") || line.starts_with("error") => {
            step::note(line)
        }
        _ => return false,
    }
    true
}

/// The names of the test targets of the tests package.
fn test_targets() -> Result<Vec<String>> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
    Ok(test_targets_in(&metadata))
}

fn test_targets_in(metadata: &serde_json::Value) -> Vec<String> {
    let none = Vec::new();
    let packages = metadata["packages"].as_array().unwrap_or(&none);
    let Some(package) = packages
        .iter()
        .find(|package| package["name"] == TESTS_PACKAGE)
    else {
        return Vec::new();
    };
    let is_test = |target: &&serde_json::Value| {
        target["kind"]
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"))
    };
    let targets = package["targets"].as_array().unwrap_or(&none);
    targets
        .iter()
        .filter(is_test)
        .filter_map(|t| t["name"].as_str().map(str::to_owned))
        .collect()
}

/// The triple of this machine, as the compiler names it.
fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_test_targets_of_its_package_only() {
        let metadata = serde_json::json!({"packages": [
            {"name": "weft", "targets": [{"name": "other", "kind": ["test"]}]},
            {"name": "weft-tests", "targets": [
                {"name": "harness", "kind": ["lib"]},
                {"name": "e2e", "kind": ["test"]},
                {"name": "protocols", "kind": ["test"]},
            ]},
        ]});
        assert_eq!(test_targets_in(&metadata), ["e2e", "protocols"]);
    }
}
