//! Names and versions that projects give themselves.
//!
//! In: a process's files and a folder. Out: name and version of the nearest manifest.

use super::{Launch, Name, folder};
use serde::Deserialize;
use std::path::Path;

/// Most bytes of a manifest that are read; larger ones are not understood.
const MANIFEST_BYTES: usize = 512 * 1024;
/// Folders looked at, upwards.
const LEVELS: usize = 16;

/// What `package.json` and `composer.json` have in common.
#[derive(Deserialize)]
struct Package {
    name: Option<String>,
    version: Option<String>,
}

/// Names of project skeletons that nobody chose.
const SKELETONS: &[&str] = &[
    "laravel/laravel",
    "symfony/skeleton",
    "symfony/website-skeleton",
];

/// The nearest `package.json` with a name, upwards from `start`.
pub(super) fn node(launch: &Launch<'_>, start: &Path) -> Option<Name> {
    upwards(start, |folder| {
        let package = package(launch, &folder.join("package.json"))?;
        named(package.name?, package.version, "package.json")
    })
}

/// The nearest `composer.json` with a name: its part behind the vendor.
pub(super) fn php(launch: &Launch<'_>, start: &Path) -> Option<Name> {
    upwards(start, |folder| {
        let package = package(launch, &folder.join("composer.json"))?;
        let name = package
            .name
            .filter(|name| !SKELETONS.contains(&name.as_str()))?;
        named(
            folder::file(&name).to_owned(),
            package.version,
            "composer.json",
        )
    })
}

/// The project of a Python file in `start`: the manifest in its folder or in one above that is
/// reached only through folders that say nothing, or that are packages of the project.
pub(super) fn python(launch: &Launch<'_>, start: &Path) -> Option<Name> {
    for folder in start.ancestors().take(LEVELS) {
        if folder != start && folder::holds_many(folder) {
            return None;
        }
        if let Some(name) = pyproject(launch, folder).or_else(|| setup_cfg(launch, folder)) {
            return Some(name);
        }
        let inner = folder.file_name()?.to_str()?;
        let package = launch.files.exists(&folder.join("__init__.py"));
        let says_nothing = folder::name(folder).is_none_or(|name| name != inner);
        if !package && !says_nothing {
            return None;
        }
    }
    None
}

fn pyproject(launch: &Launch<'_>, folder: &Path) -> Option<Name> {
    let path = folder.join("pyproject.toml");
    let table: toml::Table = launch.files.text(&path, MANIFEST_BYTES)?.parse().ok()?;
    let project = table.get("project");
    let poetry = table.get("tool").and_then(|tool| tool.get("poetry"));
    [project, poetry].into_iter().flatten().find_map(|section| {
        let text = |key: &str| Some(section.get(key)?.as_str()?.to_owned());
        named(text("name")?, text("version"), "pyproject.toml")
    })
}

fn setup_cfg(launch: &Launch<'_>, folder: &Path) -> Option<Name> {
    let text = launch
        .files
        .text(&folder.join("setup.cfg"), MANIFEST_BYTES)?;
    let section = text
        .lines()
        .map(str::trim_end)
        .skip_while(|line| *line != "[metadata]")
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    let (mut name, mut version) = (None, None);
    for (key, value) in section.filter_map(|line| line.split_once('=')) {
        match key.trim_end() {
            "name" => name = Some(value.trim().to_owned()),
            // `attr:` and `file:` point elsewhere.
            "version" if !value.contains(':') => version = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    named(name?, version, "setup.cfg")
}

fn package(launch: &Launch<'_>, path: &Path) -> Option<Package> {
    let bytes = launch.files.read(path, MANIFEST_BYTES).ok()?;
    // Fields of other types than text make it no manifest.
    serde_json::from_slice(&bytes).ok()
}

fn upwards(start: &Path, look: impl Fn(&Path) -> Option<Name>) -> Option<Name> {
    start
        .ancestors()
        .take(LEVELS)
        .filter(|folder| *folder == start || !folder::holds_many(folder))
        .find_map(look)
}

fn named(name: String, version: Option<String>, origin: &'static str) -> Option<Name> {
    Some(Name {
        name: folder::clean(&name)?,
        version: version.and_then(|version| folder::clean(&version)),
        origin,
    })
}
