//! What a client sends and what both sides must have seen: a kind and a number go in. Clients know
//! the same by themselves (`tests/workloads/README.md`), so nobody is told what to answer.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

/// Numbers of remote calls' methods: more than are open at once.
const METHODS: usize = 100;

/// Kinds of requests that a row's client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// GET and POST, with an id in the path.
    Http,
    /// The same, by clients that cannot mix methods.
    Get,
    /// Remote calls of five methods, each with a number.
    Grpc,
}

impl Kind {
    /// By its name in a manifest.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "http" => Self::Http,
            "get" => Self::Get,
            "grpc" => Self::Grpc,
            _ => bail!("there are no requests of the kind `{name}`"),
        })
    }
}

/// A request as a span tells it: method, path, status.
pub(super) type Told = (String, String, String);

/// The requests of a run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    /// The service calls another for some of them.
    pub(super) calls: bool,
    pub(super) count: usize,
    /// What ids begin with.
    pub(super) mark: String,
}

impl Plan {
    /// How often each request is sent.
    pub(super) fn sent(&self) -> BTreeMap<Told, usize> {
        counted((0..self.count).map(|number| self.told(number)))
    }

    /// What the service itself asks for: nothing, the same again (`proxy`), or `/items/ID` for
    /// every `/call/ID`.
    pub(super) fn called(&self, proxy: bool) -> BTreeMap<Told, usize> {
        if proxy {
            return self.sent();
        }
        let asked = (0..self.count).filter(|number| self.calls && number % 5 == 4);
        counted(asked.map(|number| match self.kind {
            Kind::Http | Kind::Get => told("GET", &format!("/items/{}", self.id(number)), "200"),
            Kind::Grpc => told("", &format!("/shop.Shop/Get{}", number % METHODS), "0"),
        }))
    }

    fn told(&self, number: usize) -> Told {
        if self.kind == Kind::Grpc {
            return self.remote(number);
        }
        let (method, verb, status) = match number % 5 {
            0 => ("GET", "items", "200"),
            1 if self.kind == Kind::Http => ("POST", "items", "201"),
            1 => ("GET", "items", "200"),
            2 => ("GET", "missing", "404"),
            3 => ("GET", "broken", "500"),
            _ if self.calls => ("GET", "call", "200"),
            _ => ("GET", "items", "200"),
        };
        told(method, &format!("/{verb}/{}", self.id(number)), status)
    }

    fn remote(&self, number: usize) -> Told {
        let (method, status) = match number % 5 {
            0 => ("Get", "0"),
            1 => ("List", "0"),
            2 => ("Find", "5"),
            3 => ("Fail", "13"),
            _ if self.calls => ("Call", "0"),
            _ => ("Chat", "0"),
        };
        let path = format!("/shop.Shop/{method}{}", number % METHODS);
        told("", &path, status)
    }

    fn id(&self, number: usize) -> String {
        format!("{}n{number}", self.mark)
    }
}

fn told(method: &str, path: &str, status: &str) -> Told {
    (method.to_owned(), path.to_owned(), status.to_owned())
}

fn counted(all: impl Iterator<Item = Told>) -> BTreeMap<Told, usize> {
    let mut counts = BTreeMap::new();
    for told in all {
        *counts.entry(told).or_default() += 1;
    }
    counts
}

/// The id of a request by its path: the second segment, or the number of a remote call's method.
pub(super) fn id_of(path: &str) -> &str {
    match path.strip_prefix("/shop.Shop/") {
        Some(method) => method.trim_start_matches(|c: char| c.is_ascii_alphabetic()),
        None => path.split('/').nth(2).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, calls: bool, want: &[&str]) {
        let mark = "c8".to_owned();
        let plan = Plan {
            kind,
            calls,
            count: 5,
            mark,
        };
        let found: Vec<String> = (0..5)
            .map(|number| {
                let (method, path, status) = plan.told(number);
                format!("{method} {path} {status}")
            })
            .collect();
        assert_eq!(found, want);
    }

    #[test]
    fn kinds_of_requests() {
        let http = [
            "GET /items/c8n0 200",
            "POST /items/c8n1 201",
            "GET /missing/c8n2 404",
            "GET /broken/c8n3 500",
            "GET /call/c8n4 200",
        ];
        check(Kind::Http, true, &http);
        let get = [
            http[0],
            "GET /items/c8n1 200",
            http[2],
            http[3],
            "GET /items/c8n4 200",
        ];
        check(Kind::Get, false, &get);
        let remote = [
            " /shop.Shop/Get0 0",
            " /shop.Shop/List1 0",
            " /shop.Shop/Find2 5",
            " /shop.Shop/Fail3 13",
            " /shop.Shop/Chat4 0",
        ];
        check(Kind::Grpc, false, &remote);
        assert!(Kind::parse("dance").is_err());
    }

    #[test]
    fn calls_are_known_by_their_ids() {
        for kind in [Kind::Http, Kind::Grpc] {
            let plan = Plan {
                kind,
                calls: true,
                count: 10,
                mark: "x".to_owned(),
            };
            assert_eq!(plan.called(false).len(), 2);
            assert_eq!(plan.called(true), plan.sent());
            for (_, path, _) in plan.called(false).keys() {
                let same =
                    |(_, other, _): &&Told| other.contains("all") && id_of(other) == id_of(path);
                assert_eq!(plan.sent().keys().filter(same).count(), 1, "{path}");
            }
        }
    }
}
