//! Loading the kernel object: settings and offsets in, maps and programs out.

use super::attach::{self, Report};
use super::btf;
use super::hooks::SUBJECTS;
use super::multi::Multi;
use super::offsets;
use super::runtime::{self, Part, Plan};
use super::uprobes::{Reach, Uprobes};
use agent_common::loss::Loss;
use agent_common::runtime::Runtime;
use agent_common::settings::{Offsets, Settings};
use agent_common::watch::{FIBERS, Policy, WATCH};
use aya::maps::{HashMap, MapData, MapError, PerCpuArray, RingBuf};
use aya::{Btf, Ebpf, EbpfLoader};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;

/// Built by `build.rs`; empty where no BPF toolchain was found.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/weft-ebpf.o"));

/// `BPF_NOEXIST` of `linux/bpf.h`: do not change an entry.
const NEW: u64 = 1;
/// `BPF_EXIST` of `linux/bpf.h`: do not make an entry.
const EXISTING: u64 = 2;

/// Where the running kernel describes its types.
const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Why nothing could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Built without the kernel half.
    #[error(
        "this weft was built without its kernel programs\n\
         hint: `cargo xtask setup --only bpf`, then build again"
    )]
    NoObject,
    /// The kernel's types are unknown.
    #[error(
        "cannot read the kernel's types from {path}: {why}\n\
         hint: a kernel with CONFIG_DEBUG_INFO_BTF has them; or name a BTF file of this very \
         kernel with `[capture] btf = \"…\"` or WEFT_CAPTURE__BTF"
    )]
    NoTypes {
        /// Where they were looked for.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// The kernel refused the maps.
    #[error("the kernel refused weft's maps: {0}\nhint: {1}")]
    Refused(String, &'static str),
    /// Something else about maps.
    #[error("a map of the kernel object is unusable: {0}")]
    Map(#[from] MapError),
}

/// What the caller chooses.
#[derive(Clone, Debug)]
pub struct Options {
    /// Ring buffer, bytes, a power of two.
    pub ring_bytes: u32,
    /// Most connections and policies kept in the kernel.
    pub connections: u32,
    /// Programs started from now on are watched.
    pub watch_new: bool,
    /// TLS libraries are probed.
    pub tls: bool,
    /// Calls of libraries that ask databases are wanted.
    pub database_calls: bool,
    /// BTF to use in place of the running kernel's.
    pub btf: Option<PathBuf>,
    /// Subject → the only candidate to try.
    pub forced: BTreeMap<String, String>,
}

/// The loaded programs. Dropping it, or the end of the process, detaches everything.
pub struct Loaded {
    ebpf: Ebpf,
    /// TLS libraries are probed.
    tls: bool,
    database_calls: bool,
    /// Probes in the files of processes.
    pub uprobes: Uprobes,
    /// What became of every hook.
    pub reports: Vec<Report>,
}

/// Loads the object and attaches what the kernel takes.
///
/// # Errors
/// When nothing could be loaded at all; refusals of single hooks stand in the reports.
pub fn load(options: &Options) -> Result<Loaded, Error> {
    if OBJECT.is_empty() {
        return Err(Error::NoObject);
    }
    // Megabytes to go through, twice, and the loader does so once more: at once where there are processors.
    let (offsets, typed, mut loader) = thread::scope(|scope| {
        let typed = scope.spawn(|| Btf::from_sys_fs().ok());
        let offsets = kernel_offsets(options.btf.as_deref());
        let loader = EbpfLoader::new();
        (offsets, typed.join().ok().flatten(), loader)
    });
    let offsets = offsets?;
    let settings = Settings {
        own_tgid: std::process::id(),
        watch_new: u32::from(options.watch_new),
        wake_at: options.ring_bytes / 32,
        cookies: u32::from(attach::has_cookies()),
        offsets,
    };
    loader
        .btf(typed.as_ref())
        .override_global("SETTINGS", &settings, true)
        .map_max_entries("RECORDS", options.ring_bytes)
        .map_max_entries("CONNECTIONS", options.connections)
        .map_max_entries("SESSIONS", options.connections)
        .map_max_entries("POLICY", options.connections);
    let mut ebpf = loader.load(OBJECT).map_err(|error| refusal(&error))?;
    let reports = SUBJECTS
        .iter()
        .map(|subject| {
            let forced = options.forced.get(subject.name).map(String::as_str);
            attach::attach(&mut ebpf, typed.as_ref(), subject, forced)
        })
        .collect();
    let uprobes = Uprobes::new(Multi::of(OBJECT, &ebpf));
    Ok(Loaded {
        ebpf,
        tls: options.tls,
        database_calls: options.database_calls,
        uprobes,
        reports,
    })
}

/// Offsets of the struct members that the programs read.
fn kernel_offsets(named: Option<&Path>) -> Result<Offsets, Error> {
    let path = named.unwrap_or(Path::new(KERNEL_BTF));
    let no_types = |why: String| Error::NoTypes {
        path: path.to_owned(),
        why,
    };
    let bytes = fs::read(path).map_err(|error| no_types(error.to_string()))?;
    let types = btf::Btf::parse(&bytes).map_err(|error| no_types(error.to_string()))?;
    let (offsets, missing) = offsets::resolve(&types);
    if !missing.is_empty() {
        tracing::debug!(?missing, "struct members that this kernel lacks");
    }
    Ok(offsets)
}

/// What the loader's error means for the user.
fn refusal(error: &aya::EbpfError) -> Error {
    let mut text = error.to_string();
    let mut denied = false;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            denied |= io.kind() == ErrorKind::PermissionDenied;
        }
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    Error::Refused(
        text,
        if denied {
            "weft needs root, or CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8); in a \
             container also a seccomp profile that allows bpf(2)"
        } else {
            "`weft check` tells what this host allows"
        },
    )
}

impl Loaded {
    /// Required subjects without a working candidate.
    #[must_use]
    pub fn missing(&self) -> Vec<&Report> {
        self.reports
            .iter()
            .filter(|report| report.subject.required && report.active().is_none())
            .collect()
    }

    /// The ring buffer; can be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn ring(&mut self) -> Result<RingBuf<MapData>, Error> {
        Ok(RingBuf::try_from(self.take("RECORDS")?)?)
    }

    /// The maps that user space writes; can be taken once.
    ///
    /// # Errors
    /// When they were taken before.
    pub fn control(&mut self) -> Result<Control, Error> {
        Ok(Control {
            watched: HashMap::try_from(self.take("WATCHED")?)?,
            runtimes: HashMap::try_from(self.take("RUNTIMES")?)?,
            policy: HashMap::try_from(self.take("POLICY")?)?,
            losses: PerCpuArray::try_from(self.take("LOSSES")?)?,
        })
    }

    /// Probes the file of a process.
    pub fn probe(&mut self, tgid: u32, plan: &Plan) -> Reach {
        let mut gone = Vec::new();
        if !self.tls {
            gone.extend(runtime::PLAINTEXT);
        }
        if !self.database_calls {
            gone.extend(runtime::DATABASE_CALLS);
        }
        if gone.is_empty() {
            return self.uprobes.apply(&mut self.ebpf, tgid, plan);
        }
        let plan = plan.without(&gone);
        self.uprobes.apply(&mut self.ebpf, tgid, &plan)
    }

    /// Probes TLS libraries that process `tgid` uses, or that any may use if it is 0.
    pub fn probe_parts(&mut self, tgid: u32, parts: &[Part]) -> Reach {
        if self.tls {
            self.uprobes.apply_parts(&mut self.ebpf, tgid, parts)
        } else {
            Reach::Whole
        }
    }

    fn take(&mut self, name: &str) -> Result<aya::maps::Map, Error> {
        self.ebpf
            .take_map(name)
            .ok_or_else(|| Error::Refused(format!("no map {name}"), "this is a bug in weft"))
    }

    /// Instructions that the verifier walked, by program, for those that are loaded.
    #[must_use]
    pub fn verified_instructions(&self) -> Vec<(String, u32)> {
        self.ebpf
            .programs()
            .filter_map(|(name, program)| {
                let info = program.info().ok()?;
                Some((name.to_owned(), info.verified_instruction_count()?))
            })
            .collect()
    }
}

/// The maps that user space writes while the programs run.
pub struct Control {
    watched: HashMap<MapData, u32, u32>,
    runtimes: HashMap<MapData, u32, Runtime>,
    policy: HashMap<MapData, u64, Policy>,
    losses: PerCpuArray<MapData, u64>,
}

impl Control {
    /// Sets the `watch::*` bits of a process.
    ///
    /// # Errors
    /// When the map is full.
    pub fn watch(&mut self, tgid: u32, flags: u32) -> Result<(), Error> {
        Ok(self.watched.insert(tgid, flags, 0)?)
    }

    /// Watches a process that may have been given up; what is known of one that is watched stays.
    ///
    /// # Errors
    /// When the map is full.
    pub fn watch_again(&mut self, tgid: u32) -> Result<(), Error> {
        match self.watched.insert(tgid, WATCH, NEW) {
            Err(MapError::SyscallError(error))
                if error.io_error.kind() == ErrorKind::AlreadyExists =>
            {
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Tells how the tasks of a watched process are named.
    ///
    /// # Errors
    /// When the map is full.
    pub fn name_tasks(&mut self, tgid: u32, runtime: Runtime) -> Result<(), Error> {
        // It may have ended, or not be watched after all.
        let Ok(flags) = self.watched.get(&tgid, 0) else {
            return Ok(());
        };
        self.runtimes.insert(tgid, runtime, 0)?;
        if flags & FIBERS != 0 {
            // The kernel side may write its own bits at any time.
            return Ok(());
        }
        Ok(self.watched.insert(tgid, flags | FIBERS, EXISTING)?)
    }

    /// Is this process watched?
    #[must_use]
    pub fn watches(&self, tgid: u32) -> bool {
        let flags = self.watched.get(&tgid, 0);
        flags.is_ok_and(|flags| flags & WATCH != 0)
    }

    /// Forgets a process: its next program is judged anew.
    pub fn forget(&mut self, tgid: u32) {
        // Gone already: the exit probe was faster.
        let _ = self.watched.remove(&tgid);
        let _ = self.runtimes.remove(&tgid);
    }

    /// Sets how much of a connection is copied.
    pub fn capture(&mut self, conn: u64, policy: Policy) {
        if let Err(error) = self.policy.insert(conn, policy, 0) {
            tracing::debug!(conn, %error, "policy not set");
        }
    }

    /// Records that the ring buffer had no room for since the programs were loaded.
    #[must_use]
    pub fn lost_records(&self) -> u64 {
        let values = self.losses.get(&(Loss::RingFull as u32), 0);
        values.map_or(0, |values| values.iter().sum())
    }

    /// Losses by cause since the programs were loaded.
    #[must_use]
    pub fn losses(&self) -> [u64; Loss::ALL.len()] {
        let mut sums = [0; Loss::ALL.len()];
        for (i, sum) in sums.iter_mut().enumerate() {
            if let Ok(values) = self.losses.get(&(i as u32), 0) {
                *sum = values.iter().sum();
            }
        }
        sums
    }
}
