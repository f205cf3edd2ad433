//! Which requests are sent: a number goes in, a path with an id of its own comes out. Deterministic,
//! so that two runs ask the same.

use anyhow::{Result, bail};

/// A kind of request, and how the service answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// First segment of the path.
    pub(super) verb: &'static str,
    /// How often it comes in one cycle.
    weight: usize,
}

/// All kinds. `/VERB/ID` makes one to three calls to `/leaf/ID/STEP`, `/flaky/ID/1` and `/slow/ID/1`.
const KINDS: [Kind; 8] = [
    // a call, a wait
    Kind::new("work", 4),
    // a call, a wait, a call
    Kind::new("seq", 4),
    // three calls at once
    Kind::new("fan", 4),
    // a call under a lock that all requests share
    Kind::new("lock", 2),
    // a call that is answered 503 the first time, and tried again
    Kind::new("retry", 2),
    // a call that is given up
    Kind::new("late", 1),
    // a call that is made a moment after the answer, when other requests may be open
    Kind::new("after", 2),
    // what proxies get: the path is passed on as it is
    Kind::new("leaf", 4),
];

impl Kind {
    const fn new(verb: &'static str, weight: usize) -> Self {
        Self { verb, weight }
    }
}

/// The requests of one run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    cycle: Vec<Kind>,
    /// How many requests there are.
    pub(super) count: usize,
    /// What ids begin with; other runs against the same upstream have other marks.
    mark: String,
}

impl Plan {
    /// A mix of the kinds that a service serves.
    ///
    /// # Errors
    /// When it names one that there is not.
    pub(super) fn new(verbs: &[String], count: usize, mark: &str) -> Result<Self> {
        let mut kinds = Vec::new();
        for verb in verbs {
            match KINDS.iter().find(|kind| kind.verb == verb) {
                Some(kind) => kinds.push(*kind),
                None => bail!("there are no requests of the kind `{verb}`"),
            }
        }
        let mark = mark.to_owned();
        Ok(Self {
            cycle: mixed(&kinds),
            count,
            mark,
        })
    }

    /// The path of a request.
    pub(super) fn path(&self, number: usize) -> String {
        let verb = self.kind(number).map_or("", |kind| kind.verb);
        let step = if verb == "leaf" { "/1" } else { "" };
        format!("/{verb}/{}n{number}{step}", self.mark)
    }

    /// Is this the id of one of the requests?
    pub(super) fn owns(&self, id: &str) -> bool {
        let number = id
            .strip_prefix(self.mark.as_str())
            .and_then(|rest| rest.strip_prefix('n'))
            .and_then(|number| number.parse::<usize>().ok());
        number.is_some_and(|number| number < self.count)
    }

    fn kind(&self, number: usize) -> Option<Kind> {
        let length = self.cycle.len().max(1);
        self.cycle.get(number % length).copied()
    }
}

/// Spread out: no kind comes in one block.
fn mixed(kinds: &[Kind]) -> Vec<Kind> {
    let most = kinds.iter().map(|kind| kind.weight).max().unwrap_or(0);
    (0..most)
        .flat_map(|turn| kinds.iter().filter(move |kind| turn < kind.weight))
        .copied()
        .collect()
}

/// The id in a path: its second segment.
pub(super) fn id_of(path: &str) -> &str {
    path.split('/').nth(2).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(verbs: &[&str], count: usize) -> Result<Plan> {
        let verbs: Vec<String> = verbs.iter().map(|verb| (*verb).to_owned()).collect();
        Plan::new(&verbs, count, "c8")
    }

    #[test]
    fn paths_carry_ids_and_kinds_take_turns() -> Result<()> {
        let plan = plan(&["work", "late", "fan"], 9)?;
        let paths: Vec<String> = (0..5).map(|number| plan.path(number)).collect();
        let want = [
            "/work/c8n0",
            "/late/c8n1",
            "/fan/c8n2",
            "/work/c8n3",
            "/fan/c8n4",
        ];
        assert_eq!(paths, want);
        assert_eq!(id_of(&plan.path(4)), "c8n4");
        Ok(())
    }

    #[test]
    fn knows_its_own_ids() -> Result<()> {
        let plan = plan(&["leaf"], 3)?;
        assert_eq!(plan.path(2), "/leaf/c8n2/1");
        let check = |id, want| assert_eq!(plan.owns(id), want, "{id}");
        check("c8n2", true);
        check("c8n3", false);
        check("c64n2", false);
        check("c8n", false);
        check("", false);
        Ok(())
    }

    #[test]
    fn refuses_unknown_kinds() {
        assert!(plan(&["dance"], 1).is_err());
    }
}
