//! What a process would be called by the people who run it.
//!
//! In: [`Launch`]: command line, program, folder, files. Out: [`Name`] and where it is from. Not
//! here: resource attributes (`service`).
//!
//! What an interpreter runs names it, never the interpreter: one file of this folder for each
//! kind of launch. What only says which role a file has (`app.py`, `main`, `/srv/x/current`) is
//! passed over for what stands around it.

mod compiled;
mod dotnet;
pub(in crate::metadata) mod folder;
mod java;
mod manifest;
mod node;
mod options;
mod php;
mod python;
mod ruby;
mod script;

use super::Runtime;
use crate::discovery::elf::GoBuild;
use crate::discovery::environment::Environment;
use crate::discovery::files::{Tree, join};
use crate::discovery::runtime::{of_program, without_version};
use std::path::{Path, PathBuf};

/// What is known of how a process was started.
pub struct Launch<'a> {
    /// File name of the program.
    pub program: &'a str,
    /// The program.
    pub exe: Option<&'a Path>,
    /// Command line, the program itself first.
    pub args: &'a [String],
    /// Working directory.
    pub cwd: Option<&'a Path>,
    /// Kept environment variables.
    pub environment: &'a Environment,
    /// Files as the process sees them.
    pub files: &'a Tree,
    /// Its runtime.
    pub runtime: Runtime,
    /// Go's description of the build.
    pub go: Option<&'a GoBuild>,
    /// `systemd` service it belongs to.
    pub unit: Option<&'a str>,
    /// Name of its container or pod, when it has one of its own.
    pub container: Option<&'a str>,
}

/// A name and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// `service.name`.
    pub name: String,
    /// `service.version`.
    pub version: Option<String>,
    /// What said so, in words for `weft explain`.
    pub origin: &'static str,
}

impl Name {
    /// A cleaned `name`, `None` when nothing of it is left.
    fn from_text(name: &str, origin: &'static str) -> Option<Self> {
        Some(Self {
            name: folder::clean(name)?,
            version: None,
            origin,
        })
    }
}

/// What the way of launching says.
#[derive(Default)]
struct Hint {
    /// It names the service.
    name: Option<Name>,
    /// Better than the interpreter's own name, but only just: `app`, `server`.
    last_resort: Option<Name>,
}

impl Hint {
    /// By a file: manifest or folder when the file's own name tells nothing.
    fn of_file(stem: &str, folder: Option<&Path>, origin: &'static str) -> Self {
        if folder::is_telling(stem) {
            return Name::from_text(stem, origin).into();
        }
        Self {
            name: folder.and_then(in_folder),
            last_resort: Name::from_text(stem, origin),
        }
    }
}

impl From<Option<Name>> for Hint {
    fn from(name: Option<Name>) -> Self {
        Self {
            name,
            last_resort: None,
        }
    }
}

fn in_folder(folder: &Path) -> Option<Name> {
    Name::from_text(&folder::name(folder)?, "folder")
}

impl Launch<'_> {
    /// Arguments behind the program.
    fn arguments(&self) -> &[String] {
        self.args.get(1..).unwrap_or_default()
    }

    /// The one text that a program put in place of its command line, as
    /// `gunicorn: worker [shop]`.
    fn title(&self) -> Option<&str> {
        match self.args {
            [title] if title.trim().contains([' ', ':']) => Some(title.trim()),
            _ => None,
        }
    }

    /// `path` of an argument, as a full path.
    fn full(&self, path: &str) -> Option<PathBuf> {
        match self.cwd {
            Some(cwd) => Some(join(cwd, path)),
            None => path.starts_with('/').then(|| PathBuf::from(path)),
        }
    }

    /// The folder that a file argument is in.
    fn folder_of(&self, path: &str) -> Option<PathBuf> {
        self.full(path)?.parent().map(Path::to_path_buf)
    }

    /// Its program interprets what the command line names, and did not just embed a runtime.
    fn interprets(&self) -> bool {
        of_program(self.program).is_some() || script::is_interpreter(self.program)
    }

    /// The command that really tells: its program is a mere interpreter and its parent runs the
    /// same service, as a worker of Python's `multiprocessing`.
    #[must_use]
    pub fn continues_parent(&self) -> bool {
        self.runtime == Runtime::Python && python::continues_parent(self)
    }
}

/// Names the process.
#[must_use]
pub fn of(launch: &Launch<'_>) -> Name {
    let hint = hint(launch);
    hint.name
        .or_else(|| surroundings(launch))
        .or(hint.last_resort)
        .or_else(|| anything(launch))
        .unwrap_or_else(|| Name {
            // The specification's own word for it.
            name: "unknown_service".to_owned(),
            version: None,
            origin: "nothing",
        })
}

fn hint(launch: &Launch<'_>) -> Hint {
    match launch.runtime {
        _ if python::is_server(launch.program) => python::hint(launch),
        _ if script::is_interpreter(launch.program) => script::hint(launch),
        _ if !launch.interprets() => compiled::hint(launch),
        Runtime::Node => node::hint(launch),
        Runtime::Python => python::hint(launch),
        Runtime::Java => java::hint(launch),
        Runtime::Ruby => ruby::hint(launch),
        Runtime::Php => php::hint(launch),
        Runtime::Dotnet => dotnet::hint(launch),
        Runtime::Go | Runtime::Rust | Runtime::Native => compiled::hint(launch),
    }
}

/// What names a process from outside.
fn surroundings(launch: &Launch<'_>) -> Option<Name> {
    let folder = launch.cwd.filter(|_| launch.interprets());
    folder
        .and_then(in_folder)
        .or_else(|| Name::from_text(launch.unit?, "systemd unit"))
        .or_else(|| Name::from_text(launch.container?, "container"))
}

/// Any text at all, the least bad first.
fn anything(launch: &Launch<'_>) -> Option<Name> {
    let folder = launch.cwd.filter(|_| launch.interprets());
    folder
        .and_then(Path::file_name)
        .and_then(|folder| folder.to_str())
        .and_then(|folder| Name::from_text(folder, "folder"))
        .or_else(|| executable(launch))
}

fn executable(launch: &Launch<'_>) -> Option<Name> {
    let program = folder::file(launch.program);
    let short = without_version(program);
    let name = if launch.interprets() { short } else { program };
    Name::from_text(name, "executable")
}

#[cfg(test)]
mod live;
#[cfg(test)]
mod tests;
