//! `cargo xtask bench instructions`: what weft costs in instructions, held to a bound. Guests
//! whose clock counts instructions serve requests without weft, with it, and with it but for the
//! probes in runtimes; their times repeat to a few per cent, whatever else this machine does. So,
//! unlike CPU time, they can be a gate. No caches, no mispredictions: a count, not a time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::guest;
use super::service::{self, Needs, Service};
use crate::vm::machine::Machine;
use crate::vm::{self, kernel};
use crate::{dist, setup, step, workloads};

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

const fn bound(kernel: &'static str, service: &'static str, added: f64, agent: f64) -> Bound {
    Bound {
        kernel,
        service,
        added,
        agent,
    }
}

/// Raise one only with the reason in the commit.
const BOUNDS: [Bound; 8] = [
    bound("6.1", "go-http", 15.0, 18.5),
    bound("6.1", "flask-threads", 30.0, 22.0),
    bound("6.1", "aiohttp-call", 30.5, 70.0),
    // Node is still being compiled: figures of a kind differ by a fifth
    bound("6.1", "express-call", 190.0, 85.0),
    bound("6.18", "go-http", 15.5, 21.0),
    bound("6.18", "flask-threads", 30.0, 66.0),
    bound("6.18", "aiohttp-call", 37.0, 70.0),
    bound("6.18", "express-call", 190.0, 85.0),
];

const MACHINE: Machine = Machine {
    processors: 1,
    memory: "2G",
    counts_instructions: true,
};
/// Ends a qemu that the guest's own watchdog did not end; for each service.
const LIMIT_SECONDS: u32 = 900;
/// Figures are told in thousands.
const THOUSAND: f64 = 1000.0;

/// What one kind of rounds came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Rounds {
    requests: f64,
    /// Instructions of the service's processes.
    service: f64,
    /// Of weft.
    agent: f64,
    /// Of weft, in as long a time without requests.
    quiet: f64,
    /// That time, s.
    seconds: f64,
    /// weft's resident memory before and after, MiB; the most of all rounds.
    before: f64,
    loaded: f64,
}

/// What a guest measured of one service.
#[derive(Clone, Debug, Default, PartialEq)]
struct Measured {
    service: String,
    without: Rounds,
    /// With weft, but for the probes in runtimes.
    off: Rounds,
    with: Rounds,
}

impl Rounds {
    fn per_request(&self, sum: f64) -> f64 {
        sum / self.requests / THOUSAND
    }

    fn service(&self) -> f64 {
        self.per_request(self.service)
    }

    /// What requests cost weft: it does some things whether there are any or not.
    fn agent(&self) -> f64 {
        self.per_request(self.agent - self.quiet)
    }

    /// What weft costs in a second without any.
    fn idle(&self) -> f64 {
        self.quiet / self.seconds / THOUSAND
    }
}

/// Measures the services that have a bound on each kernel, or those named on the kernels named;
/// false when a bound is exceeded.
///
/// # Errors
/// When something is missing here, or a guest does not come to its end.
pub(crate) fn run(kernels: &[String], only: &[String], binary: Option<PathBuf>) -> Result<bool> {
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
    let kernels: Vec<&str> = match kernels {
        [] => known.into_iter().collect(),
        some => some.iter().map(String::as_str).collect(),
    };
    let weft = binary.map_or_else(|| dist::build("weft", "weft"), Ok)?;
    let mut rows = Vec::new();
    for kernel in kernels {
        let services: Vec<&Service> = service::chosen(only)
            .filter(|service| service.needs != Needs::Native)
            .filter(|service| !only.is_empty() || bound_of(kernel, service.name).is_some())
            .collect();
        if services.is_empty() {
            bail!("nothing has a bound on {kernel}\nhint: name services with --only");
        }
        for service in &services {
            workloads::ensure(service.folder)?;
        }
        let initrd = guest::initramfs(&format!("instructions-{kernel}"), &weft, &services)?;
        let measured = boot(kernel, &initrd, &services)?;
        rows.extend(measured.into_iter().map(|measured| (kernel, measured)));
    }
    Ok(print(&rows))
}

fn bound_of(kernel: &str, service: &str) -> Option<&'static Bound> {
    BOUNDS
        .iter()
        .find(|bound| bound.kernel == kernel && bound.service == service)
}

fn boot(name: &str, initrd: &Path, services: &[&Service]) -> Result<Vec<Measured>> {
    let image = kernel::fetch(name).with_context(|| format!("no kernel {name} here"))?;
    let log = format!("instructions-{name}");
    let limit = LIMIT_SECONDS * u32::try_from(services.len()).unwrap_or(1);
    let mut command = MACHINE.command(&image, initrd, limit);
    step::run(&format!("measure on {name}"), &log, &mut command)?;
    let path = step::log_path(&log)?;
    let text = fs::read(&path)?;
    let measured = gathered(&String::from_utf8_lossy(&text));
    let complete = |measured: &&Measured| {
        let kinds = [measured.without, measured.off, measured.with];
        kinds.iter().all(|rounds| rounds.requests > 0.0)
    };
    let whole = measured.iter().filter(complete).count();
    if whole != services.len() {
        step::print_tail(&path);
        bail!(
            "{name}: {whole} of {} services were measured\nhint: the guest's output is in {}",
            services.len(),
            path.display()
        );
    }
    Ok(measured)
}

/// The rounds of all services in a guest's output, in their order.
fn gathered(text: &str) -> Vec<Measured> {
    let mut all: Vec<Measured> = Vec::new();
    for (service, kind, rounds) in text.lines().filter_map(parse) {
        let index = all.iter().position(|known| known.service == service);
        let index = index.unwrap_or_else(|| {
            all.push(Measured {
                service: service.to_owned(),
                ..Measured::default()
            });
            all.len() - 1
        });
        let Some(known) = all.get_mut(index) else {
            continue;
        };
        let sum = match kind {
            "no" => &mut known.without,
            "off" => &mut known.off,
            _ => &mut known.with,
        };
        sum.requests += rounds.requests;
        sum.service += rounds.service;
        sum.agent += rounds.agent;
        sum.quiet += rounds.quiet;
        sum.seconds += rounds.seconds;
        sum.before = sum.before.max(rounds.before);
        sum.loaded = sum.loaded.max(rounds.loaded);
    }
    all
}

/// A line of `tests/vm/instructions`, which says what stands in it.
fn parse(line: &str) -> Option<(&str, &str, Rounds)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["MEASURED", service, kind, numbers @ ..] = &words[..] else {
        return None;
    };
    let numbers: Vec<f64> = numbers.iter().map_while(|word| word.parse().ok()).collect();
    let rounds = match numbers[..] {
        [requests, service] => Rounds {
            requests,
            service,
            ..Rounds::default()
        },
        [requests, service, agent, before, loaded, quiet, seconds] => Rounds {
            requests,
            service,
            agent,
            quiet,
            seconds,
            before: before / 1024.0,
            loaded: loaded / 1024.0,
        },
        _ => return None,
    };
    Some((service, kind, rounds))
}

/// Prints the table; false when a bound is exceeded or was not measured.
fn print(rows: &[(&str, Measured)]) -> bool {
    println!();
    println!("Thousands of instructions per request, and their bounds");
    println!();
    println!(
        "| service | kernel | service without weft | with weft | of it, probes in runtimes | \
         weft itself, without → with them | weft without requests, a second | \
         weft's memory MiB, idle → loaded → loaded with them |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut good = true;
    for (kernel, row) in rows {
        let bound = bound_of(kernel, &row.service);
        let [without, off, with] = [&row.without, &row.off, &row.with].map(Rounds::service);
        let (added, agent) = (with - without, row.with.agent());
        let probes = with - off;
        let of = |bound: Option<f64>| bound.map_or(String::new(), |most| format!(" of {most:.1}"));
        println!(
            "| {} | {kernel} | {without:.1} | {added:+.1}{} | {probes:+.1} ({:+.1} %) | \
             {:.1} → {agent:.1}{} | {:.0} | {:.1} → {:.1} → {:.1} |",
            row.service,
            of(bound.map(|bound| bound.added)),
            100.0 * probes / without,
            row.off.agent(),
            of(bound.map(|bound| bound.agent)),
            row.with.idle(),
            row.off.before,
            row.off.loaded,
            row.with.loaded,
        );
        // A figure that is no number was not measured.
        let held = |bound: &Bound| added <= bound.added && agent <= bound.agent;
        if !bound.is_none_or(held) {
            step::warn(format!("{} on {kernel} exceeds its bound", row.service));
            good = false;
        }
    }
    println!();
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathers_what_the_guest_prints() {
        let text = "MEASURED a no 1000 50000000\r\nweft: ready\n\
                    MEASURED a on 500 30000000 25000000 10240 20480 5000000 5\n\
                    MEASURED a on 500 5\nMEASURED b off 1 2 3 4 5 1 1\n\
                    MEASURED a no 1000 70000000\nMEASURED a no 7\n";
        let all = gathered(text);
        let [a, b] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!((a.service.as_str(), a.without.service()), ("a", 60.0));
        assert_eq!((a.with.requests, a.with.agent()), (1000.0, 20.0));
        assert_eq!((a.with.before, a.with.loaded), (10.0, 20.0));
        assert_eq!(a.with.idle(), 1000.0);
        assert_eq!((b.off.requests, b.off.agent), (1.0, 3.0));
    }

    #[test]
    fn what_exceeds_its_bound_or_was_not_measured_is_not_good() {
        let check = |added: f64, agent: f64, good: bool| {
            let rounds = |service: f64, agent: f64| Rounds {
                requests: 1.0,
                service: service * THOUSAND,
                agent: agent * THOUSAND,
                ..Rounds::default()
            };
            let measured = Measured {
                service: "go-http".to_owned(),
                without: rounds(45.0, 0.0),
                off: rounds(45.0 + added, agent),
                with: rounds(45.0 + added, agent),
            };
            assert_eq!(print(&[("6.1", measured)]), good, "{added} {agent}");
        };
        check(3.0, 15.0, true);
        check(30.0, 15.0, false);
        check(3.0, 40.0, false);
        check(f64::NAN, 15.0, false);
    }

    #[test]
    fn each_bound_is_of_a_service() {
        for bound in &BOUNDS {
            let known = service::SERVICES
                .iter()
                .filter(|service| service.name == bound.service);
            assert_eq!(known.count(), 1, "{}", bound.service);
        }
    }
}
