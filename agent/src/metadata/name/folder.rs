//! Names from folders and file names.
//!
//! In: paths. Out: the nearest part that means something, or none.

use std::path::Path;

/// Longest name given, bytes.
const NAME_BYTES: usize = 255;

/// Folders that say where things are on every host, not what is in them.
const FOLDERS: &[&str] = &[
    // Layout of a project.
    "app",
    "apps",
    "application",
    "src",
    "source",
    "bin",
    "sbin",
    "dist",
    "build",
    "out",
    "output",
    "target",
    "debug",
    "release",
    "publish",
    "lib",
    "lib64",
    "libs",
    "libexec",
    "cmd",
    "main",
    "scripts",
    "server",
    "config",
    "conf",
    "node_modules",
    "vendor",
    ".venv",
    "venv",
    "env",
    ".next",
    ".output",
    "standalone",
    "classes",
    "java",
    // Layout of a deployment.
    "current",
    "releases",
    "release",
    "shared",
    "deploy",
    "deployment",
    "site",
    "sites",
    "www",
    "wwwroot",
    "html",
    "htdocs",
    "public",
    "public_html",
    "web",
    "code",
    "workspace",
    "project",
    "projects",
    "repo",
    "work",
    "data",
    // Layout of a host.
    "usr",
    "var",
    "opt",
    "srv",
    "home",
    "root",
    "tmp",
    "mnt",
    "media",
    "local",
    "share",
    "etc",
    "run",
    "proc",
    "sys",
    "dev",
    "nix",
    "store",
    "snap",
    "cache",
];

/// File names that say what role a file has in any project. `cli`, `worker` and the like are
/// not among them: they tell the programs of one project apart.
const STEMS: &[&str] = &[
    "app",
    "main",
    "__main__",
    "index",
    "server",
    "start",
    "run",
    "manage",
    "wsgi",
    "asgi",
    "application",
    "program",
    "bootstrap",
    "launcher",
    "entrypoint",
    "docker-entrypoint",
    "boot",
    "service",
    "a.out",
    "src",
    "config",
    "core",
    "root",
    "artisan",
    "console",
    "router",
    "init",
];

/// Parts of a module's path that say as little as [`STEMS`], and those that group others.
const PACKAGES: &[&str] = &[
    "apps", "services", "packages", "projects", "cmd", "web", "api", "celery",
];

/// `name` says what it is, not only what role it has.
pub(super) fn is_telling(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    !name.is_empty() && !STEMS.contains(&lower.as_str()) && !is_version(&lower)
}

/// Likewise for a part of a module's path.
pub(super) fn is_telling_package(name: &str) -> bool {
    is_telling(name) && !PACKAGES.contains(&name)
}

/// The name of the nearest folder, `path` itself first, that says what is in it.
pub(super) fn name(path: &Path) -> Option<String> {
    // The kernel's own trees: what is there is numbered, not named.
    let kernel = ["/proc", "/sys", "/dev"];
    if kernel.iter().any(|tree| path.starts_with(tree)) {
        return None;
    }
    path.ancestors().find_map(|folder| {
        let name = folder.file_name()?.to_str()?;
        let parent = folder.parent().and_then(Path::file_name);
        if !telling_folder(name, parent.and_then(|parent| parent.to_str())) {
            return None;
        }
        clean(name)
    })
}

fn telling_folder(name: &str, parent: Option<&str>) -> bool {
    let lower = name.to_ascii_lowercase();
    // A user's folder, a release's folder: a person and a time, not a service.
    !FOLDERS.contains(&lower.as_str())
        && !is_version(&lower)
        && !matches!(parent, Some("home" | "releases"))
}

/// Digits and separators only, a version or a date, or a target framework of .NET.
fn is_version(name: &str) -> bool {
    let digits = name.trim_start_matches("net").trim_start_matches('v');
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | 't'))
}

/// This folder holds many unrelated projects: what lies in it by accident is about none of them.
pub(super) fn holds_many(path: &Path) -> bool {
    let depth = path.components().count();
    depth <= 1
        || matches!(
            path.to_str(),
            Some("/tmp" | "/home" | "/root" | "/opt" | "/srv" | "/usr" | "/var" | "/mnt")
        )
        || (depth == 3 && path.starts_with("/home"))
}

/// File name of `path` without folders and the last ending.
pub(super) fn stem(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file,
    }
}

/// File name of `path`.
pub(super) fn file(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `name` as it may go out: without control characters and blanks around it, and of bounded
/// length; `None` when nothing is left.
pub(in crate::metadata) fn clean(name: &str) -> Option<String> {
    let mut clean: String = name.chars().filter(|c| !c.is_control()).collect();
    let mut end = clean.len().min(NAME_BYTES);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    clean.truncate(end);
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_say_nothing_are_skipped() {
        for (path, expected) in [
            ("/srv/shop", Some("shop")),
            ("/srv/shop/app", Some("shop")),
            ("/srv/shop/src/dist/build", Some("shop")),
            ("/srv/shop/current", Some("shop")),
            ("/srv/shop/releases/20240131120000", Some("shop")),
            ("/srv/shop/releases/3f2a91c", Some("shop")),
            ("/var/www/shop/public", Some("shop")),
            ("/var/www/html", None),
            ("/opt/shop/1.2.3/bin", Some("shop")),
            ("/home/alice/code/shop", Some("shop")),
            ("/home/alice", None),
            ("/home/alice/shop/bin/net8.0/publish", Some("shop")),
            ("/usr/src/app", None),
            ("/app", None),
            ("/shop", Some("shop")),
            ("/shop/app", Some("shop")),
            ("/tmp/maze", Some("maze")),
            ("/root/shop", Some("shop")),
            ("/proc/1/fd", None),
            ("/", None),
            ("", None),
            ("/srv/s\nhop", Some("shop")),
        ] {
            assert_eq!(name(Path::new(path)).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn names_are_bounded_and_clean() {
        assert_eq!(clean(" a\0b\u{7f} ").as_deref(), Some("ab"));
        assert_eq!(clean("\n\t "), None);
        let long = clean(&"é".repeat(1000)).unwrap();
        assert_eq!(long.len(), 254, "cut between characters");
    }

    #[test]
    fn stems() {
        for (path, expected) in [
            ("/a/b.c.js", "b.c"),
            ("x.py", "x"),
            ("x", "x"),
            (".hidden", ".hidden"),
            ("a/", ""),
        ] {
            assert_eq!(stem(path), expected, "{path}");
        }
    }
}
