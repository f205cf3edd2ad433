//! Python, and the servers that run Python applications.

use super::options::{self, Table};
use super::{Hint, Launch, Name, folder, manifest};
use crate::discovery::runtime::without_version;
use std::path::Path;

/// Options of `python`.
const PYTHON: Table = Table {
    valued: &["-W", "-X", "-Q", "--check-hash-based-pycs"],
    last: &["-m", "-c"],
    clustered: true,
};

/// A program that runs an application which its command line names.
struct Server {
    name: &'static str,
    /// Its valued options, or it is named by options alone.
    table: Table,
    /// Options that name the application; empty: the first operand does.
    application: &'static [&'static str],
    /// Environment variable that names it otherwise.
    variable: Option<&'static str>,
}

const fn table(valued: &'static [&'static str]) -> Table {
    Table {
        valued,
        last: &[],
        clustered: true,
    }
}

const SERVERS: &[Server] = &[
    Server {
        name: "gunicorn",
        table: table(&[
            "-c",
            "--config",
            "-b",
            "--bind",
            "--backlog",
            "-w",
            "--workers",
            "-k",
            "--worker-class",
            "--threads",
            "--worker-connections",
            "--max-requests",
            "--max-requests-jitter",
            "-t",
            "--timeout",
            "--graceful-timeout",
            "--keep-alive",
            "--limit-request-line",
            "--limit-request-fields",
            "--limit-request-field_size",
            "--reload-engine",
            "--reload-extra-file",
            "--chdir",
            "-e",
            "--env",
            "-p",
            "--pid",
            "--worker-tmp-dir",
            "-u",
            "--user",
            "-g",
            "--group",
            "-m",
            "--umask",
            "--access-logfile",
            "--access-logformat",
            "--error-logfile",
            "--log-file",
            "--log-level",
            "--logger-class",
            "--log-config",
            "--log-config-json",
            "--log-syslog-to",
            "--log-syslog-prefix",
            "--log-syslog-facility",
            "--statsd-host",
            "--dogstatsd-tags",
            "--statsd-prefix",
            "-n",
            "--name",
            "--pythonpath",
            "--paste",
            "--forwarded-allow-ips",
            "--keyfile",
            "--certfile",
            "--ssl-version",
            "--cert-reqs",
            "--ca-certs",
            "--ciphers",
            "--proxy-allow-from",
            "--paster",
            "--control-socket",
        ]),
        application: &[],
        variable: None,
    },
    Server {
        name: "uvicorn",
        table: table(&[
            "--host",
            "--port",
            "--uds",
            "--fd",
            "--reload-dir",
            "--reload-include",
            "--reload-exclude",
            "--reload-delay",
            "--workers",
            "--loop",
            "--http",
            "--ws",
            "--ws-max-size",
            "--ws-max-queue",
            "--ws-ping-interval",
            "--ws-ping-timeout",
            "--ws-per-message-deflate",
            "--lifespan",
            "--interface",
            "--env-file",
            "--log-config",
            "--log-level",
            "--forwarded-allow-ips",
            "--root-path",
            "--limit-concurrency",
            "--backlog",
            "--limit-max-requests",
            "--timeout-keep-alive",
            "--timeout-graceful-shutdown",
            "--timeout-worker-healthcheck",
            "--ssl-keyfile",
            "--ssl-certfile",
            "--ssl-keyfile-password",
            "--ssl-version",
            "--ssl-cert-reqs",
            "--ssl-ca-certs",
            "--ssl-ciphers",
            "--header",
            "--app-dir",
            "--h11-max-incomplete-event-size",
        ]),
        application: &[],
        variable: None,
    },
    Server {
        name: "hypercorn",
        table: table(&[
            "--access-log",
            "--access-logfile",
            "--access-logformat",
            "--backlog",
            "-b",
            "--bind",
            "--ca-certs",
            "--certfile",
            "--cert-reqs",
            "--ciphers",
            "-c",
            "--config",
            "--error-log",
            "--error-logfile",
            "--log-file",
            "--graceful-timeout",
            "--read-timeout",
            "--max-requests",
            "--max-requests-jitter",
            "-g",
            "--group",
            "-k",
            "--worker-class",
            "--keep-alive",
            "--keyfile",
            "--insecure-bind",
            "--log-config",
            "--log-level",
            "-p",
            "--pid",
            "--quic-bind",
            "--root-path",
            "--server-name",
            "--statsd-host",
            "--statsd-prefix",
            "-m",
            "--umask",
            "-u",
            "--user",
            "-w",
            "--workers",
            "--websocket-ping-interval",
        ]),
        application: &[],
        variable: None,
    },
    Server {
        name: "waitress-serve",
        table: table(&[
            "--host",
            "--port",
            "--listen",
            "--threads",
            "--url-prefix",
            "--ident",
            "--app",
        ]),
        application: &[],
        variable: None,
    },
    Server {
        name: "daphne",
        table: table(&[
            "-p",
            "--port",
            "-b",
            "--bind",
            "-u",
            "--unix-socket",
            "--fd",
            "-e",
            "--endpoint",
            "-v",
            "--verbosity",
            "-t",
            "--http-timeout",
            "--access-log",
            "--root-path",
            "--application-close-timeout",
            "--websocket_timeout",
            "--server-name",
        ]),
        application: &[],
        variable: None,
    },
    Server {
        name: "granian",
        table: table(&[
            "--host",
            "--port",
            "--interface",
            "--http",
            "--workers",
            "--threads",
            "--blocking-threads",
            "--runtime-threads",
            "--loop",
            "--log-level",
            "--backlog",
        ]),
        application: &[],
        variable: None,
    },
    Server {
        name: "flask",
        table: table(&[]),
        application: &["--app", "-A"],
        variable: Some("FLASK_APP"),
    },
    Server {
        name: "celery",
        table: table(&[]),
        application: &["--app", "-A"],
        variable: Some("CELERY_APP"),
    },
    Server {
        name: "uwsgi",
        table: table(&[]),
        application: &["--module", "--wsgi", "-w", "--wsgi-file", "--file"],
        variable: None,
    },
    Server {
        name: "fastapi",
        table: table(&["--host", "--port", "--root-path", "--app", "--workers"]),
        application: &[],
        variable: None,
    },
];

/// Modules of the standard library that are programs of their own.
const STANDARD: &[&str] = &["http.server", "smtpd", "xmlrpc.server", "pydoc"];

/// A program that is a server for Python applications without being called `python`.
pub(super) fn is_server(program: &str) -> bool {
    server(program).is_some()
}

fn server(name: &str) -> Option<&'static Server> {
    let name = name.strip_suffix("-script").unwrap_or(name);
    SERVERS
        .iter()
        .find(|server| server.name == without_version(name))
}

/// A worker that `multiprocessing` started as a program of its own.
pub(super) fn continues_parent(launch: &Launch<'_>) -> bool {
    let parsed = PYTHON.parse(launch.arguments());
    parsed
        .last
        .is_some_and(|(option, code)| option == "-c" && code.contains("from multiprocessing."))
}

pub(super) fn hint(launch: &Launch<'_>) -> Hint {
    if let Some(title) = launch.title() {
        return of_title(launch, title);
    }
    if let Some(server) = server(launch.program) {
        return of_server(launch, server, launch.arguments());
    }
    let parsed = PYTHON.parse(launch.arguments());
    match (parsed.last, parsed.operands.split_first()) {
        (Some(("-m", module)), _) => of_module(launch, module, parsed.operands),
        (None, Some((script, rest))) => of_script(launch, script, rest),
        _ => launch.cwd.and_then(super::in_folder).into(),
    }
}

/// `gunicorn: worker [shop.wsgi:app]` and what else servers write over their command line.
fn of_title(launch: &Launch<'_>, title: &str) -> Hint {
    let bracketed = title
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    match (title.split_once(':'), bracketed) {
        (Some(("gunicorn", _)), Some((application, _))) => of_application(launch, application),
        _ => of_folder(launch, launch.cwd, None),
    }
}

fn of_module(launch: &Launch<'_>, module: &str, args: &[String]) -> Hint {
    if let Some(server) = server(module.strip_suffix(".__main__").unwrap_or(module)) {
        return of_server(launch, server, args);
    }
    match module {
        "waitress" => args.iter().rfind(|arg| !arg.starts_with('-')).map_or_else(
            || of_folder(launch, launch.cwd, None),
            |application| of_application(launch, application),
        ),
        _ if STANDARD.contains(&module) => Name::from_text(module, "module").into(),
        _ => of_application(launch, module),
    }
}

fn of_server(launch: &Launch<'_>, server: &'static Server, args: &[String]) -> Hint {
    let application = if server.application.is_empty() {
        application_operand(&server.table, args)
    } else {
        options::value(args, server.application)
    };
    let variable = server
        .variable
        .and_then(|name| launch.environment.value(name));
    match application.or(variable) {
        Some(application) => of_application(launch, application),
        None => of_folder(launch, launch.cwd, None),
    }
}

/// The operand that names the application. Options that the table does not know may leave
/// their values among the operands: one with a colon is surer, then the last.
fn application_operand<'a>(table: &'static Table, args: &'a [String]) -> Option<&'a str> {
    let mut last = None;
    let mut operands = table.parse(args).operands;
    while let [first, rest @ ..] = operands {
        if is_application(first) {
            last = Some(first.as_str());
            if first.contains(':') {
                break;
            }
        }
        operands = table.parse(rest).operands;
    }
    last
}

/// `shop.wsgi:app`, `shop.wsgi`, `shop/wsgi.py`.
fn is_application(text: &str) -> bool {
    let module = text.split(':').next().unwrap_or_default();
    let mut start = module.chars();
    start
        .next()
        .is_some_and(|c| c.is_alphabetic() || matches!(c, '_' | '/' | '.'))
        && start.all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-'))
        && !text
            .split(':')
            .nth(1)
            .is_some_and(|attribute| attribute.starts_with(|c: char| c.is_ascii_digit()))
}

/// The first part of a module's path that tells something, else the folder.
fn of_application(launch: &Launch<'_>, application: &str) -> Hint {
    let module = application.split(':').next().unwrap_or_default();
    if module.contains('/') || module.ends_with(".py") {
        return of_script(launch, module, &[]);
    }
    let mut parts = module.split('.').map(str::trim);
    match parts.clone().find(|part| folder::is_telling_package(part)) {
        Some(part) => Name::from_text(part, "module").into(),
        None => of_folder(launch, launch.cwd, parts.next()),
    }
}

fn of_script(launch: &Launch<'_>, script: &str, args: &[String]) -> Hint {
    let stem = folder::stem(script);
    if let Some(server) = server(stem) {
        return of_server(launch, server, args);
    }
    let at = launch.full(script);
    // A folder with a `__main__.py`, or a script without an ending.
    let ends = folder::file(script) != stem;
    let parent = at.as_deref().map(|at| match at.parent() {
        Some(parent) if ends => parent,
        Some(parent) if !launch.files.exists(&at.join("__main__.py")) => parent,
        _ => at,
    });
    let installed = parent
        .and_then(Path::file_name)
        .is_some_and(|name| name == "bin");
    if installed && folder::is_telling(stem) {
        return Name::from_text(stem, "script").into();
    }
    match parent.and_then(|parent| manifest::python(launch, parent)) {
        Some(name) => Some(name).into(),
        None => Hint::of_file(stem, parent, "script"),
    }
}

fn of_folder(launch: &Launch<'_>, folder: Option<&Path>, last: Option<&str>) -> Hint {
    let project = folder.and_then(|folder| manifest::python(launch, folder));
    Hint {
        name: project.or_else(|| folder.and_then(super::in_folder)),
        last_resort: last.and_then(|last| Name::from_text(last, "module")),
    }
}
