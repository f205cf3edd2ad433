//! Uprobes in the files of watched processes.
//!
//! In: plans. Out: attached programs, once per file however many processes run it. Files that
//! nobody runs any more keep their probes for a while, as most programs come back; then the
//! oldest are given up, on a thread of their own: before uprobe_multi (Linux 6.6) the kernel takes
//! a tenth of a second to detach one. Who wants to write to a file waits for that, too (`lease`);
//! where no lease is to be had, probes go with the last process that runs the file.

use super::lease::Lease;
use super::multi::{self, Multi};
use super::runtime::{Part, Plan, Site};
use crate::discovery::mapping::FileId;
use aya::Ebpf;
use aya::programs::UProbe;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope};
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::path::Path;
use std::{io, thread};

/// Files that are probed at once; those that nobody runs make room.
const FILES: usize = 128;

/// The probes of one file.
#[derive(Default)]
struct Probed {
    links: Vec<Link>,
    /// Nobody writes to the file meanwhile.
    lease: Option<Lease>,
    /// Processes that run it.
    users: HashSet<u32>,
    /// When it was last asked for, counted in plans.
    used: u64,
}

/// What a file is probed for: a program may hold its runtime and a TLS library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Purpose {
    Tasks,
    Plaintext,
}

/// How far files of a process are probed, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// All that is wanted.
    Whole,
    /// The kernel refused some of it, or too many files are probed.
    InPart,
    /// The process ended meanwhile: what others run of the same files is probed for them.
    Gone,
}

/// A file, in the one process that it is probed in or in all.
type Place = (FileId, Option<u32>, Purpose);

/// What holds one or more sites; dropping it detaches them.
#[expect(dead_code, reason = "held for their ends")]
enum Link {
    Single(UProbeLink),
    Multi(multi::Link),
}

/// All probed files.
#[derive(Default)]
pub struct Uprobes {
    /// Until the kernel refuses it.
    multi: Option<Multi>,
    files: HashMap<Place, Probed>,
    plans: u64,
    /// Sites that the kernel refused.
    pub refused: u64,
}

impl Uprobes {
    /// Probes the files of `plan`, which process `tgid` runs.
    pub fn apply(&mut self, ebpf: &mut Ebpf, tgid: u32, plan: &Plan) -> Reach {
        self.each(ebpf, tgid, &plan.files, Purpose::Tasks)
    }

    /// The same for TLS libraries, of which no plan is needed.
    pub fn apply_parts(&mut self, ebpf: &mut Ebpf, tgid: u32, parts: &[Part]) -> Reach {
        self.each(ebpf, tgid, parts, Purpose::Plaintext)
    }

    fn each(&mut self, ebpf: &mut Ebpf, tgid: u32, parts: &[Part], purpose: Purpose) -> Reach {
        let mut reach = Reach::Whole;
        for part in parts {
            reach = reach.max(self.probe(ebpf, tgid, part, purpose));
        }
        reach
    }

    fn probe(&mut self, ebpf: &mut Ebpf, tgid: u32, part: &Part, purpose: Purpose) -> Reach {
        self.plans += 1;
        let own = part.own.then_some(tgid);
        let place = (part.file, own, purpose);
        if !self.files.contains_key(&place) {
            if self.files.len() >= FILES && !self.make_room() {
                return if part.sites.is_empty() {
                    Reach::Whole
                } else {
                    Reach::InPart
                };
            }
            let Some(probed) = self.attach_all(ebpf, part, own) else {
                return Reach::Gone;
            };
            self.files.insert(place, probed);
        }
        let Some(probed) = self.files.get_mut(&place) else {
            return Reach::InPart;
        };
        probed.users.insert(tgid);
        probed.used = self.plans;
        if probed.links.len() == part.sites.len() {
            Reach::Whole
        } else {
            Reach::InPart
        }
    }

    /// Attaches to all sites of a file that the kernel takes; `None` when the file is out of reach, as
    /// the process by which it was known has ended.
    fn attach_all(&mut self, ebpf: &mut Ebpf, part: &Part, own: Option<u32>) -> Option<Probed> {
        // In one process alone, probes end with it.
        let leased = own.is_none() && !part.sites.is_empty();
        let mut probed = Probed {
            lease: leased.then(|| lease(&part.path)).flatten(),
            ..Probed::default()
        };
        for site in part.sites.iter() {
            match attach(&mut self.multi, ebpf, part, site, own) {
                Ok(link) => probed.links.push(link),
                Err(_) if !part.path.exists() => {
                    detach(probed);
                    return None;
                }
                Err(why) => {
                    self.refused += 1;
                    let path = part.path.display();
                    tracing::warn!(program = site.program, %path, why, "not probed");
                }
            }
        }
        Some(probed)
    }

    /// No file is probed yet; by `multi` where the kernel takes it.
    #[must_use]
    pub fn new(multi: Option<Multi>) -> Self {
        Self {
            multi,
            ..Self::default()
        }
    }

    /// A process ended or runs another program.
    pub fn gone(&mut self, tgid: u32) {
        for probed in self.files.values_mut() {
            probed.users.remove(&tgid);
        }
        // What nobody runs may be written to.
        let over = self.files.extract_if(|(_, own, _), probed| {
            let unguarded = own.is_none() && probed.lease.is_none() && !probed.links.is_empty();
            *own == Some(tgid) || (unguarded && probed.users.is_empty())
        });
        for (_, probed) in over {
            detach(probed);
        }
    }

    /// Gives up files that somebody waits to write to. Call it often.
    pub fn yield_to_writers(&mut self) {
        let wanted = |probed: &Probed| probed.lease.as_ref().is_some_and(Lease::is_wanted);
        for ((file, ..), probed) in self.files.extract_if(|_, probed| wanted(probed)) {
            let inode = file.inode;
            tracing::info!(
                inode,
                "a probed file is written to: its probes are taken away"
            );
            detach(probed);
        }
    }

    /// Files that are probed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// None is probed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Gives up the file that nobody has run for the longest time.
    fn make_room(&mut self) -> bool {
        let idle = self.files.iter().filter(|(_, file)| file.users.is_empty());
        let Some(oldest) = idle.min_by_key(|(_, file)| file.used).map(|(id, _)| *id) else {
            return false;
        };
        if let Some(probed) = self.files.remove(&oldest) {
            detach(probed);
        }
        true
    }
}

/// The lease on a file, where there are leases.
fn lease(path: &Path) -> Option<Lease> {
    let taken = Lease::take(path);
    if let Err(error) = &taken {
        let path = path.display();
        tracing::debug!(%path, %error, "no lease: probes go with the last process");
    }
    taken.ok()
}

/// Takes probes away without waiting for it; then whoever waits may write.
fn detach(probed: Probed) {
    let name = "weft-detach".to_owned();
    let Probed { links, lease, .. } = probed;
    let end = move || {
        drop(links);
        drop(lease);
    };
    if let Err(error) = thread::Builder::new().name(name).spawn(end) {
        tracing::debug!(%error, "detached on the spot");
    }
}

fn attach(
    multi: &mut Option<Multi>,
    ebpf: &mut Ebpf,
    part: &Part,
    site: &Site,
    own: Option<u32>,
) -> Result<Link, String> {
    let able = own.is_none() || multi::sees_all_threads();
    if let Some(many) = multi.as_mut().filter(|_| able) {
        let offsets = [site.offset];
        let place = multi::Place {
            path: &part.path,
            offsets: &offsets,
            cookie: part.cookie,
        };
        match many.attach(site.program, &place, site.returns, own) {
            Ok(link) => return Ok(Link::Multi(link)),
            // Another kernel than it is for; or a file that is gone, of which the other way tells.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => *multi = None,
            Err(error) => tracing::debug!(program = site.program, %error, "no link for many"),
        }
    }
    attach_single(ebpf, part, site, own).map(Link::Single)
}

fn attach_single(
    ebpf: &mut Ebpf,
    part: &Part,
    site: &Site,
    own: Option<u32>,
) -> Result<UProbeLink, String> {
    let program = ebpf.program_mut(site.program);
    let program = program.ok_or("not in the kernel object")?;
    let program: &mut UProbe = program
        .try_into()
        .map_err(|_| "no uprobe in the kernel object")?;
    if program.fd().is_err() {
        program.load().map_err(super::attach::words)?;
    }
    let location = UProbeAttachLocation::AbsoluteOffset(site.offset);
    let own = own.and_then(NonZeroU32::new);
    let scope = own.map_or(UProbeScope::AllProcesses, UProbeScope::OneProcess);
    let cookie = (part.cookie != 0 && super::attach::has_cookies()).then_some(part.cookie);
    let point = UProbeAttachPoint { location, cookie };
    let link = program.attach(point, &part.path, scope);
    let link = link.map_err(super::attach::words)?;
    program.take_link(link).map_err(super::attach::words)
}
