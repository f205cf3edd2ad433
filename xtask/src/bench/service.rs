//! The services that are measured: folders of `tests/workloads`, what is asked of them, and what of
//! this machine they need in a guest. Not here: how they are measured.

use std::path::PathBuf;
use std::process::Command;

use crate::workspace;

/// What answers the calls of the services.
pub(super) const UPSTREAM: &str = "go-http";

/// Switches the probes of all runtimes off, or back to what is usual.
pub(super) const TASKS: [&str; 6] = [
    "WEFT_TASKS__GO",
    "WEFT_TASKS__PYTHON",
    "WEFT_TASKS__NODE",
    "WEFT_TASKS__RUST",
    "WEFT_TASKS__NGINX",
    "WEFT_TASKS__HAPROXY",
];

/// A service under load.
#[derive(Debug, PartialEq)]
pub(super) struct Service {
    /// Its name in the tables.
    pub(super) name: &'static str,
    /// Folder of `tests/workloads`.
    pub(super) folder: &'static str,
    /// Its environment.
    pub(super) variables: &'static [(&'static str, &'static str)],
    /// Who asks.
    pub(super) client: Client,
    /// What it is asked for. Behind a path with an id it makes one call to the upstream.
    pub(super) path: &'static str,
    /// Open connections of the client.
    pub(super) connections: u32,
    /// Length of a round in a guest, seconds of the guest, of which each takes some ten of this
    /// machine. Some thousand requests, or what is given to the start of anything is too much.
    pub(super) seconds: u32,
    /// The same for the round before, which is not counted: compilers of the runtime and caches.
    pub(super) warm_up: u32,
    /// What it needs of this machine besides its folder.
    pub(super) needs: Needs,
}

/// Who asks a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// wrk, HTTP/1.1.
    Wrk,
    /// wrk over TLS.
    WrkTls,
    /// h2load, remote calls with an empty message; ten at once on each connection.
    Remote,
}

/// What of this machine a service needs in a guest.
#[derive(Debug, PartialEq)]
pub(super) enum Needs {
    /// It is not measured in guests.
    Native,
    /// Its program is static.
    Nothing,
    /// This program on PATH, and its libraries.
    Program(&'static str),
    /// The libraries of this program in its own folder.
    Own(&'static str),
    /// This program of the Python environment, and modules with all that they load.
    Python(&'static str, &'static [&'static str]),
}

const fn plain(name: &'static str, seconds: u32, needs: Needs) -> Service {
    Service {
        name,
        folder: name,
        variables: &[],
        client: Client::Wrk,
        path: "/",
        connections: 8,
        seconds,
        warm_up: 1,
        needs,
    }
}

const fn calls(
    name: &'static str,
    folder: &'static str,
    seconds: u32,
    warm_up: u32,
    needs: Needs,
) -> Service {
    Service {
        name,
        folder,
        variables: &[],
        client: Client::Wrk,
        path: "/work/bench",
        connections: 16,
        seconds,
        warm_up,
        needs,
    }
}

const fn encrypted(
    name: &'static str,
    folder: &'static str,
    variables: &'static [(&'static str, &'static str)],
) -> Service {
    Service {
        folder,
        variables,
        client: Client::WrkTls,
        path: "/items/1",
        ..plain(name, 1, Needs::Native)
    }
}

const NODE: Needs = Needs::Program("node");

/// All of them, in the order of the tables.
pub(super) const SERVICES: [Service; 19] = [
    plain("nginx-static", 1, Needs::Program("nginx")),
    plain("go-http", 1, Needs::Nothing),
    Service {
        warm_up: 4,
        ..plain("express", 2, NODE)
    },
    Service {
        connections: 4,
        ..plain(
            "flask-threads",
            2,
            Needs::Python(
                "gunicorn",
                &["gunicorn.app.wsgiapp", "gunicorn.workers.gthread", "shop"],
            ),
        )
    },
    calls("go-call", "go-jobs", 1, 1, Needs::Nothing),
    Service {
        path: "/one",
        ..plain("go-sql", 1, Needs::Nothing)
    },
    calls(
        "flask-call",
        "flask-threads",
        2,
        1,
        Needs::Python(
            "gunicorn",
            &["gunicorn.app.wsgiapp", "gunicorn.workers.gthread", "shop"],
        ),
    ),
    calls(
        "aiohttp-call",
        "aiohttp",
        2,
        1,
        Needs::Python("python", &["server"]),
    ),
    calls(
        "fastapi-call",
        "fastapi",
        3,
        1,
        Needs::Python(
            "uvicorn",
            &[
                "uvicorn",
                "uvicorn.loops.asyncio",
                "uvicorn.protocols.http.h11_impl",
                "uvicorn.lifespan.on",
                "app",
            ],
        ),
    ),
    calls(
        "gevent-call",
        "gevent",
        2,
        1,
        Needs::Python(
            "gunicorn",
            &["gunicorn.app.wsgiapp", "gunicorn.workers.ggevent", "shop"],
        ),
    ),
    Service {
        variables: &[("STYLE", "express")],
        ..calls("express-call", "node-calls", 2, 15, NODE)
    },
    Service {
        variables: &[("STYLE", "fetch")],
        ..calls("fetch-call", "node-calls", 2, 15, NODE)
    },
    calls(
        "axum-call",
        "tokio",
        1,
        1,
        Needs::Own("target/release/orders"),
    ),
    Service {
        path: "/leaf/bench/1",
        ..calls("nginx-proxy", "nginx-proxy", 1, 1, Needs::Program("nginx"))
    },
    Service {
        path: "/leaf/bench/1",
        ..calls("haproxy", "haproxy", 1, 1, Needs::Program("haproxy"))
    },
    encrypted("nginx-tls", "tls-nginx", &[("LISTEN", "ssl")]),
    encrypted("node-https", "tls-node", &[("MODE", "https")]),
    encrypted("go-tls", "tls-go", &[("HTTP", "1")]),
    Service {
        folder: "grpc-go",
        client: Client::Remote,
        path: "/shop.Shop/Get1",
        ..plain("grpc-go", 1, Needs::Native)
    },
];

/// Those whose names contain one of `only`, or all.
pub(super) fn chosen(only: &[String]) -> impl Iterator<Item = &'static Service> {
    let fits = move |name: &str| only.iter().any(|part| name.contains(part.as_str()));
    SERVICES
        .iter()
        .filter(move |service| only.is_empty() || fits(service.name))
}

impl Service {
    /// Where it is installed.
    pub(super) fn installed(&self) -> PathBuf {
        workspace::workloads().join(self.folder)
    }

    /// Starts it on `port`, before an upstream on `upstream`.
    pub(super) fn command(&self, port: u16, upstream: u16) -> Command {
        let mut command = Command::new(self.installed().join("run"));
        command
            .env("PORT", port.to_string())
            .env("UPSTREAM", format!("http://127.0.0.1:{upstream}"))
            .envs(self.variables.iter().copied());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_folders_are_there() {
        for service in &SERVICES {
            let same = SERVICES.iter().filter(|other| other.name == service.name);
            assert_eq!(same.count(), 1, "{}", service.name);
            let folder = workspace::workload_sources().join(service.folder);
            assert!(folder.join("run").is_file(), "{}", folder.display());
        }
    }

    #[test]
    fn chooses_by_parts_of_names() {
        let names = |only: &[String]| chosen(only).map(|s| s.name).collect::<Vec<_>>();
        assert_eq!(names(&["haproxy".to_owned()]), ["haproxy"]);
        assert_eq!(names(&[]).len(), SERVICES.len());
    }
}
