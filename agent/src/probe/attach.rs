//! Attaching by trial: the first candidate of each subject that the kernel takes.

use super::hooks::{Candidate, Program, Subject, Target};
use aya::programs::{self, BtfTracePoint, ProgramError, RawTracePoint, TracePoint};
use aya::{Btf, Ebpf};
use std::error::Error;
use std::fmt::Display;
use std::thread;

/// What became of one candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// In use.
    Active,
    /// Tried and refused by the kernel.
    Refused(String),
    /// Not needed: a better one is in use, or the settings name another.
    Off(String),
}

/// The fate of every candidate of one subject.
#[derive(Debug)]
pub struct Report {
    /// Which.
    pub subject: &'static Subject,
    /// In the order of the candidates.
    pub candidates: Vec<(&'static Candidate, State)>,
}

impl Report {
    /// The candidate in use.
    #[must_use]
    pub fn active(&self) -> Option<&'static Candidate> {
        self.candidates
            .iter()
            .find_map(|(candidate, state)| (*state == State::Active).then_some(*candidate))
    }
}

/// Attaches the first working candidate of `subject`; only `forced`, where the settings name one.
pub fn attach(
    ebpf: &mut Ebpf,
    btf: Option<&Btf>,
    subject: &'static Subject,
    forced: Option<&str>,
) -> Report {
    let mut active: Option<&str> = None;
    let mut candidates = Vec::new();
    for candidate in subject.candidates {
        let state = if let Some(better) = active {
            State::Off(format!("{better} is in use"))
        } else if forced.is_some_and(|name| name != candidate.name) {
            State::Off(format!(
                "the settings ask for {}",
                forced.unwrap_or_default()
            ))
        } else {
            match try_candidate(ebpf, btf, candidate) {
                Ok(()) => {
                    active = Some(candidate.name);
                    State::Active
                }
                Err(why) => State::Refused(why),
            }
        };
        candidates.push((candidate, state));
    }
    Report {
        subject,
        candidates,
    }
}

/// All programs of a candidate or none.
fn try_candidate(
    ebpf: &mut Ebpf,
    btf: Option<&Btf>,
    candidate: &'static Candidate,
) -> Result<(), String> {
    let tried = load_all(ebpf, btf, candidate.programs).and_then(|()| {
        let mut all = candidate.programs.iter();
        all.try_for_each(|program| attach_one(ebpf, program))
    });
    if tried.is_err() {
        for program in candidate.programs {
            unload(ebpf, program);
        }
    }
    tried
}

/// Loads `programs` all at once: the kernel goes through every path of each, which takes some
/// 0.3 s for one that moves bytes.
fn load_all(
    ebpf: &mut Ebpf,
    btf: Option<&Btf>,
    programs: &'static [Program],
) -> Result<(), String> {
    thread::scope(|scope| {
        let mut loading = Vec::new();
        let found = ebpf.programs_mut();
        for (name, found) in found {
            if let Some(program) = programs.iter().find(|program| program.name == name) {
                let load = move || load_one(found, btf, program.target);
                loading.push((program, scope.spawn(load)));
            }
        }
        if loading.len() < programs.len() {
            return Err("not in the kernel object".to_owned());
        }
        for (program, loading) in loading {
            let loaded = loading.join();
            let loaded = loaded.unwrap_or_else(|_| Err("the loading ended early".to_owned()));
            loaded.map_err(|why| of(program, why))?;
        }
        Ok(())
    })
}

fn of(program: &Program, why: impl Display) -> String {
    format!("{}: {why}", program.name)
}

fn load_one(
    found: &mut programs::Program,
    btf: Option<&Btf>,
    target: Target,
) -> Result<(), String> {
    match target {
        Target::TypedTracepoint(name) => {
            let btf = btf.ok_or("the kernel offers no BTF of its own")?;
            let probe: &mut BtfTracePoint = found.try_into().map_err(words)?;
            probe.load(name, btf).map_err(words)
        }
        Target::RawTracepoint(_) => {
            let probe: &mut RawTracePoint = found.try_into().map_err(words)?;
            probe.load().map_err(words)
        }
        Target::Tracepoints(..) => {
            let probe: &mut TracePoint = found.try_into().map_err(words)?;
            probe.load().map_err(words)
        }
    }
}

fn attach_one(ebpf: &mut Ebpf, program: &Program) -> Result<(), String> {
    let found = ebpf.program_mut(program.name);
    let found = found.ok_or_else(|| of(program, "not in the kernel object"))?;
    attach_to(found, program.target).map_err(|why| of(program, why))
}

fn attach_to(found: &mut programs::Program, target: Target) -> Result<(), String> {
    match target {
        Target::TypedTracepoint(_) => {
            let probe: &mut BtfTracePoint = found.try_into().map_err(words)?;
            probe.attach().map_err(words)?;
        }
        Target::RawTracepoint(name) => {
            let probe: &mut RawTracePoint = found.try_into().map_err(words)?;
            probe.attach(name).map_err(words)?;
        }
        Target::Tracepoints(category, prefix, names) => {
            let probe: &mut TracePoint = found.try_into().map_err(words)?;
            let mut refusal = None;
            let mut attached = 0;
            for name in names {
                match probe.attach(category, &format!("{prefix}{name}")) {
                    Ok(_) => attached += 1,
                    Err(error) => refusal = Some(format!("{prefix}{name}: {}", words(error))),
                }
            }
            if let (0, Some(why)) = (attached, refusal) {
                return Err(why);
            }
        }
    }
    Ok(())
}

/// Detaches and unloads; a program that never loaded has nothing to undo.
fn unload(ebpf: &mut Ebpf, program: &Program) {
    let Some(found) = ebpf.program_mut(program.name) else {
        return;
    };
    let undone = match program.target {
        Target::TypedTracepoint(_) => {
            <&mut BtfTracePoint>::try_from(found).and_then(|probe| probe.unload())
        }
        Target::RawTracepoint(_) => {
            <&mut RawTracePoint>::try_from(found).and_then(|probe| probe.unload())
        }
        Target::Tracepoints(..) => {
            <&mut TracePoint>::try_from(found).and_then(|probe| probe.unload())
        }
    };
    if let Err(error) = undone {
        tracing::debug!(program = program.name, %error, "not unloaded");
    }
}

/// An error and its causes in one line; of the verifier's log only the last words.
pub(super) fn words(error: ProgramError) -> String {
    if let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = &error
    {
        let log = verifier_log.to_string();
        let tail: Vec<&str> = log
            .lines()
            .rev()
            .filter(|line| !line.is_empty())
            .take(4)
            .collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return if tail.is_empty() {
            format!("refused at load: {io_error}")
        } else {
            format!("refused at load: {io_error} ({})", tail.join(" | "))
        };
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

/// The running kernel is of this version or a later one.
#[must_use]
pub fn kernel_is_from(version: (u32, u32)) -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse::<u32>().ok();
    (next(), next()) >= (Some(version.0), Some(version.1))
}

/// A uprobe can be given a number of its own that its program reads.
#[must_use]
pub fn has_cookies() -> bool {
    kernel_is_from((5, 15))
}
