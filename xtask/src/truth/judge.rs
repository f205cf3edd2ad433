//! Which parents are right: the spans of a run and its plan go in, counts come out. An id stands
//! in each path, so a span tells by itself to which request it belongs; weft never looks at it.

use std::collections::{BTreeMap, HashMap};

use super::plan::{Plan, id_of};
use super::spans::{Side, Span};

/// Wrong links that are told; all are counted.
const TOLD: usize = 5;
/// Longest chain of parents that is followed.
const LONGEST: usize = 8;

/// Links of one kind.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Links {
    /// Links that there should be.
    pub(super) expected: usize,
    /// Both ends belong to one request.
    pub(super) right: usize,
    /// They do not.
    pub(super) wrong: usize,
    /// The parent never left the agent, or its path was not seen.
    pub(super) lost: usize,
    /// Spans without a parent.
    pub(super) none: usize,
    /// Links by their evidence.
    pub(super) evidence: BTreeMap<String, usize>,
    /// The first wrong and lost ones, in words.
    pub(super) told: Vec<String>,
}

impl Links {
    /// Right links of those made, %; all when none was made.
    pub(super) fn precision(&self) -> f64 {
        percent(self.right, self.right + self.wrong)
    }

    /// Right links of those that should be, %.
    pub(super) fn recall(&self) -> f64 {
        percent(self.right, self.expected)
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Verdict {
    /// Spans that there should be: each request once, each call from both sides.
    pub(super) expected: usize,
    /// Spans that there are.
    pub(super) seen: usize,
    /// From a call to the request that caused it, inside the service.
    pub(super) calls: Links,
    /// From the upstream's request to the call, over the connection.
    pub(super) pairs: Links,
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 100.0;
    }
    100.0 * part as f64 / whole as f64
}

/// How the path begins by which a service calls itself.
const HOP: &str = "/hop/";

/// The calls of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Calls {
    /// Those that reached the upstream.
    pub(super) upstream: usize,
    /// Calls of the service to itself before each.
    pub(super) hops: usize,
    /// Statements that it gave to a database for each: seen from its side alone.
    pub(super) statements: usize,
}

/// Judges the spans of a service that made `made` calls; the upstream is process `upstream`.
pub(super) fn judge(spans: &[Span], plan: &Plan, made: Calls, upstream: u32) -> Verdict {
    let calls = made.upstream * (1 + made.hops);
    let statements = made.upstream * made.statements;
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    let mut verdict = Verdict {
        expected: plan.count + 2 * calls + statements,
        ..Verdict::default()
    };
    verdict.calls.expected = calls + statements;
    verdict.pairs.expected = calls;
    let ours = |span: &&Span| !span.inner && plan.owns(id_of(&span.path));
    for span in spans.iter().filter(ours) {
        verdict.seen += 1;
        let (links, want) = match (span.process == upstream, span.side) {
            (false, Side::Server) if span.path.starts_with(HOP) => {
                (&mut verdict.pairs, Side::Client)
            }
            (false, Side::Server) => continue,
            (false, Side::Client) => (&mut verdict.calls, Side::Server),
            (true, Side::Server) => (&mut verdict.pairs, Side::Client),
            (true, Side::Client) => continue,
        };
        let wanted = |parent: &Span| parent.side == want && parent.process != upstream;
        // over a connection it is one request: the whole path is the same
        let same = |parent: &Span| {
            let path = span.side == Side::Client || parent.path == span.path;
            path && id_of(&parent.path) == id_of(&span.path) && parent.trace == span.trace
        };
        links.add(span, ancestor(span, &by_id, wanted), same);
    }
    verdict
}

/// Where a chain of parents leads.
enum Found<'a> {
    /// To such a span as was looked for.
    Ancestor(&'a Span),
    /// To other spans only.
    Elsewhere,
    /// To a span that is not there.
    Lost,
    /// The span has no parent.
    Nothing,
}

/// The nearest ancestor that is `wanted`.
fn ancestor<'a>(
    span: &Span,
    by_id: &HashMap<&str, &'a Span>,
    wanted: impl Fn(&Span) -> bool,
) -> Found<'a> {
    if span.parent.is_empty() {
        return Found::Nothing;
    }
    let mut parent = span.parent.as_str();
    for _ in 0..LONGEST {
        if parent.is_empty() {
            break;
        }
        let Some(found) = by_id.get(parent) else {
            return Found::Lost;
        };
        if wanted(found) {
            return Found::Ancestor(found);
        }
        parent = found.parent.as_str();
    }
    Found::Elsewhere
}

impl Links {
    fn add(&mut self, span: &Span, found: Found<'_>, same: impl Fn(&Span) -> bool) {
        if matches!(found, Found::Nothing) {
            self.none += 1;
            return;
        }
        *self.evidence.entry(span.evidence.clone()).or_default() += 1;
        let under = match found {
            Found::Ancestor(parent) if same(parent) => {
                self.right += 1;
                return;
            }
            Found::Lost => {
                self.lost += 1;
                "a span that is not there"
            }
            // Nothing tells to whom it belongs: of HTTP/2 whose table began before weft.
            Found::Ancestor(parent) if parent.path.is_empty() => {
                self.lost += 1;
                "a span without a path"
            }
            Found::Ancestor(parent) => {
                self.wrong += 1;
                parent.path.as_str()
            }
            Found::Elsewhere | Found::Nothing => {
                self.wrong += 1;
                "no such span as it should be"
            }
        };
        if self.told.len() < TOLD {
            let (path, evidence) = (&span.path, &span.evidence);
            self.told
                .push(format!("{path} under {under} by {evidence}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: u32 = 1;
    const UPSTREAM: u32 = 2;

    fn span(id: &str, parent: &str, side: Side, process: u32, path: &str) -> Span {
        Span {
            id: id.into(),
            parent: parent.into(),
            side,
            process,
            path: path.into(),
            evidence: if parent.is_empty() { "" } else { "thread" }.into(),
            ..Span::default()
        }
    }

    fn made(upstream: usize, hops: usize, statements: usize) -> Calls {
        Calls {
            upstream,
            hops,
            statements,
        }
    }

    #[test]
    fn statements_are_calls_without_another_end() {
        let spans = [
            span("a", "", Side::Server, SERVICE, "/work/xn0"),
            span("b", "a", Side::Client, SERVICE, "/leaf/xn0/1"),
            span("c", "a", Side::Client, SERVICE, "/leaf/xn0/1"),
            span("d", "c", Side::Server, UPSTREAM, "/leaf/xn0/1"),
        ];
        let plan = Plan::new(&["work".to_owned()], 1, "x").expect("there is such a kind");
        let verdict = judge(&spans, &plan, made(1, 0, 1), UPSTREAM);
        assert_eq!((verdict.seen, verdict.expected), (4, 4));
        assert_eq!((verdict.calls.right, verdict.calls.expected), (2, 2));
        assert_eq!((verdict.pairs.right, verdict.pairs.expected), (1, 1));
    }

    /// Two requests to `/work`, and what became of their calls.
    fn check(calls: &[Span], want: (usize, usize, usize)) {
        let mut spans = vec![
            span("a", "", Side::Server, SERVICE, "/work/xn0"),
            span("b", "", Side::Server, SERVICE, "/work/xn1"),
        ];
        spans.extend_from_slice(calls);
        let plan = Plan::new(&["work".to_owned()], 2, "x").expect("there is such a kind");
        let links = judge(&spans, &plan, made(2, 0, 0), UPSTREAM).calls;
        assert_eq!((links.right, links.wrong, links.none), want, "{links:?}");
        assert_eq!(links.expected, 2);
    }

    #[test]
    fn tells_right_from_wrong_by_ids() {
        let call = |parent, path| span("c", parent, Side::Client, SERVICE, path);
        check(&[], (0, 0, 0));
        check(&[call("a", "/leaf/xn0/1")], (1, 0, 0));
        check(&[call("b", "/leaf/xn0/1")], (0, 1, 0));
        check(&[call("", "/leaf/xn0/1")], (0, 0, 1));
        // its parent was lost, which is no wrong link
        check(&[call("gone", "/leaf/xn0/1")], (0, 0, 0));
        check(
            &[
                call("r", "/leaf/xn0/1"),
                span("r", "", Side::Client, SERVICE, "/x"),
            ],
            (0, 1, 0),
        );
        // not of this run, not a call
        check(
            &[
                call("a", "/leaf/yn0/1"),
                span("d", "a", Side::Server, SERVICE, "/leaf/xn0/1"),
            ],
            (0, 0, 0),
        );
    }

    #[test]
    fn follows_chains_but_not_for_ever() {
        let middle = span("m", "a", Side::Client, SERVICE, "/step");
        check(
            &[span("c", "m", Side::Client, SERVICE, "/leaf/xn0/1"), middle],
            (1, 0, 0),
        );
        let round = span("m", "m", Side::Client, SERVICE, "/step");
        check(
            &[span("c", "m", Side::Client, SERVICE, "/leaf/xn0/1"), round],
            (0, 1, 0),
        );
    }

    #[test]
    fn a_parent_in_another_trace_is_wrong() {
        let mut call = span("c", "a", Side::Client, SERVICE, "/leaf/xn0/1");
        call.trace = "other".into();
        check(&[call], (0, 1, 0));
    }

    #[test]
    fn a_service_that_calls_itself_is_judged_at_each_hop() {
        let spans = [
            span("a", "", Side::Server, SERVICE, "/work/xn0"),
            span("b", "a", Side::Client, SERVICE, "/hop/xn0/1"),
            span("c", "b", Side::Server, SERVICE, "/hop/xn0/1"),
            span("d", "c", Side::Client, SERVICE, "/leaf/xn0/1"),
            span("e", "d", Side::Server, UPSTREAM, "/leaf/xn0/1"),
            // of another call of the same request
            span("f", "b", Side::Server, SERVICE, "/hop/xn0/2"),
        ];
        let plan = Plan::new(&["work".to_owned()], 1, "x").expect("there is such a kind");
        let verdict = judge(&spans, &plan, made(1, 1, 0), UPSTREAM);
        assert_eq!(verdict.expected, 5);
        assert_eq!((verdict.calls.right, verdict.calls.expected), (2, 2));
        assert_eq!((verdict.pairs.right, verdict.pairs.wrong), (2, 1));
    }

    #[test]
    fn a_parent_without_a_path_is_neither_right_nor_wrong() {
        let spans = [
            span("a", "", Side::Server, SERVICE, "/work/xn0"),
            span("d", "a", Side::Client, SERVICE, ""),
            span("e", "d", Side::Server, UPSTREAM, "/leaf/xn0/1"),
        ];
        let plan = Plan::new(&["work".to_owned()], 1, "x").expect("there is such a kind");
        let pairs = judge(&spans, &plan, made(1, 0, 0), UPSTREAM).pairs;
        assert_eq!((pairs.right, pairs.wrong, pairs.lost), (0, 0, 1));
    }

    #[test]
    fn nothing_linked_is_nothing_wrong() {
        let links = Links {
            expected: 4,
            none: 4,
            ..Links::default()
        };
        assert_eq!((links.precision(), links.recall()), (100.0, 0.0));
        let links = Links {
            expected: 4,
            right: 1,
            wrong: 1,
            ..Links::default()
        };
        assert_eq!((links.precision(), links.recall()), (50.0, 25.0));
    }
}
