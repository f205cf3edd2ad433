//! The proof of one request: its spans as weft saw them and as the backend received them come
//! in; whether they tell the right story goes out.

use super::spans::Seen;

/// What must hold for one request.
#[derive(Debug)]
pub(super) struct Verdict {
    path: String,
    expected: u16,
    status: u16,
    chain: Option<Vec<Seen>>,
    received: bool,
}

/// Service and kind of each span on the way down.
const STORY: [(&str, &str); 3] = [
    ("frontend-api", "SERVER"),
    ("frontend-api", "CLIENT"),
    ("data-processor", "SERVER"),
];

impl Verdict {
    /// A request that was answered.
    pub(super) fn new(path: String, expected: u16, status: u16) -> Self {
        Self {
            path,
            expected,
            status,
            chain: None,
            received: false,
        }
    }

    /// Looks for the proof in all that is known by now.
    pub(super) fn judge(&mut self, seen: &[Seen], received: &[Seen]) {
        self.chain = chain(seen, &self.path);
        let arrived = |span: &Seen| received.contains(span);
        self.received = self
            .chain
            .as_ref()
            .is_some_and(|chain| chain.iter().all(arrived));
    }

    /// The answer, the chain, its errors and what the backend received are all right.
    pub(super) fn holds(&self) -> bool {
        self.answered() && self.errors_right() && self.received
    }

    fn answered(&self) -> bool {
        self.status == self.expected
    }

    fn errors_right(&self) -> bool {
        let want = self.expected >= 500;
        self.chain
            .as_ref()
            .is_some_and(|chain| chain.iter().all(|span| span.error == want))
    }
}

/// The spans of a request from the first server down, each the parent of the next.
fn chain(seen: &[Seen], path: &str) -> Option<Vec<Seen>> {
    let is =
        |span: &Seen, (service, kind): (&str, &str)| span.service == service && span.kind == kind;
    let mut found: Vec<Seen> = Vec::new();
    for step in STORY {
        let next = seen.iter().find(|span| {
            is(span, step)
                && match found.last() {
                    None => span.path == path,
                    Some(above) => span.parent == above.span && span.trace == above.trace,
                }
        })?;
        found.push(next.clone());
    }
    Some(found)
}

/// Prints the table.
pub(super) fn print(verdicts: &[Verdict]) {
    let mark = |holds: bool| if holds { "yes" } else { "NO" };
    println!(
        "    {:<28} {:<8} {:<22} {:<14} in the backend",
        "request", "answer", "server>client>server", "error status"
    );
    for verdict in verdicts {
        println!(
            "    {:<28} {:<8} {:<22} {:<14} {}",
            verdict.path,
            verdict.status,
            mark(verdict.chain.is_some()),
            mark(verdict.errors_right()),
            mark(verdict.received)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, service: &str, kind: &str, path: &str, error: bool) -> Seen {
        Seen {
            trace: "t".into(),
            span: id.into(),
            parent: parent.into(),
            service: service.into(),
            name: "GET".into(),
            kind: kind.into(),
            error,
            path: path.into(),
        }
    }

    fn story(error: bool) -> Vec<Seen> {
        vec![
            span("c", "b", "data-processor", "SERVER", "/data/a", error),
            span("b", "a", "frontend-api", "CLIENT", "", error),
            span("a", "", "frontend-api", "SERVER", "/process/a", error),
        ]
    }

    fn check(seen: &[Seen], received: &[Seen], expected: u16, status: u16) -> bool {
        let mut verdict = Verdict::new("/process/a".to_owned(), expected, status);
        verdict.judge(seen, received);
        verdict.holds()
    }

    #[test]
    fn holds_only_for_the_whole_story() {
        let whole = story(false);
        assert!(check(&whole, &whole, 200, 200));
        assert!(check(&story(true), &story(true), 500, 500));
        assert!(!check(&whole, &whole, 500, 500), "errors must be marked");
        assert!(!check(&whole, &whole, 200, 404), "the answer must be right");
        assert!(!check(&whole, &[], 200, 200), "the backend must have it");
        assert!(!check(&[], &whole, 200, 200), "weft must have seen it");
        let mut orphan = whole.clone();
        orphan[0].parent = "x".into();
        assert!(!check(&orphan, &orphan, 200, 200), "parents must be right");
        let mut altered = whole.clone();
        altered[1].name = "POST".into();
        assert!(
            !check(&whole, &altered, 200, 200),
            "both must tell the same"
        );
    }
}
