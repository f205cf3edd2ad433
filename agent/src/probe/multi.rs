//! Many uprobes of one program by one link (`uprobe_multi`, Linux 6.6 and later).
//!
//! A uprobe of its own takes the kernel a tenth of a second to detach, each; all sites of a
//! program in a file go by one link at once. aya 0.14 cannot load a program for it, so the
//! programs are taken from the kernel object again, tied to the maps that aya made, and loaded
//! here. Kernels without it refuse, and single links are used (`uprobes`).
#![expect(unsafe_code, reason = "bpf(2) is called directly")]

use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya_obj::generated::bpf_insn;
use aya_obj::{Object, ProgramSection};
use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `linux/bpf.h`: commands, types and flags of `bpf(2)`.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_PROG_TYPE_KPROBE: u32 = 2;
const BPF_TRACE_UPROBE_MULTI: u32 = 48;
const BPF_F_UPROBE_MULTI_RETURN: u32 = 1;

/// Programs that are ready to be loaded, and those that are.
pub struct Multi {
    programs: HashMap<String, Program>,
    loaded: HashMap<&'static str, OwnedFd>,
}

/// A uprobe's program, tied to its maps.
struct Program {
    instructions: Vec<bpf_insn>,
    license: CString,
}

/// One link; dropping it detaches its sites.
#[derive(Debug)]
pub struct Link {
    /// Held for its end.
    _fd: OwnedFd,
}

/// `struct bpf_attr` for `BPF_PROG_LOAD`, as far as it is used.
#[repr(C)]
#[derive(Default)]
struct LoadProgram {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

/// `struct bpf_attr` for `BPF_LINK_CREATE` of uprobe_multi.
#[repr(C)]
#[derive(Default)]
struct CreateLink {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    reference_counters: u64,
    cookies: u64,
    count: u32,
    multi_flags: u32,
    pid: u32,
    reserved: u32,
}

/// A link that is bound to a process sees all its threads, on Linux 6.10 and later; its main thread
/// alone before.
#[must_use]
pub fn sees_all_threads() -> bool {
    super::attach::kernel_is_from((6, 10))
}

/// Where a program is attached.
pub struct Place<'a> {
    /// The file, as this process can open it.
    pub path: &'a Path,
    /// Offsets in it.
    pub offsets: &'a [u64],
    /// What the program is told there; 0 is nothing.
    pub cookie: u64,
}

impl Multi {
    /// Reads the programs of `bytes` and ties them to the maps of `ebpf`, none of which may have
    /// been taken out yet. `None` when the object cannot be read so.
    #[must_use]
    pub fn of(bytes: &[u8], ebpf: &Ebpf) -> Option<Self> {
        let mut object = Object::parse(bytes).ok()?;
        let sections: HashSet<usize> = object
            .functions
            .keys()
            .map(|(section, _)| *section)
            .collect();
        let descriptors: HashMap<String, RawFd> = ebpf
            .maps()
            .map(|(name, map)| (name.to_owned(), data(map).fd().as_fd().as_raw_fd()))
            .collect();
        let maps = object.maps.clone();
        let tied = maps.iter().filter_map(|(name, map)| {
            let descriptor = descriptors.get(name)?;
            Some((name.as_str(), *descriptor, map))
        });
        object.relocate_maps(tied, &sections).ok()?;
        object.relocate_calls(&sections).ok()?;
        let functions = &object.functions;
        let programs = object.programs.into_iter().filter_map(|(name, program)| {
            let uprobe = matches!(
                program.section,
                ProgramSection::UProbe { .. } | ProgramSection::URetProbe { .. }
            );
            let instructions = &functions.get(&program.function_key())?.instructions;
            uprobe.then(|| {
                let program = Program {
                    instructions: instructions.clone(),
                    license: program.license,
                };
                (name, program)
            })
        });
        Some(Self {
            programs: programs.collect(),
            loaded: HashMap::new(),
        })
    }

    /// Attaches `program` at a place, for the process `own` or for all; at the returns of the
    /// functions there with `returns`.
    ///
    /// # Errors
    /// When the kernel refuses the link; `Unsupported` when it refuses the program.
    pub fn attach(
        &mut self,
        program: &'static str,
        place: &Place<'_>,
        returns: bool,
        own: Option<u32>,
    ) -> io::Result<Link> {
        let descriptor = self
            .load(program)
            .map_err(|error| io::Error::new(io::ErrorKind::Unsupported, error))?;
        let offsets = place.offsets;
        let cookies = vec![place.cookie; offsets.len()];
        let path = CString::new(place.path.as_os_str().as_bytes())?;
        let attributes = CreateLink {
            program: u32::try_from(descriptor).unwrap_or_default(),
            attach_type: BPF_TRACE_UPROBE_MULTI,
            path: path.as_ptr() as u64,
            offsets: offsets.as_ptr() as u64,
            cookies: if place.cookie == 0 {
                0
            } else {
                cookies.as_ptr() as u64
            },
            count: u32::try_from(offsets.len()).unwrap_or_default(),
            multi_flags: if returns {
                BPF_F_UPROBE_MULTI_RETURN
            } else {
                0
            },
            pid: own.unwrap_or(0),
            ..CreateLink::default()
        };
        Ok(Link {
            _fd: bpf(BPF_LINK_CREATE, &attributes)?,
        })
    }

    fn load(&mut self, program: &'static str) -> io::Result<RawFd> {
        if let Some(loaded) = self.loaded.get(program) {
            return Ok(loaded.as_raw_fd());
        }
        let missing = || io::Error::new(io::ErrorKind::NotFound, "not in the kernel object");
        let found = self.programs.get(program).ok_or_else(missing)?;
        let instructions = &found.instructions;
        let attributes = LoadProgram {
            kind: BPF_PROG_TYPE_KPROBE,
            instruction_count: u32::try_from(instructions.len()).unwrap_or_default(),
            instructions: instructions.as_ptr() as u64,
            license: found.license.as_ptr() as u64,
            name: name(program),
            attach_type: BPF_TRACE_UPROBE_MULTI,
            ..LoadProgram::default()
        };
        let loaded = bpf(BPF_PROG_LOAD, &attributes)?;
        let descriptor = loaded.as_raw_fd();
        self.loaded.insert(program, loaded);
        Ok(descriptor)
    }
}

/// `BPF_OBJ_NAME_LEN`: fifteen bytes and a NUL.
fn name(program: &str) -> [u8; 16] {
    let mut name = [0; 16];
    for (to, from) in name[..15].iter_mut().zip(program.bytes()) {
        *to = from;
    }
    name
}

/// Makes the object that `attributes` describe.
fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: `attributes` is a prefix of `union bpf_attr` of the size that is told, and what it
    // points to lives until the call is over.
    let made = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    let made = RawFd::try_from(made).unwrap_or(-1);
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// What every kind of map holds.
const fn data(map: &Map) -> &MapData {
    match map {
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::BloomFilter(data)
        | Map::CgroupArray(data)
        | Map::CgroupStorage(data)
        | Map::CgrpStorage(data)
        | Map::CpuMap(data)
        | Map::DevMap(data)
        | Map::DevMapHash(data)
        | Map::HashMap(data)
        | Map::HashOfMaps(data)
        | Map::InodeStorage(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuCgroupStorage(data)
        | Map::PerCpuHashMap(data)
        | Map::PerCpuLruHashMap(data)
        | Map::PerfEventArray(data)
        | Map::ProgramArray(data)
        | Map::Queue(data)
        | Map::ReusePortSockArray(data)
        | Map::RingBuf(data)
        | Map::SockHash(data)
        | Map::SockMap(data)
        | Map::SkStorage(data)
        | Map::Stack(data)
        | Map::StackTraceMap(data)
        | Map::Unsupported(data)
        | Map::XskMap(data) => data,
    }
}
