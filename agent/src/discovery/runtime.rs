//! Which runtime a process is.
//!
//! In: a process, its mapped libraries, the marks in its executable. Out: [`Detected`]. Not
//! here: what it runs (`metadata::name`).
//!
//! Cheapest evidence first: the program's file name; the executable's marks; mapped libraries.

use super::elf::{GoBuild, Sections};
use super::files::{Tree, head};
use super::procs::{Proc, Process};
use crate::metadata::Runtime;
use std::fs::File;
use std::path::Path;

/// Most bytes of `maps` that are looked through.
const MAPS_BYTES: usize = 1024 * 1024;
/// Most bytes of the JDK's `release` file.
const RELEASE_BYTES: usize = 16 * 1024;

/// Interpreters by file name, version digits removed.
const PROGRAMS: &[(&str, Runtime)] = &[
    ("node", Runtime::Node),
    ("nodejs", Runtime::Node),
    // Not Node.js, but they run the same packages.
    ("bun", Runtime::Node),
    ("deno", Runtime::Node),
    ("python", Runtime::Python),
    ("pypy", Runtime::Python),
    ("java", Runtime::Java),
    ("jsvc", Runtime::Java),
    ("ruby", Runtime::Ruby),
    ("truffleruby", Runtime::Ruby),
    ("php", Runtime::Php),
    ("php-fpm", Runtime::Php),
    ("php-cgi", Runtime::Php),
    ("dotnet", Runtime::Dotnet),
];

/// Libraries that embed a runtime, by the beginning of their file name.
const LIBRARIES: &[(&str, Runtime)] = &[
    ("libjvm.so", Runtime::Java),
    ("libcoreclr.so", Runtime::Dotnet),
    ("libnode.so", Runtime::Node),
    ("libpython", Runtime::Python),
    ("libruby", Runtime::Ruby),
    ("libphp", Runtime::Php),
];

/// What a process turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// Its runtime.
    pub runtime: Runtime,
    /// `process.runtime.name`.
    pub name: Option<String>,
    /// `process.runtime.version`.
    pub version: Option<String>,
    /// Go's own description of the build.
    pub go: Option<GoBuild>,
}

impl From<Runtime> for Detected {
    fn from(runtime: Runtime) -> Self {
        Self {
            runtime,
            name: runtime_name(runtime).map(str::to_owned),
            version: None,
            go: None,
        }
    }
}

/// The runtime that a program of this file name is.
#[must_use]
pub fn of_program(program: &str) -> Option<Runtime> {
    let name = without_version(program);
    let known = PROGRAMS.iter().find(|known| known.0 == name);
    known.map(|known| known.1)
}

/// A file name without the version at its end: `python3.11`, `php-fpm8.2`, `ruby-3.2`.
#[must_use]
pub fn without_version(program: &str) -> &str {
    program
        .trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
        .trim_end_matches('-')
}

/// Finds out what `process` is.
#[must_use]
pub fn detect(proc: &Proc, process: &Process, files: &Tree) -> Detected {
    if let Some(runtime) = of_program(process.program()) {
        return of_interpreter(runtime, process, files);
    }
    let executable = File::open(proc.path(process.tgid, "exe")).ok();
    let sections = executable.and_then(Sections::of);
    if let Some(go) = sections.as_ref().and_then(Sections::go) {
        return Detected {
            version: Some(go.version.clone()).filter(|version| !version.is_empty()),
            go: Some(go),
            ..Runtime::Go.into()
        };
    }
    if let Some(version) = sections.as_ref().and_then(Sections::rustc) {
        return Detected {
            version: Some(version),
            ..Runtime::Rust.into()
        };
    }
    let maps = head(&proc.path(process.tgid, "maps"), MAPS_BYTES).unwrap_or_default();
    of_maps(&String::from_utf8_lossy(&maps)).unwrap_or_else(|| Runtime::Native.into())
}

/// Looks for a runtime's library among the mapped files.
fn of_maps(maps: &str) -> Option<Detected> {
    maps.lines().find_map(|line| {
        let path = &line[line.find('/')?..];
        let file = path.rsplit('/').next()?;
        let library = LIBRARIES.iter().find(|known| file.starts_with(known.0))?;
        Some(Detected {
            version: library_version(library.1, path, file),
            ..library.1.into()
        })
    })
}

/// The version in a library's name (`libpython3.11.so.1.0`, `libruby.so.3.1`) or folder
/// (`Microsoft.NETCore.App/8.0.1/libcoreclr.so`).
fn library_version(runtime: Runtime, path: &str, file: &str) -> Option<String> {
    let text = match runtime {
        Runtime::Python => file.strip_prefix("libpython")?,
        Runtime::Ruby => file.split_once(".so.")?.1,
        Runtime::Dotnet => path.rsplit('/').nth(1)?,
        _ => return None,
    };
    version_at_start(text)
}

fn of_interpreter(runtime: Runtime, process: &Process, files: &Tree) -> Detected {
    let mut detected = Detected::from(runtime);
    let Some(exe) = process.exe.as_deref() else {
        return detected;
    };
    let program = without_version(process.program());
    match runtime {
        Runtime::Java => of_jdk(&mut detected, exe, files),
        Runtime::Node if matches!(program, "bun" | "deno") => detected.name = Some(program.into()),
        Runtime::Python if program == "pypy" => detected.name = Some("pypy".into()),
        _ => {}
    }
    if detected.version.is_none() {
        detected.version = version_in_path(exe);
    }
    detected
}

/// The JDK says what it is in a file beside its `bin`.
fn of_jdk(detected: &mut Detected, exe: &Path, files: &Tree) {
    let home = exe.parent().and_then(Path::parent);
    let Some(release) = home.and_then(|home| files.text(&home.join("release"), RELEASE_BYTES))
    else {
        return;
    };
    let value = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.strip_prefix('=')?.trim_matches('"').to_owned())
    };
    detected.version = value("JAVA_RUNTIME_VERSION").or_else(|| value("JAVA_VERSION"));
}

/// A version that stands in the program's path: `.nvm/versions/node/v20.1.0/bin/node`, else
/// the one in its name: `python3.11`.
fn version_in_path(exe: &Path) -> Option<String> {
    let folders = exe.parent()?.components().rev();
    let in_folder = folders
        .filter_map(|folder| folder.as_os_str().to_str())
        .take(3)
        .find_map(|folder| {
            let version = folder.rsplit(['-', '@']).next()?.trim_start_matches('v');
            version_at_start(version)
                .filter(|found| found.len() == version.len() && found.matches('.').count() == 2)
        });
    in_folder.or_else(|| {
        let name = exe.file_name()?.to_str()?;
        let start = without_version(name).len();
        version_at_start(name.get(start..)?.trim_start_matches('-'))
            .filter(|version| version.contains('.'))
    })
}

/// The digits and dots that `text` begins with.
fn version_at_start(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let version = text[..end].trim_end_matches('.');
    version
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| version.to_owned())
}

/// `process.runtime.name` as the semantic conventions and the SDKs have it.
const fn runtime_name(runtime: Runtime) -> Option<&'static str> {
    match runtime {
        Runtime::Node => Some("nodejs"),
        Runtime::Python => Some("cpython"),
        Runtime::Java => Some("OpenJDK Runtime Environment"),
        Runtime::Go => Some("go"),
        Runtime::Ruby => Some("ruby"),
        Runtime::Php => Some("php"),
        Runtime::Dotnet => Some(".NET"),
        Runtime::Rust => Some("rustc"),
        Runtime::Native => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs() {
        for (program, expected) in [
            ("node", Some(Runtime::Node)),
            ("nodejs", Some(Runtime::Node)),
            ("node18", Some(Runtime::Node)),
            ("python3.11", Some(Runtime::Python)),
            ("python", Some(Runtime::Python)),
            ("pypy3", Some(Runtime::Python)),
            ("java", Some(Runtime::Java)),
            ("ruby3.1", Some(Runtime::Ruby)),
            ("ruby-3.2", Some(Runtime::Ruby)),
            ("php8.2", Some(Runtime::Php)),
            ("php-fpm8.2", Some(Runtime::Php)),
            ("dotnet", Some(Runtime::Dotnet)),
            ("nodepad", None),
            ("javac", None),
            ("nginx", None),
            ("", None),
            ("3.11", None),
        ] {
            assert_eq!(of_program(program), expected, "{program}");
        }
    }

    #[test]
    fn mapped_libraries() {
        for (line, runtime, version) in [
            (
                "7f0-7f1 r-xp 0 08:01 1 /usr/lib/libpython3.11.so.1.0",
                Some(Runtime::Python),
                Some("3.11"),
            ),
            (
                "7f0-7f1 r-xp 0 08:01 1 /usr/lib/jvm/x/lib/server/libjvm.so",
                Some(Runtime::Java),
                None,
            ),
            (
                "7f0-7f1 r-xp 0 08:01 1 /usr/lib/x86/libnode.so.115",
                Some(Runtime::Node),
                None,
            ),
            (
                "7f0-7f1 r-xp 0 08:01 1 /usr/lib/libruby-3.1.so.3.1",
                Some(Runtime::Ruby),
                Some("3.1"),
            ),
            (
                "7f0-7f1 r-xp 0 08:01 1 /usr/lib/libphp8.2.so",
                Some(Runtime::Php),
                None,
            ),
            (
                "7f0-7f1 r-xp 0 08:01 1 /usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.1/libcoreclr.so",
                Some(Runtime::Dotnet),
                Some("8.0.1"),
            ),
            ("7f0-7f1 r-xp 0 08:01 1 /usr/lib/libc.so.6", None, None),
            ("7f0-7f1 rw-p 0 00:00 0", None, None),
            ("\u{0} garbage / // \u{fffd}", None, None),
        ] {
            let found = of_maps(&format!("00-01 r--p 0 08:01 1 /usr/bin/x\n{line}\n"));
            assert_eq!(found.as_ref().map(|found| found.runtime), runtime, "{line}");
            assert_eq!(
                found.and_then(|found| found.version).as_deref(),
                version,
                "{line}"
            );
        }
    }

    #[test]
    fn versions_in_paths() {
        for (path, expected) in [
            ("/opt/.nvm/versions/node/v20.20.2/bin/node", Some("20.20.2")),
            ("/opt/.pyenv/versions/3.11.7/bin/python3.11", Some("3.11.7")),
            ("/opt/node-v18.1.0/bin/node", Some("18.1.0")),
            ("/usr/bin/python3.11", Some("3.11")),
            ("/usr/bin/ruby-3.2", Some("3.2")),
            ("/usr/bin/python3", None),
            ("/usr/bin/node", None),
            ("/opt/10.0.0.1/x/y/z/bin/node", None),
        ] {
            assert_eq!(
                version_in_path(Path::new(path)).as_deref(),
                expected,
                "{path}"
            );
        }
    }
}
