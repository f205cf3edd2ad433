//! Files as a watched process sees them.
//!
//! In: the directory that is a process's root (`/proc/PID/root`) and a path inside it. Out: the
//! first bytes of regular files. Not here: `/proc` itself (`procs`).
//!
//! A path that a container names must be looked up inside that container: its absolute symbolic
//! links and its `..` would otherwise lead through the agent's own root. The kernel does this
//! without races (`openat2` with `RESOLVE_IN_ROOT`, Linux 5.6). Where it cannot, the path is
//! walked one component at a time and every symbolic link is refused.
//!
//! A file is opened by path only (`O_PATH`) until it is known to be a regular one, so that no
//! FIFO blocks the agent and no device is touched. A file system that does not answer (a dead
//! network mount) can still hold the caller up: identify processes away from the hot path.

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// The file tree below one process's root.
#[derive(Debug)]
pub struct Tree {
    /// `None`: no file can be reached, as of a process that is gone.
    root: Option<OwnedFd>,
}

impl Tree {
    /// The tree below `root`; one without files when it cannot be opened.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self {
            root: rustix::fs::openat(CWD, root, flags, Mode::empty()).ok(),
        }
    }

    /// A tree in which nothing is found.
    #[must_use]
    pub const fn none() -> Self {
        Self { root: None }
    }

    /// The first `limit` bytes of the regular file at `path`.
    ///
    /// # Errors
    /// When there is no such file, it is not a regular one, or it may not be read.
    pub fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let found = self.find(path)?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} is not a regular file", path.display()),
            ));
        }
        // The descriptor names the very file that was checked: no other can slip in between.
        head(
            Path::new(&format!("/proc/self/fd/{}", found.as_raw_fd())),
            limit,
        )
    }

    /// Like [`Tree::read`], as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self, path: &Path, limit: usize) -> Option<String> {
        let bytes = self.read(path, limit).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// There is something at `path`.
    #[must_use]
    pub fn exists(&self, path: &Path) -> bool {
        self.find(path).is_ok()
    }

    fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        let root = self
            .root
            .as_ref()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            // EPERM is what container runtimes with an old list of system calls answer.
            Err(Errno::NOSYS | Errno::PERM) => walk(root.as_fd(), path),
            found => found.map_err(io::Error::from),
        }
    }
}

/// Opens `path` below `root` without following any symbolic link.
fn walk(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = rustix::fs::openat(root, ".", flags, Mode::empty())?;
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                at = rustix::fs::openat(&at, name, flags, Mode::empty())?;
            }
            Component::ParentDir => return Err(io::ErrorKind::InvalidInput.into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(at)
}

/// The regular file at `path`, to be read. Not mapped into memory: who may shorten it must not be
/// able to end the agent (SIGBUS).
///
/// # Errors
/// When it cannot be opened or is something else, such as a FIFO, which is not touched.
pub fn regular(path: &Path) -> io::Result<File> {
    let found = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
    if kind != FileType::RegularFile {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file",
        ));
    }
    // The descriptor names the very file that was checked: no other can slip in between.
    File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

/// The first `limit` bytes of a file that the agent itself names, such as one of `/proc`.
///
/// # Errors
/// When it cannot be opened or read.
pub fn head(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32)
        .open(path)?;
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `path` seen from `folder`, without `.` and `..`. Works on the text alone: where a folder on
/// the way is a symbolic link, `..` leads back over the link and not to its target's parent.
#[must_use]
pub fn join(folder: &Path, path: &str) -> PathBuf {
    let mut joined = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                joined.pop();
            }
            other => joined.push(other),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn tree() -> (tempfile::TempDir, Tree) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("srv/a")).unwrap();
        std::fs::write(root.join("srv/a/file"), "0123456789").unwrap();
        std::fs::write(dir.path().join("secret"), "outside").unwrap();
        symlink("/srv/a/file", root.join("absolute")).unwrap();
        symlink("../../../secret", root.join("srv/a/climber")).unwrap();
        symlink(dir.path().join("secret"), root.join("escape")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        rustix::fs::mknodat(
            CWD,
            root.join("fifo"),
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let tree = Tree::at(&root);
        (dir, tree)
    }

    #[test]
    fn reads_inside_the_root_only() {
        let (_dir, tree) = tree();
        for (path, expected) in [
            ("/srv/a/file", Some("01234")),
            ("srv/a/file", Some("01234")),
            ("/srv/../srv/a/file", Some("01234")),
            ("/absolute", Some("01234")),
            ("/srv/a/climber", None),
            ("/escape", None),
            ("/loop", None),
            ("/fifo", None),
            ("/srv/a", None),
            ("/missing", None),
        ] {
            assert_eq!(tree.text(Path::new(path), 5).as_deref(), expected, "{path}");
        }
        assert_eq!(Tree::none().text(Path::new("/srv/a/file"), 5), None);
    }

    #[test]
    fn regular_files_only() {
        let (dir, _tree) = tree();
        let root = dir.path().join("root");
        for (path, expected) in [
            ("srv/a/file", true),
            ("escape", true),
            ("fifo", false),
            ("loop", false),
            ("srv", false),
            ("missing", false),
        ] {
            assert_eq!(regular(&root.join(path)).is_ok(), expected, "{path}");
        }
        assert!(regular(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn old_kernels_get_no_symbolic_links() {
        let (_dir, tree) = tree();
        let root = tree.root.as_ref().unwrap().as_fd();
        for (path, found) in [
            ("/srv/a/file", FileType::RegularFile),
            ("/absolute", FileType::Symlink),
        ] {
            let kind = rustix::fs::fstat(walk(root, Path::new(path)).unwrap()).unwrap();
            assert_eq!(
                FileType::from_raw_mode(kind.st_mode),
                found,
                "{path} is found as what it is"
            );
        }
        for path in ["/srv/a/climber/x", "../secret", "/absolute/x"] {
            assert!(walk(root, Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn joins_by_text() {
        for (folder, path, expected) in [
            ("/srv/shop", "dist/main.js", "/srv/shop/dist/main.js"),
            ("/srv/shop", "../cart/./app.py", "/srv/cart/app.py"),
            ("/srv/shop", "/opt/x", "/opt/x"),
            ("/", "../../x", "/x"),
            ("/srv/shop", ".", "/srv/shop"),
        ] {
            assert_eq!(join(Path::new(folder), path), Path::new(expected));
        }
    }
}
