//! The bench inside of a guest, where nothing can be installed: rows go in, and an error comes out
//! unless each call of theirs has its own request for a parent because the runtime's task says so.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::{Bench, Measured, holds, rows};
use crate::step;

/// Requests of a run, and how many are open at once. Guests are slow.
const REQUESTS: usize = 100;
const CONNECTIONS: usize = 8;
/// The least recall, %. A request that was under way when probes were put may be missing.
const RECALL: f64 = 80.0;
/// The only evidence there may be.
const TASK: &str = "task";

/// Measures the row of each name.
///
/// # Errors
/// When a parent is wrong, stands on anything else, or too many are missing.
pub(crate) fn run(weft: PathBuf, names: &[String]) -> Result<()> {
    let mut bench = Bench::with(weft)?;
    for row in rows::chosen(names)? {
        if names.contains(&row.name) {
            let measured = bench.measure(&row, &[CONNECTIONS], REQUESTS)?;
            by_task(&measured)?;
            step::note(format!("{}: every parent is right", row.name));
        }
    }
    Ok(())
}

fn by_task(measured: &Measured) -> Result<()> {
    holds(measured, RECALL)?;
    for run in &measured.runs {
        let evidence = &run.verdict.calls.evidence;
        if evidence.is_empty() || evidence.keys().any(|by| by != TASK) {
            bail!("parents stand on {evidence:?}, not on the runtime's tasks alone");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Run, judge::Links, judge::Verdict};
    use super::*;

    #[test]
    fn only_tasks_will_do() {
        let check = |evidence: &[(&str, usize)], wrong: usize, good: bool| {
            let named = evidence
                .iter()
                .map(|(by, count)| ((*by).to_owned(), *count));
            let calls = Links {
                expected: 10,
                right: 10,
                wrong,
                evidence: named.collect(),
                ..Links::default()
            };
            let verdict = Verdict {
                calls,
                ..Verdict::default()
            };
            let measured = Measured {
                row: rows::Row::default(),
                versions: String::new(),
                runs: vec![Run {
                    verdict,
                    ..Run::default()
                }],
            };
            assert_eq!(by_task(&measured).is_ok(), good, "{evidence:?} {wrong}");
        };
        check(&[(TASK, 10)], 0, true);
        check(&[(TASK, 10)], 1, false);
        check(&[(TASK, 9), ("thread", 1)], 0, false);
        check(&[], 0, false);
    }
}
