//! PHP.

use super::options::{self, Table};
use super::{Hint, Launch, Name, folder, manifest};

/// Options of `php`.
const PHP: Table = Table {
    valued: &[
        "-c",
        "-d",
        "-z",
        "-S",
        "-t",
        "--server",
        "--docroot",
        "--define",
        "--php-ini",
    ],
    last: &["-f", "--file", "-r", "--run", "-F", "-R"],
    clustered: false,
};

/// Names of pools that packages choose, not people.
const POOLS: &[&str] = &["www", "default"];

pub(super) fn hint(launch: &Launch<'_>) -> Hint {
    if launch.program.starts_with("php-fpm") {
        return of_pool(launch);
    }
    let args = launch.arguments();
    let parsed = PHP.parse(args);
    let script = match parsed.last {
        Some(("-f" | "--file", script)) => Some(script),
        Some(_) => None,
        None => parsed.operands.first().map(String::as_str),
    };
    let served = options::value(args, &["-S", "--server"]).is_some();
    let docroot = options::value(args, &["-t", "--docroot"]);
    let folder = match (script, docroot) {
        (_, Some(docroot)) => launch.full(docroot),
        // A router within a framework is a dependency of the project that holds it.
        (Some(script), None) => match script.split_once("/vendor/") {
            Some((project, _)) => launch.full(project),
            None if served => launch.cwd.map(Into::into),
            None => launch.folder_of(script),
        },
        (None, None) => launch.cwd.map(Into::into),
    };
    let project = folder
        .as_deref()
        .and_then(|folder| manifest::php(launch, folder));
    if project.is_some() {
        return project.into();
    }
    match script.filter(|_| !served) {
        Some(script) => Hint::of_file(folder::stem(script), folder.as_deref(), "script"),
        None => folder.as_deref().and_then(super::in_folder).into(),
    }
}

/// `php-fpm: pool shop`.
fn of_pool(launch: &Launch<'_>) -> Hint {
    let title = launch.title().unwrap_or_default();
    let pool = title.strip_prefix("php-fpm: pool ").map(str::trim);
    Hint {
        name: pool
            .filter(|pool| !POOLS.contains(pool))
            .and_then(|pool| Name::from_text(pool, "pool")),
        last_resort: Name::from_text("php-fpm", "executable"),
    }
}
