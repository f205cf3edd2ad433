//! Which files processes map as code, told by the kernel.
//!
//! In: an event of `perf_event_open(2)` for each processor, which counts nothing and tells of mappings. Out: a
//! [`Mapped`] for each file of which a process may execute a part from now on: its program, a library with it or
//! later. Not here: who is watched, and what the file is.
//!
//! Nothing is put into any program, so none is stopped for it, and what reads its own code, as valgrind does,
//! finds it as it was. The kernel tells before the call returns that maps the file, which is before the
//! dynamic linker has made it ready.
//!
//! Nobody is woken: most mappings mean nothing here, and the reader looks anyhow ([`super::ring`]). What
//! does not fit into a ring meanwhile is lost; that much is known, and asks for a look at all processes.

use aya::util::online_cpus;
use perf_event::events::Software;
use perf_event::{Builder, Sampler};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;

/// Bytes of a processor's ring where there are few: some 300 mappings between two looks. A program
/// maps one file or hundreds as it starts.
const RING: usize = 32 * 1024;
/// The least where there are many: a record has the whole path of its file, so up to 4 KiB.
const LEAST: usize = 8 * 1024;
/// All rings together, bytes, as far as the least allows: it does with 128 processors.
const RINGS: usize = 1024 * 1024;

/// The largest record, bytes: what is before the path, the longest path, and what it is padded to.
const LARGEST: usize = 8 + PATH + 4096 + 8;
const _: () = assert!(LARGEST < LEAST, "any record has room");

/// `PERF_RECORD_LOST` and `PERF_RECORD_MMAP2` of `linux/perf_event.h`.
const LOST: u32 = 2;
const MMAP2: u32 = 10;
/// Places of fields behind a record's header: the process of a mapping, its file's inode, its path.
const TGID: usize = 0;
const INODE: usize = 40;
const PATH: usize = 64;
/// Behind the header of `PERF_RECORD_LOST`: how many.
const COUNT: usize = 8;

/// A process has mapped a file as code.
#[derive(Debug, PartialEq, Eq)]
pub struct Mapped<'a> {
    /// Which process.
    pub tgid: u32,
    /// The file's name without its folder, as the process sees it.
    pub name: &'a [u8],
}

/// What the kernel tells of mappings.
pub struct Mappings {
    /// By processor.
    rings: BTreeMap<u32, Ring>,
    /// Records that were lost, as far as the kernel has said.
    lost: u64,
}

/// What is told of one processor.
struct Ring {
    sampler: Sampler,
    /// Bytes that it has room for.
    size: usize,
}

impl Mappings {
    /// Listens on all processors that are there.
    ///
    /// # Errors
    /// When the kernel does not tell this process.
    pub fn open() -> io::Result<Self> {
        let mut own = Self {
            rings: BTreeMap::new(),
            lost: 0,
        };
        own.follow()?;
        Ok(own)
    }

    /// Listens where processors have come, and no longer where they have gone; answers whether that is
    /// as before. One that goes and comes back between two calls is not listened to any more.
    ///
    /// # Errors
    /// When the kernel refuses one of them.
    pub fn follow(&mut self) -> io::Result<bool> {
        let online = online_cpus().map_err(|(_, error)| error)?;
        if self.rings.keys().eq(&online) {
            return Ok(true);
        }
        self.rings.retain(|cpu, _| online.contains(cpu));
        let size = size(online.len());
        for cpu in online {
            let Entry::Vacant(place) = self.rings.entry(cpu) else {
                continue;
            };
            match Ring::open(cpu, size) {
                Ok(ring) => _ = place.insert(ring),
                // It has gone meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Tells `each` what was mapped since the last call; answers whether that is all.
    pub fn drain(&mut self, mut each: impl FnMut(Mapped<'_>)) -> bool {
        let mut whole = true;
        for Ring { sampler, size } in self.rings.values_mut() {
            let mut taken = 0;
            // What comes meanwhile may wait.
            while taken < *size
                && let Some(record) = sampler.next_record()
            {
                taken += HEADER + record.len();
                let body = record.to_contiguous();
                match record.ty() {
                    MMAP2 => mapped(&body).into_iter().for_each(&mut each),
                    LOST => {
                        whole = false;
                        self.lost += field(&body, COUNT).map_or(0, u64::from_ne_bytes);
                    }
                    _ => {}
                }
            }
            // The kernel tells of a loss with the next record, which may never come; but none is lost
            // while there is room.
            whole &= taken + LARGEST <= *size;
        }
        whole
    }

    /// Mappings that were not told, as far as the kernel has counted them.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Processors that are listened to.
    #[must_use]
    pub fn processors(&self) -> usize {
        self.rings.len()
    }
}

/// `struct perf_event_header`, bytes.
const HEADER: usize = 8;

/// Bytes of a ring where there are `processors`: a power of two.
fn size(processors: usize) -> usize {
    let share = RINGS / processors.max(1);
    let power = share.checked_ilog2().map_or(0, |bits| 1 << bits);
    power.clamp(LEAST, RING)
}

impl Ring {
    /// Listens on one processor, to all processes that run there.
    fn open(cpu: u32, size: usize) -> io::Result<Self> {
        let event = Builder::new(Software::DUMMY)
            .any_pid()
            .one_cpu(cpu as usize)
            .mmap(true)
            .mmap2(true)
            .enabled(true)
            .build()?;
        let sampler = event.sampled(size)?;
        Ok(Self { sampler, size })
    }
}

/// What the body of a record says; `None` if that is no file.
fn mapped(body: &[u8]) -> Option<Mapped<'_>> {
    let tgid = i32::from_ne_bytes(field(body, TGID)?);
    let tgid = u32::try_from(tgid).ok().filter(|tgid| *tgid > 0)?;
    if u64::from_ne_bytes(field(body, INODE)?) == 0 {
        return None;
    }
    let path = body.get(PATH..)?.split(|byte| *byte == 0).next()?;
    let name = path.rsplit(|byte| *byte == b'/').next()?;
    Some(Mapped { tgid, name })
}

fn field<const BYTES: usize>(body: &[u8], at: usize) -> Option<[u8; BYTES]> {
    body.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of a record, as `perf_event_mmap_output` writes it.
    fn body(tgid: u32, inode: u64, path: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend([tgid, tgid + 1].map(u32::to_ne_bytes).concat());
        // Address, length, offset.
        body.extend([0x7000, 0x1000, 0].map(u64::to_ne_bytes).concat());
        body.extend([254, 1].map(u32::to_ne_bytes).concat());
        body.extend([inode, 3].map(u64::to_ne_bytes).concat());
        // Readable and executable, private.
        body.extend([5, 2].map(u32::to_ne_bytes).concat());
        body.extend(path);
        body.push(0);
        body.resize(body.len().next_multiple_of(8), 0);
        body
    }

    fn check(tgid: u32, inode: u64, path: &[u8], expected: Option<&[u8]>) {
        let body = body(tgid, inode, path);
        let expected = expected.map(|name| Mapped { tgid, name });
        assert_eq!(mapped(&body), expected);
    }

    #[test]
    fn files_are_told_by_their_names() {
        check(7, 9, b"/usr/lib/libssl.so.3", Some(b"libssl.so.3"));
        check(7, 9, b"/a (deleted)", Some(b"a (deleted)"));
        check(7, 9, b"/a/\xff\xfe\n\\x", Some(b"\xff\xfe\n\\x"));
        check(7, 9, b"libssl.so", Some(b"libssl.so"));
        check(7, 9, b"/folder/", Some(b""));
        check(7, 9, b"", Some(b""));
        check(7, 0, b"//anon", None);
        check(7, 0, b"[vdso]", None);
        // Of another namespace, or gone.
        check(0, 9, b"/usr/bin/a", None);
        check(u32::MAX - 1, 9, b"/usr/bin/a", None);
    }

    #[test]
    fn any_bytes_are_taken() {
        let whole = body(7, 9, b"/usr/lib/libssl.so.3");
        for end in 0..whole.len() {
            let cut = mapped(&whole[..end]);
            assert_eq!(cut.is_some(), end >= PATH, "{end}");
        }
        // A path without an end.
        let endless = [&whole[..PATH], &[b'/'; 5000]].concat();
        assert_eq!(mapped(&endless).unwrap().name, b"");
        assert_eq!(mapped(&[0xff; 100]), None);
        assert_eq!(field::<8>(&[1; 15], 8), None);
    }

    #[test]
    fn rings_are_small_and_powers_of_two() {
        for (processors, expected) in [
            (0, RING),
            (1, RING),
            (32, RING),
            (33, RING / 2),
            (64, RING / 2),
            (128, LEAST),
            (4096, LEAST),
            (usize::MAX, LEAST),
        ] {
            assert_eq!(size(processors), expected, "{processors}");
        }
    }
}
