//! What was seen of what was sent: spans of a run and its plan go in, counts come out.

use std::collections::{BTreeMap, HashMap};

use super::plan::{Plan, Told, id_of};
use crate::truth::spans::{Side, Span};

/// Longest chain of parents that is followed.
const LONGEST: usize = 8;
/// Wrong spans and links that are told.
const TOLD: usize = 4;

/// The processes of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Families {
    pub(super) client: Vec<u32>,
    pub(super) server: Vec<u32>,
}

/// Requests seen from one side.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    /// Requests that there should be.
    pub(super) sent: usize,
    /// Spans of requests.
    pub(super) spans: usize,
    /// Those whose method and path is that of a request, each request once.
    pub(super) paths: usize,
    /// Those with the right status, too.
    pub(super) right: usize,
    /// Spans that stand for a connection, nothing of which was readable.
    pub(super) opaque: usize,
}

impl Seen {
    /// Every request is one span that says the same, and there are no others.
    pub(super) const fn is_whole(&self) -> bool {
        self.spans == self.sent && self.right == self.sent
    }
}

/// Links of one kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Links {
    pub(super) expected: usize,
    pub(super) right: usize,
    pub(super) wrong: usize,
}

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Verdict {
    /// The server's spans.
    pub(super) server: Seen,
    /// The client's spans.
    pub(super) client: Seen,
    /// The calls that the service made itself.
    pub(super) calls: Seen,
    /// From the server's span to the client's, over the connection.
    pub(super) pairs: Links,
    /// From a call of the service to the request that caused it.
    pub(super) parents: Links,
    /// The first wrong spans, in words.
    pub(super) told: Vec<String>,
    /// The first wrong links.
    pub(super) links: Vec<String>,
}

impl Verdict {
    /// Spans of all sides so far.
    pub(super) const fn spans(&self) -> usize {
        self.server.spans
            + self.client.spans
            + self.calls.spans
            + self.server.opaque
            + self.client.opaque
    }

    /// Spans that there should be.
    pub(super) const fn expected(&self) -> usize {
        self.server.sent + self.client.sent + self.calls.sent
    }
}

/// Judges the spans of a run.
pub(super) fn judge(spans: &[Span], plan: &Plan, proxy: bool, families: &Families) -> Verdict {
    let mut verdict = Verdict::default();
    let sent = plan.sent();
    let called = plan.called(proxy);
    let of = |family: &[u32], side: Side| -> Vec<&Span> {
        spans
            .iter()
            .filter(|span| !span.inner && span.side == side && family.contains(&span.process))
            .collect()
    };
    let servers = of(&families.server, Side::Server);
    let clients = of(&families.client, Side::Client);
    let calls = of(&families.server, Side::Client);
    verdict.server = seen(&servers, &sent, &mut verdict.told);
    verdict.client = seen(&clients, &sent, &mut verdict.told);
    verdict.calls = seen(&calls, &called, &mut verdict.told);
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    verdict.pairs.expected = plan.count;
    for span in servers.iter().filter(|span| !span.path.is_empty()) {
        let wanted = |parent: &Span| families.client.contains(&parent.process);
        let same = |parent: &Span| parent.path == span.path;
        verdict
            .pairs
            .add(span, &by_id, wanted, same, &mut verdict.links);
    }
    verdict.parents.expected = called.values().sum();
    // Where the path is unknown nobody can say whose it is.
    for span in calls.iter().filter(|span| !span.path.is_empty()) {
        let wanted = |parent: &Span| {
            parent.side == Side::Server
                && families.server.contains(&parent.process)
                && !parent.inner
        };
        let same = |parent: &Span| id_of(&parent.path) == id_of(&span.path);
        verdict
            .parents
            .add(span, &by_id, wanted, same, &mut verdict.links);
    }
    verdict
}

fn is_request(span: &Span) -> bool {
    !span.path.is_empty() || !span.status.is_empty() || !span.method.is_empty()
}

fn seen(spans: &[&Span], sent: &BTreeMap<Told, usize>, told: &mut Vec<String>) -> Seen {
    let mut left = sent.clone();
    let mut paths: BTreeMap<(String, String), usize> = BTreeMap::new();
    for ((method, path, _), count) in sent {
        *paths.entry((method.clone(), path.clone())).or_default() += count;
    }
    let mut found = Seen {
        sent: sent.values().sum(),
        ..Seen::default()
    };
    for span in spans {
        if !is_request(span) {
            found.opaque += 1;
            continue;
        }
        found.spans += 1;
        // A remote call's span may say which method of HTTP carried it.
        let remote = span.path.starts_with("/shop.Shop/");
        let method = if remote { "" } else { span.method.as_str() };
        let what = (method.to_owned(), span.path.clone());
        found.paths += usize::from(take(&mut paths, &what));
        let what = (what.0, what.1, code(&span.status).to_owned());
        if take(&mut left, &what) {
            found.right += 1;
        } else if told.len() < TOLD {
            told.push(format!("{what:?} was not sent, or is there twice"));
        }
    }
    found
}

/// One less of it; false if there was none.
fn take<K: Ord>(counts: &mut BTreeMap<K, usize>, what: &K) -> bool {
    match counts.get_mut(what) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

/// The number of a remote call's status that is told by its name.
fn code(status: &str) -> &str {
    match status {
        "OK" => "0",
        "NOT_FOUND" => "5",
        "INTERNAL" => "13",
        other => other,
    }
}

impl Links {
    fn add(
        &mut self,
        span: &Span,
        by_id: &HashMap<&str, &Span>,
        wanted: impl Fn(&Span) -> bool,
        same: impl Fn(&Span) -> bool,
        told: &mut Vec<String>,
    ) {
        let mut parent = span.parent.as_str();
        for _ in 0..LONGEST {
            let Some(found) = by_id.get(parent) else {
                return;
            };
            if wanted(found) {
                if same(found) && found.trace == span.trace {
                    self.right += 1;
                    return;
                }
                self.wrong += 1;
                if told.len() < TOLD {
                    told.push(format!(
                        "{} stands under {} by {}",
                        span.path, found.path, span.evidence
                    ));
                }
                return;
            }
            parent = found.parent.as_str();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Kind;
    use super::*;

    const CLIENT: u32 = 1;
    const SERVER: u32 = 2;

    fn span(id: &str, parent: &str, process: u32, side: Side, what: &str) -> Span {
        let mut words = what.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        Span {
            id: id.into(),
            parent: parent.into(),
            process,
            side,
            method: word(),
            path: word(),
            status: word(),
            ..Span::default()
        }
    }

    fn check(spans: &[Span]) -> Verdict {
        let plan = Plan {
            kind: Kind::Http,
            calls: true,
            count: 5,
            mark: "x".to_owned(),
        };
        let families = Families {
            client: vec![CLIENT],
            server: vec![SERVER],
        };
        judge(spans, &plan, false, &families)
    }

    #[test]
    fn counts_what_is_right() {
        let spans = [
            span("a", "", CLIENT, Side::Client, "GET /call/xn4 200"),
            span("b", "a", SERVER, Side::Server, "GET /call/xn4 200"),
            span("c", "b", SERVER, Side::Client, "GET /items/xn4 200"),
            // seen twice, a wrong status, an unknown path, and a connection
            span("d", "", SERVER, Side::Server, "GET /call/xn4 200"),
            span("e", "", SERVER, Side::Server, "GET /missing/xn2 200"),
            span("f", "", SERVER, Side::Server, "GET /missing/yn2 404"),
            span("g", "", SERVER, Side::Server, ""),
        ];
        let found = check(&spans);
        let server = &found.server;
        assert_eq!((server.sent, server.spans, server.opaque), (5, 4, 1));
        assert_eq!((server.paths, server.right), (2, 1));
        assert_eq!((found.calls.sent, found.calls.right), (1, 1));
        assert_eq!((found.pairs.right, found.pairs.wrong), (1, 0));
        assert_eq!((found.parents.right, found.parents.wrong), (1, 0));
        assert!(!found.server.is_whole() && found.calls.is_whole());
    }

    #[test]
    fn wrong_links_are_wrong() {
        let spans = [
            span("a", "", CLIENT, Side::Client, "GET /items/xn0 200"),
            span("b", "a", SERVER, Side::Server, "GET /call/xn4 200"),
            span("o", "", SERVER, Side::Server, "GET /call/xn9 200"),
            span("c", "o", SERVER, Side::Client, "GET /items/xn4 200"),
        ];
        let found = check(&spans);
        assert_eq!((found.pairs.right, found.pairs.wrong), (0, 1));
        assert_eq!((found.parents.right, found.parents.wrong), (0, 1));
    }

    #[test]
    fn names_of_statuses_are_their_numbers() {
        assert_eq!(code("NOT_FOUND"), "5");
        assert_eq!(code("404"), "404");
    }
}
