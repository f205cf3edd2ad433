//! The kernel side alone: hooks in, raw records out.

use agent_common::watch::WATCH;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use weft::discovery::mapping::mappings;
use weft::discovery::procs::Proc;
use weft::probe::object::{Control, Loaded, Options, load};
use weft::probe::ring::Reader;
use weft::probe::runtime::Part;
use weft::probe::tls::Finder;

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
        let libraries = Finder::default().standard(&Proc::at("/proc"));
        let parts: Vec<Part> = libraries
            .into_iter()
            .filter_map(|library| library.part.ok())
            .collect();
        parts.len() > 1 && self.loaded.probe_parts(0, &parts)
    }

    /// Probes the TLS library that process `pid` has in its program; answers whether there is one and
    /// all is probed.
    pub fn probe_process(&mut self, pid: u32) -> bool {
        let proc = Proc::at("/proc");
        let libraries = Finder::default().of_process(&proc, pid, &mappings(&proc, pid));
        let parts: Vec<Part> = libraries
            .into_iter()
            .filter(|library| !library.is_linker())
            .filter_map(|library| library.part.ok())
            .collect();
        !parts.is_empty() && self.loaded.probe_parts(pid, &parts)
    }

    /// Watches a process.
    ///
    /// # Errors
    /// When the map is full.
    pub fn watch(&mut self, pid: u32) -> anyhow::Result<()> {
        Ok(self.control.watch(pid, WATCH)?)
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
