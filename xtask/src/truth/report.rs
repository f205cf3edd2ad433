//! Results in the terminal: a line for each run while the bench goes on, a table at its end.

use std::collections::BTreeMap;

use super::judge::Links;
use super::{Measured, Run};
use crate::step;

/// One run in a line, while the bench goes on.
pub(super) fn note(run: &Run) {
    let verdict = &run.verdict;
    step::note(format!(
        "at {}: {} of {} spans · calls {} · pairs {} · {}",
        run.concurrency,
        verdict.seen,
        verdict.expected,
        links(&verdict.calls),
        links(&verdict.pairs),
        counts(&run.refused, "refused"),
    ));
    for told in verdict.calls.told.iter().chain(&verdict.pairs.told) {
        step::warn(told);
    }
    if !run.summary.contains("nothing lost") {
        step::warn(&run.summary);
    }
}

fn links(links: &Links) -> String {
    let evidence: Vec<String> = links
        .evidence
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    format!(
        "{:.1} / {:.1} ({} right, {} wrong, {} lost, {} without; {})",
        links.precision(),
        links.recall(),
        links.right,
        links.wrong,
        links.lost,
        links.none,
        evidence.join(", ")
    )
}

fn counts(counts: &BTreeMap<String, u64>, what: &str) -> String {
    let each: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if each.is_empty() {
        format!("none {what}")
    } else {
        format!("{what}: {}", each.join(", "))
    }
}

/// The table in the terminal.
pub(super) fn print(all: &[Measured]) {
    if all.is_empty() {
        return;
    }
    println!();
    println!(
        "{:<26} {:>5} {:>11} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7} {:>13}  evidence; refused",
        "row", "at", "spans", "prec %", "rec %", "wrong", "lost", "none", "refused", "pair %"
    );
    for measured in all {
        for run in &measured.runs {
            let (calls, pairs) = (&run.verdict.calls, &run.verdict.pairs);
            println!(
                "{:<26} {:>5} {:>11} {:>6.1} {:>6.1} {:>6} {:>6} {:>6} {:>7} {:>13}  {}; {}",
                measured.row.name,
                run.concurrency,
                format!("{}/{}", run.verdict.seen, run.verdict.expected),
                calls.precision(),
                calls.recall(),
                calls.wrong + pairs.wrong,
                calls.lost + pairs.lost,
                calls.none,
                run.refused.values().sum::<u64>(),
                format!("{:.1}/{:.1}", pairs.precision(), pairs.recall()),
                evidence(&[run]),
                counts(&run.refused, "refused"),
            );
        }
    }
    println!();
}

/// What the links to requests stand on.
pub(super) fn evidence(runs: &[&Run]) -> String {
    let mut names: Vec<&str> = runs
        .iter()
        .flat_map(|run| run.verdict.calls.evidence.keys())
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
