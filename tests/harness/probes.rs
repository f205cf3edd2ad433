//! The kernel side alone: hooks in, raw records out.

use crate::process::Child;
use agent_common::watch::WATCH;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use weft::discovery::mapping::mappings;
use weft::discovery::procs::Proc;
use weft::probe::object::{Control, Loaded, Options, load};
use weft::probe::ring::Reader;
use weft::probe::runtime::Part;
use weft::probe::tls::Finder;
use weft::probe::uprobes::Reach;

/// Loaded hooks and what they have reported.
pub struct Probes {
    /// What became of each hook.
    pub loaded: Loaded,
    /// The maps.
    pub control: Control,
    reader: Reader,
    /// Raw records so far.
    pub records: Vec<Vec<u8>>,
}

/// The TLS libraries of this host, as they are probed for whoever comes.
#[must_use]
pub fn libraries() -> Vec<Part> {
    let libraries = Finder::default().standard(&Proc::at("/proc"));
    libraries
        .into_iter()
        .filter_map(|library| library.part.ok())
        .collect()
}

impl Probes {
    /// Loads the hooks; `forced` is a subject and the one candidate for it.
    ///
    /// # Errors
    /// When nothing can be loaded.
    pub fn start((subject, candidate): (&str, &str)) -> anyhow::Result<Self> {
        let options = Options {
            ring_bytes: 8 << 20,
            connections: 4096,
            watch_new: false,
            tls: true,
            database_calls: true,
            btf: None,
            forced: BTreeMap::from([(subject.to_owned(), candidate.to_owned())]),
        };
        let mut loaded = load(&options)?;
        let reader = Reader::new(loaded.ring()?)?;
        let control = loaded.control()?;
        Ok(Self {
            loaded,
            control,
            reader,
            records: Vec::new(),
        })
    }

    /// Probes the TLS libraries of this host; answers whether there are any and all is probed.
    pub fn probe_libraries(&mut self) -> bool {
        let parts = libraries();
        !parts.is_empty() && self.loaded.probe_parts(0, &parts) == Reach::Whole
    }

    /// How far `parts` can be probed for process `pid`, and how many files are probed then.
    pub fn probe_parts(&mut self, pid: u32, parts: &[Part]) -> (Reach, usize) {
        let reach = self.loaded.probe_parts(pid, parts);
        (reach, self.loaded.uprobes.len())
    }

    /// Probes the TLS library that process `pid` has in its program; answers whether there is one and
    /// all is probed.
    pub fn probe_process(&mut self, pid: u32) -> bool {
        let proc = Proc::at("/proc");
        let libraries = Finder::default().of_process(&proc, pid, &mappings(&proc, pid));
        let parts: Vec<Part> = libraries
            .into_iter()
            .filter_map(|library| library.part.ok())
            .collect();
        !parts.is_empty() && self.loaded.probe_parts(pid, &parts) == Reach::Whole
    }

    /// Watches a process.
    ///
    /// # Errors
    /// When the map is full.
    pub fn watch(&mut self, pid: u32) -> anyhow::Result<()> {
        Ok(self.control.watch(pid, WATCH)?)
    }

    /// Watches `child` and has it begin; answers its lines up to one that `is_last`. The ring is drained
    /// meanwhile: it is smaller than all the bytes together.
    ///
    /// # Panics
    /// When the child ends before, or the ring cannot be read.
    pub fn drive(&mut self, child: &mut Child, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        self.watch(child.id()).expect("the map has room");
        child.say("go");
        let mut lines: Vec<String> = Vec::new();
        while !lines.iter().any(|line| is_last(line)) {
            self.collect(Duration::from_millis(20), |_| false)
                .expect("the ring is read");
            lines.extend(child.lines());
            let alive = child.alive() || lines.iter().any(|line| is_last(line));
            assert!(alive, "it failed: {}", child.errors());
        }
        self.collect(Duration::from_millis(100), |_| false)
            .expect("the ring is read");
        lines
    }

    /// Collects records until `enough`, or for `limit`.
    ///
    /// # Errors
    /// When the ring cannot be read.
    pub fn collect(
        &mut self,
        limit: Duration,
        mut enough: impl FnMut(&[Vec<u8>]) -> bool,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        loop {
            self.reader.wait()?;
            let records = &mut self.records;
            self.reader
                .drain(usize::MAX, |bytes| records.push(bytes.to_vec()));
            if enough(records) || Instant::now() > end {
                return Ok(());
            }
        }
    }
}
