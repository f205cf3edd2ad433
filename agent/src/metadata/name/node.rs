//! Node.js, Bun and Deno.

use super::options::Table;
use super::{Hint, Launch, Name, folder, manifest};
use std::path::PathBuf;

/// Options of `node` that take the next argument as their value.
const NODE: Table = Table {
    valued: &[
        "-r",
        "--require",
        "--import",
        "--loader",
        "--experimental-loader",
        "-C",
        "--conditions",
        "--env-file",
        "--env-file-if-exists",
        "--title",
        "--icu-data-dir",
        "--openssl-config",
        "--input-type",
        "--stack-trace-limit",
        "--max-http-header-size",
        "--diagnostic-dir",
        "--redirect-warnings",
        "--trace-event-categories",
        "--trace-event-file-pattern",
        "--report-dir",
        "--report-directory",
        "--report-filename",
        "--report-signal",
        "--watch-path",
        "--test-reporter",
        "--test-name-pattern",
        "--disable-warning",
        "--dns-result-order",
        "--unhandled-rejections",
        "--tls-cipher-list",
        "--heapsnapshot-signal",
        "--inspect-port",
        "--debug-port",
        "--secure-heap",
        "--secure-heap-min",
        "--v8-pool-size",
        "--localstorage-file",
        "--experimental-config-file",
        "--cpu-prof-dir",
        "--heap-prof-dir",
    ],
    last: &["-e", "--eval", "-p", "--print", "-pe"],
    clustered: false,
};

/// Subcommands of Bun and Deno that stand before the script.
const SUBCOMMANDS: &[&str] = &["run", "serve", "x", "task", "start", "dev"];

/// Scripts that run the project around them and are none of it.
const TOOLS: &[&str] = &[
    "npm",
    "npm-cli",
    "npx",
    "npx-cli",
    "yarn",
    "yarnpkg",
    "pnpm",
    "pnpx",
    "corepack",
    "pm2",
    "pm2-runtime",
    "pm2-docker",
    "ProcessContainer",
    "ProcessContainerFork",
    "Daemon",
    "next",
    "nuxt",
    "nuxi",
    "nest",
    "vite",
    "remix",
    "remix-serve",
    "astro",
    "ts-node",
    "ts-node-dev",
    "ts-node-esm",
    "tsx",
    "nodemon",
    "babel-node",
    "turbo",
    "nx",
    "lerna",
    "react-scripts",
    "serve",
    "http-server",
    "forever",
    "strapi",
    "medusa",
    "gatsby",
    "ng",
    "wrangler",
    "moleculer-runner",
    "concurrently",
    "cross-env",
    "dotenv",
    "start-server-and-test",
];

pub(super) fn hint(launch: &Launch<'_>) -> Hint {
    if let Some(name) = pm2(launch) {
        return Some(name).into();
    }
    let words: Vec<String>;
    let args = match launch.title() {
        // pm2 writes `node script`, npm and Next.js their own names.
        Some(title) => match title.strip_prefix("node ") {
            Some(rest) => {
                words = rest.split_whitespace().map(str::to_owned).collect();
                &words
            }
            None => return project(launch, launch.cwd.map(PathBuf::from)).into(),
        },
        None => launch.arguments(),
    };
    let parsed = NODE.parse(args);
    let operands = match parsed.operands.first() {
        Some(first) if launch.program != "node" && SUBCOMMANDS.contains(&first.as_str()) => {
            NODE.parse(parsed.operands.get(1..).unwrap_or_default())
                .operands
        }
        _ => parsed.operands,
    };
    match operands.first() {
        Some(script) if parsed.last.is_none() => of_script(launch, script),
        _ => project(launch, launch.cwd.map(PathBuf::from)).into(),
    }
}

fn of_script(launch: &Launch<'_>, script: &str) -> Hint {
    let stem = folder::stem(script);
    if TOOLS.contains(&stem) {
        return project(launch, launch.cwd.map(PathBuf::from)).into();
    }
    let start = match script.split_once("/node_modules/") {
        // A dependency of the project that holds it; a global one says nothing of a project.
        Some((project, _)) if !project.ends_with("/lib") => launch.full(project),
        Some(_) => launch.cwd.map(PathBuf::from),
        // Without an ending it may be a folder.
        None if stem == folder::file(script) => launch.full(script),
        None => launch.folder_of(script),
    };
    let package = start
        .as_deref()
        .and_then(|start| manifest::node(launch, start));
    if package.is_some() {
        return package.into();
    }
    if let Some(name) = npm(launch) {
        return Some(name).into();
    }
    if script.contains("/node_modules/") || matches!(stem, "." | "..") {
        return start.as_deref().and_then(super::in_folder).into();
    }
    Hint::of_file(stem, launch.folder_of(script).as_deref(), "script")
}

/// The project in or above a folder.
fn project(launch: &Launch<'_>, folder: Option<PathBuf>) -> Option<Name> {
    let folder = folder.as_deref();
    folder
        .and_then(|folder| manifest::node(launch, folder))
        .or_else(|| npm(launch))
        .or_else(|| super::in_folder(folder?))
}

/// What pm2 was told to call the application. Its default is the script's stem.
fn pm2(launch: &Launch<'_>) -> Option<Name> {
    launch.environment.value("pm_id")?;
    let name = launch.environment.value("name").unwrap_or_default();
    let script = launch.environment.value("pm_exec_path").unwrap_or_default();
    if folder::is_telling(name) && name != folder::stem(script) {
        return Name::from_text(name, "pm2");
    }
    manifest::node(launch, &launch.folder_of(script)?)
}

/// What npm says to the scripts it runs.
fn npm(launch: &Launch<'_>) -> Option<Name> {
    let name = launch.environment.value("npm_package_name")?;
    let version = launch.environment.value("npm_package_version");
    Some(Name {
        version: version.and_then(folder::clean),
        ..Name::from_text(name, "npm")?
    })
}
