//! Compiled programs: Go, Rust, C and all else that is its own executable.

use super::{Hint, Launch, Name, folder};
use crate::discovery::elf::GoBuild;
use std::path::Path;

pub(super) fn hint(launch: &Launch<'_>) -> Hint {
    let name = launch
        .go
        .and_then(of_go)
        .or_else(|| Name::from_text(launch.unit?, "systemd unit"))
        .or_else(|| Name::from_text(launch.container?, "container"));
    if name.is_some() {
        return name.into();
    }
    // An embedding of an interpreter, a wrapper of Nix: `.shop-wrapped`.
    let program = launch.program.trim_start_matches('.');
    let program = program.strip_suffix("-wrapped").unwrap_or(program);
    let stem = program.strip_suffix(".exe").unwrap_or(program);
    if folder::is_telling(stem) {
        return Name::from_text(stem, "executable").into();
    }
    let beside = launch
        .exe
        .and_then(Path::parent)
        .filter(|folder| !is_build_cache(folder));
    let folder = [beside, launch.cwd]
        .into_iter()
        .flatten()
        .find_map(super::in_folder);
    Hint {
        name: folder,
        last_resort: Name::from_text(program, "executable"),
    }
}

/// `go run` builds into a folder of its own.
fn is_build_cache(folder: &Path) -> bool {
    folder
        .components()
        .filter_map(|part| part.as_os_str().to_str())
        .any(|part| part.starts_with("go-build"))
}

/// The main package below its module (`shop/cmd/cart`), else the module.
fn of_go(build: &GoBuild) -> Option<Name> {
    if build.module.is_empty() || build.module == "command-line-arguments" {
        return None;
    }
    let inner = build.path.strip_prefix(&build.module).unwrap_or_default();
    let command = inner.rsplit('/').find(|part| {
        folder::is_telling_package(part) && !matches!(*part, "bin" | "internal" | "src")
    });
    let mut name = match command {
        Some(command) => Name::from_text(command, "Go package"),
        None => build
            .module
            .rsplit('/')
            .find(|part| !is_major_version(part))
            .and_then(|part| Name::from_text(part, "Go module")),
    }?;
    let version = Some(build.module_version.as_str());
    name.version = version
        .filter(|version| !version.is_empty() && *version != "(devel)")
        .and_then(folder::clean);
    Some(name)
}

/// `v2` at the end of a module's path.
fn is_major_version(part: &str) -> bool {
    part.strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_packages_and_modules() {
        for (path, module, version, expected) in [
            (
                "acme.dev/shop/cmd/cart",
                "acme.dev/shop",
                "v1.2.0",
                "cart v1.2.0",
            ),
            (
                "acme.dev/shop/cmd/server",
                "acme.dev/shop",
                "(devel)",
                "shop",
            ),
            ("acme.dev/shop/v2", "acme.dev/shop/v2", "", "shop"),
            ("acme.dev/shop/v2/cmd", "acme.dev/shop/v2", "", "shop"),
            ("acme.dev/vault", "acme.dev/vault", "", "vault"),
            ("shop", "shop", "", "shop"),
            ("command-line-arguments", "", "", ""),
            ("v2", "v2", "", ""),
        ] {
            let name = of_go(&GoBuild {
                path: path.to_owned(),
                module: module.to_owned(),
                module_version: version.to_owned(),
                ..GoBuild::default()
            });
            let shown = name.map(|name| {
                let version = name.version.map(|version| format!(" {version}"));
                name.name + &version.unwrap_or_default()
            });
            assert_eq!(shown.unwrap_or_default(), expected, "{path} of {module}");
        }
    }
}
