//! `cargo xtask bench instructions`: what weft costs in instructions, held to a bound. Guests
//! whose clock counts instructions serve requests without weft and with it; their times repeat
//! to a few per cent, whatever else this machine does. So, unlike CPU time, they can be a gate.
//! No caches, no mispredictions: a count, not a time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::vm::initramfs::Archive;
use crate::vm::machine::Machine;
use crate::vm::{self, kernel};
use crate::{dist, setup, step, workspace};

/// What a request may cost on a kernel, in thousands of instructions: what was measured
/// (`docs/bench`) and a tenth more. What is added is a difference, and has a hundredth of the
/// service's own cost more.
struct Bound {
    kernel: &'static str,
    service: &'static str,
    /// Added to the service's own processes.
    added: f64,
    /// The agent's process.
    agent: f64,
}

/// Raise one only with the reason in the commit.
const BOUNDS: [Bound; 4] = [
    Bound {
        kernel: "6.1",
        service: "go-http",
        added: 6.0,
        agent: 16.5,
    },
    Bound {
        kernel: "6.1",
        service: "flask-threads",
        added: 20.0,
        agent: 25.0,
    },
    Bound {
        kernel: "6.18",
        service: "go-http",
        added: 7.0,
        agent: 16.5,
    },
    Bound {
        kernel: "6.18",
        service: "flask-threads",
        added: 20.0,
        agent: 24.0,
    },
];

/// A service under load in the guest.
struct Workload {
    /// Folder of `tests/workloads`.
    name: &'static str,
    /// Open connections of the client.
    connections: u32,
    /// Length of a round, seconds of the guest, of which each takes some ten of this machine.
    /// Some thousand requests: weft looks at the programs that start meanwhile, the client among
    /// them, which takes ten million instructions whatever is asked.
    seconds: u32,
}

const WORKLOADS: [Workload; 2] = [
    Workload {
        name: "go-http",
        connections: 8,
        seconds: 1,
    },
    Workload {
        name: "flask-threads",
        connections: 4,
        seconds: 4,
    },
];

const MACHINE: Machine = Machine {
    processors: 1,
    memory: "2G",
    counts_instructions: true,
};
/// Ends a qemu that the guest's own watchdog did not end.
const LIMIT_SECONDS: u32 = 600;
/// Figures are told in thousands.
const THOUSAND: f64 = 1000.0;

/// What a guest measured of one service.
struct Measured {
    service: String,
    /// Thousands of instructions a request, without and with weft.
    without: f64,
    with: f64,
    /// The agent's own, thousands a request.
    agent: f64,
    /// Its resident memory, MiB.
    memory: f64,
}

/// Measures on each kernel that has a bound, or on those named; false when a bound is exceeded.
///
/// # Errors
/// When something is missing here, or a guest does not come to its end.
pub(crate) fn run(kernels: &[String]) -> Result<bool> {
    if let Some(missing) = vm::missing() {
        bail!("guests cannot run here\nhint: {missing}");
    }
    setup::try_all(&[
        setup::Part::Build,
        setup::Part::Bpf,
        setup::Part::Services,
        setup::Part::Vm,
    ])?;
    let known: BTreeSet<&str> = BOUNDS.iter().map(|bound| bound.kernel).collect();
    if let Some(unknown) = kernels.iter().find(|name| !known.contains(name.as_str())) {
        let known: Vec<&str> = known.into_iter().collect();
        bail!(
            "no bound for kernel {unknown}; known are {}",
            known.join(", ")
        );
    }
    let initrd = initramfs(&dist::build("weft", "weft")?)?;
    let mut rows = Vec::new();
    for name in known {
        if kernels.is_empty() || kernels.iter().any(|kernel| kernel == name) {
            let measured = boot(name, &initrd)?;
            rows.extend(measured.into_iter().map(|measured| (name, measured)));
        }
    }
    print(&rows)
}

fn boot(name: &str, initrd: &Path) -> Result<Vec<Measured>> {
    let image = kernel::fetch(name).with_context(|| format!("no kernel {name} here"))?;
    let log = format!("instructions-{name}");
    let mut command = MACHINE.command(&image, initrd, LIMIT_SECONDS);
    step::run(&format!("measure on {name}"), &log, &mut command)?;
    let path = step::log_path(&log)?;
    let text = fs::read(&path)?;
    let text = String::from_utf8_lossy(&text);
    let measured: Vec<Measured> = text.lines().filter_map(parse).collect();
    if measured.len() != WORKLOADS.len() {
        step::print_tail(&path);
        bail!(
            "{name}: {} of {} services were measured\nhint: the guest's output is in {}",
            measured.len(),
            WORKLOADS.len(),
            path.display()
        );
    }
    Ok(measured)
}

/// A line of `tests/vm/instructions`, which says what stands in it.
fn parse(line: &str) -> Option<Measured> {
    let (name, numbers) = line.trim().strip_prefix("MEASURED ")?.split_once(' ')?;
    let numbers: Vec<f64> = numbers
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    let [alone, service, watched, service_watched, agent, memory] = numbers[..] else {
        return None;
    };
    Some(Measured {
        service: name.to_owned(),
        without: service / alone / THOUSAND,
        with: service_watched / watched / THOUSAND,
        agent: agent / watched / THOUSAND,
        memory: memory / 1024.0,
    })
}

/// Prints the table; false when a bound is exceeded or was not measured.
fn print(rows: &[(&str, Measured)]) -> Result<bool> {
    println!();
    println!("Thousands of instructions per request, and their bounds");
    println!();
    println!(
        "| service | kernel | service without → with | added | weft itself | weft's memory MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut good = true;
    for (kernel, row) in rows {
        let bound = BOUNDS
            .iter()
            .find(|bound| bound.kernel == *kernel && bound.service == row.service)
            .with_context(|| format!("{} on {kernel} has no bound", row.service))?;
        let added = row.with - row.without;
        println!(
            "| {} | {kernel} | {:.1} → {:.1} | {added:+.1} of {:.0} | {:.1} of {:.0} | {:.0} |",
            row.service, row.without, row.with, bound.added, row.agent, bound.agent, row.memory,
        );
        // A figure that is no number was not measured.
        if !(added <= bound.added && row.agent <= bound.agent) {
            step::warn(format!("{} on {kernel} exceeds its bound", row.service));
            good = false;
        }
    }
    println!();
    Ok(good)
}

/// The guest's files: weft, the services, the client, and what these need of this machine.
fn initramfs(weft: &Path) -> Result<PathBuf> {
    let mut archive = vm::basis("instructions", weft)?;
    let mut list = String::new();
    for workload in &WORKLOADS {
        let folder = workspace::workloads().join(workload.name);
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_file() {
                archive.host_file(&path)?;
            }
        }
        list.push_str(&format!(
            "{} {} {} {} ./run\n",
            workload.name,
            workload.connections,
            workload.seconds,
            folder.display()
        ));
    }
    archive.file("etc/workloads", list.as_bytes());
    python(&mut archive)?;
    client(&mut archive)?;
    archive.write("instructions.initramfs")
}

/// gunicorn as it is installed, the interpreter that it names, and all that belongs to them.
fn python(archive: &mut Archive) -> Result<()> {
    let program = workspace::venv().join("bin/gunicorn");
    archive.host_file(&program)?;
    let text = fs::read_to_string(&program)?;
    let interpreter = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("#!"))
        .with_context(|| format!("{} names no interpreter", program.display()))?;
    let output = Command::new(interpreter.trim())
        .arg(workspace::root().join("tests/vm/python_files.py"))
        .arg("shop")
        .current_dir(workspace::workloads().join("flask-threads"))
        .output()
        .with_context(|| format!("cannot start {interpreter}"))?;
    if !output.status.success() {
        bail!(
            "cannot find the files of {interpreter}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for path in String::from_utf8_lossy(&output.stdout).lines() {
        archive.host_file(Path::new(path))?;
    }
    Ok(())
}

/// wrk, and the libraries that the dynamic loader finds for it.
fn client(archive: &mut Archive) -> Result<()> {
    let program = workspace::program("wrk").context("wrk is missing\nhint: cargo xtask setup")?;
    let output = Command::new("ldd")
        .arg(&program)
        .output()
        .context("cannot start ldd")?;
    for word in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        if word.starts_with('/') {
            archive.host_file(Path::new(word))?;
        }
    }
    archive.program("bin/wrk", &fs::read(&program)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_guest_prints() {
        let measured = parse("MEASURED go-http 1000 50000000 500 30000000 20000000 10240\r\n");
        let figures = measured.map(|m| (m.service, m.without, m.with, m.agent, m.memory));
        let expected = ("go-http".to_owned(), 50.0, 60.0, 40.0, 10.0);
        assert_eq!(figures, Some(expected));
        assert!(parse("MEASURED go-http 1000 5").is_none());
        assert!(parse("weft: ready").is_none());
    }

    #[test]
    fn what_exceeds_its_bound_or_was_not_measured_is_not_good() -> Result<()> {
        let check = |added: f64, agent: f64, good: bool| -> Result<()> {
            let measured = Measured {
                service: "go-http".to_owned(),
                without: 45.0,
                with: 45.0 + added,
                agent,
                memory: 30.0,
            };
            assert_eq!(print(&[("6.1", measured)])?, good, "{added} {agent}");
            Ok(())
        };
        check(3.0, 15.0, true)?;
        check(30.0, 15.0, false)?;
        check(3.0, 40.0, false)?;
        check(f64::NAN, 15.0, false)
    }

    #[test]
    fn each_service_has_a_bound_on_each_kernel() {
        for workload in &WORKLOADS {
            for kernel in ["6.1", "6.18"] {
                let fits =
                    |bound: &&Bound| bound.service == workload.name && bound.kernel == kernel;
                assert_eq!(BOUNDS.iter().filter(fits).count(), 1);
            }
        }
    }
}
