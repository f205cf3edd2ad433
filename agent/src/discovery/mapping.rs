//! Where a process has mapped its executable files.
//!
//! In: `/proc/PID/maps`. Out: [`Mapping`]s of whole files, one per file.

use super::files::head;
use super::procs::Proc;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Most bytes of `maps` that are read.
const BYTES: usize = 4 * 1024 * 1024;

/// Ends the name of a file in `maps` that is no longer its name.
const GONE: &str = " (deleted)";

/// Most entries of a folder that are looked at.
const ENTRIES: usize = 16 * 1024;

/// A file that a process has mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Address at which the file's first byte is mapped.
    pub start: u64,
    /// The address behind that part of it.
    pub end: u64,
    /// Device and inode, as `maps` tells them.
    pub file: FileId,
    /// As the process itself names it.
    pub path: String,
    /// Where below `/proc/PID` it is found when its path leads to another file by now, or to none.
    pub gone: Option<String>,
}

/// A file whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Major and minor number of its device.
    pub device: (u32, u32),
    /// Inode.
    pub inode: u64,
}

impl Mapping {
    /// The file, as this process can open it whatever its mount namespace. Where its name is gone
    /// or another file's by now, as after an upgrade, by the mapping itself: that takes a
    /// capability more.
    #[must_use]
    pub fn host_path(&self, proc: &Proc, tgid: u32) -> PathBuf {
        if let Some(link) = &self.gone {
            return proc.path(tgid, link);
        }
        let inner = self.path.trim_start_matches('/');
        let named = proc.path(tgid, "root").join(inner);
        let is = |path: &Path| {
            let found = std::fs::metadata(path);
            found.is_ok_and(|found| found.ino() == self.file.inode)
        };
        if is(&named) {
            return named;
        }
        let mapped = format!("map_files/{:x}-{:x}", self.start, self.end);
        let mapped = proc.path(tgid, &mapped);
        // Some file systems tell `maps` other numbers than those who ask for a file's status.
        if std::fs::metadata(&mapped).is_ok() {
            mapped
        } else {
            named
        }
    }

    /// Why its file is not understood, if `why` is what went wrong.
    #[must_use]
    pub fn blame(&self, why: String) -> String {
        match &self.gone {
            Some(link) if link != "exe" => format!(
                "its file was deleted or replaced since it was loaded ({why}): to read it where it \
                 is mapped takes CAP_CHECKPOINT_RESTORE"
            ),
            _ => why,
        }
    }
}

/// The file in the folder of `path` whose name begins with `name`.
#[must_use]
pub fn sibling(path: &Path, name: &str) -> Option<(FileId, PathBuf)> {
    let found = entries(path.parent()?, |found| found.starts_with(name));
    found.into_iter().next()
}

/// The files in `folder` whose names are `wanted`.
#[must_use]
pub fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<(FileId, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let found = entries.take(ENTRIES).flatten();
    let found = found.filter(|entry| wanted(&entry.file_name().to_string_lossy()));
    let found = found.filter_map(|entry| {
        let status = std::fs::metadata(entry.path()).ok()?;
        let device = status.dev();
        // `makedev(3)`
        let major = (device >> 8 & 0xfff | device >> 32 & 0xffff_f000) as u32;
        let minor = (device & 0xff | device >> 12 & 0xffff_ff00) as u32;
        let file = FileId {
            device: (major, minor),
            inode: status.ino(),
        };
        Some((file, entry.path()))
    });
    found.collect()
}

/// The files that process `tgid` has mapped from their beginning.
#[must_use]
pub fn mappings(proc: &Proc, tgid: u32) -> Vec<Mapping> {
    let bytes = head(&proc.path(tgid, "maps"), BYTES).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut found: Vec<Mapping> = Vec::new();
    for mut mapping in text.lines().filter_map(parse) {
        // The program itself is mapped first; whoever may read its memory may read it there.
        if mapping.gone.is_some() && found.is_empty() {
            mapping.gone = Some("exe".to_owned());
        }
        if found.last().is_none_or(|last| last.file != mapping.file) {
            found.push(mapping);
        }
    }
    found
}

/// A part of a process's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its first address.
    pub start: u64,
    /// The address behind it.
    pub end: u64,
    /// It holds code.
    pub executable: bool,
    /// The process may write to it.
    pub writable: bool,
    /// The file that it is mapped from; `None` for plain memory.
    pub file: Option<FileId>,
}

/// The memory of process `tgid`, by address.
#[must_use]
pub fn regions(proc: &Proc, tgid: u32) -> Vec<Region> {
    let bytes = head(&proc.path(tgid, "maps"), BYTES).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().filter_map(region).collect()
}

/// A line of `maps`.
fn region(line: &str) -> Option<Region> {
    let mut fields = line.splitn(6, ' ');
    let place = fields.next()?;
    let (start, end) = place.split_once('-')?;
    let permissions = fields.next()?.as_bytes();
    let _offset = fields.next()?;
    let file = file(fields.next()?, fields.next()?)?;
    Some(Region {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        executable: permissions.get(2) == Some(&b'x'),
        writable: permissions.get(1) == Some(&b'w'),
        file: (file.inode != 0).then_some(file),
    })
}

/// `device` as major and minor number, `inode` in decimal.
fn file(device: &str, inode: &str) -> Option<FileId> {
    let (major, minor) = device.split_once(':')?;
    Some(FileId {
        device: (
            u32::from_str_radix(major, 16).ok()?,
            u32::from_str_radix(minor, 16).ok()?,
        ),
        inode: inode.trim_end().parse().ok()?,
    })
}

/// A line of `maps` that maps the first byte of a file.
fn parse(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let place = fields.next()?;
    let (start, end) = place.split_once('-')?;
    let _permissions = fields.next()?;
    let offset = fields.next()?;
    let file = file(fields.next()?, fields.next()?)?;
    let path = fields.next()?.trim_start();
    if file.inode == 0 || !offset.trim_start_matches('0').is_empty() {
        return None;
    }
    // The kernel says so of a file that was replaced, too: its name is another file's.
    let known = path.strip_suffix(GONE);
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        file,
        path: known.unwrap_or(path).to_owned(),
        gone: known.map(|_| format!("map_files/{place}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that is another file's by now leads to the one that is mapped nonetheless.
    #[test]
    fn a_file_is_found_whatever_has_its_name() {
        use std::io::Read;
        let proc = Proc::at("/proc");
        let own = std::process::id();
        let all = mappings(&proc, own);
        let mut program = all.first().unwrap().clone();
        let named = program.host_path(&proc, own);
        assert_eq!(named, proc.path(own, "root").join(&program.path[1..]));
        // The number of another file.
        program.file.inode += 1;
        let found = program.host_path(&proc, own);
        // Others than root may not follow the link: then the name is all there is.
        let links = std::fs::metadata(proc.path(own, "map_files")).is_ok() && found != named;
        assert_eq!(found.starts_with(proc.path(own, "map_files")), links);
        let mut magic = [0; 4];
        let mut file = std::fs::File::open(&found).unwrap();
        file.read_exact(&mut magic).unwrap();
        assert_eq!(&magic, b"\x7fELF");
    }

    fn check(line: &str, expected: Option<(u64, u64, &str)>) {
        let found = parse(line);
        let found = found.as_ref();
        let found = found.map(|found| (found.start, found.file.inode, found.path.as_str()));
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn a_sibling_is_the_file_that_maps_name() {
        let proc = Proc::at("/proc");
        let all = mappings(&proc, std::process::id());
        // The C library: nothing else in its folder begins with its name.
        let own = all.iter().find(|own| own.path.ends_with("/libc.so.6"));
        let own = own.unwrap();
        let path = Path::new(&own.path);
        let name = path.file_name().unwrap().to_string_lossy();
        let (file, found) = sibling(path, &name).unwrap();
        assert_eq!((file.inode, found.as_path()), (own.file.inode, path));
        assert!(sibling(path, "no such file").is_none());
    }

    #[test]
    fn what_was_deleted_is_found_where_it_is_mapped() {
        let proc = Proc::at("/proc");
        let found = |line: &str| parse(line).unwrap().host_path(&proc, 7);
        let kept = found("00400000-00423000 r--p 00000000 fe:01 4861 /usr/bin/a");
        assert_eq!(kept, Path::new("/proc/7/root/usr/bin/a"));
        let gone = found("00400000-00423000 r--p 00000000 fe:01 4861 /usr/bin/a (deleted)");
        assert_eq!(gone, Path::new("/proc/7/map_files/00400000-00423000"));
        let line = "00400000-00423000 r--p 00000000 fe:01 4861 /usr/bin/a (deleted)";
        let blamed = parse(line).unwrap().blame("denied".to_owned());
        assert!(blamed.contains("deleted or replaced") && blamed.contains("denied"));
    }

    #[test]
    fn lines_that_map_the_first_byte() {
        check(
            "00400000-00423000 r--p 00000000 fe:01 4861      /usr/bin/a b",
            Some((0x40_0000, 4861, "/usr/bin/a b")),
        );
        check(
            "7f12-7f13 r-xp 00000000 00:1f 7 /lib/x.so (deleted)",
            Some((0x7f12, 7, "/lib/x.so")),
        );
        check(
            "00423000-00700000 r-xp 00023000 fe:01 4861 /usr/bin/a",
            None,
        );
        check("7ffd-7ffe rw-p 00000000 00:00 0 [stack]", None);
        check("nonsense", None);
        check("", None);
    }
}
