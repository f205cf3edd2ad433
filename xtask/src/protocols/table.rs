//! Results as a table: on the terminal, and between two marks of `docs/protocols.md`, where rows that
//! were not measured now keep their figures.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::judge::{Links, Seen, Verdict};
use super::rows::{self, Row};
use super::{Measured, Run};
use crate::workloads::manifest;
use crate::{step, workspace};

/// The columns of the committed table.
const COLUMNS: [usize; 3] = [1, 8, 64];
/// Where the table is.
const TABLE: &str = "docs/protocols.md";
/// The marks around it.
const FROM: &str = "<!-- peers: written by `cargo xtask protocols --write` -->";
const TO: &str = "<!-- /peers -->";

/// Can these runs be written?
///
/// # Errors
/// When the table has other columns.
pub(super) fn writable(concurrency: &[usize]) -> Result<()> {
    if concurrency == COLUMNS {
        return Ok(());
    }
    bail!(
        "{TABLE} has a column for each of {COLUMNS:?} requests at once\nhint: leave out --concurrency"
    )
}

/// One run on the terminal.
pub(super) fn note(run: &Run) {
    say(run, "");
}

/// The same of connections that are older than weft.
pub(super) fn note_kept(run: &Run) {
    say(run, ", connections of before");
}

fn say(run: &Run, how: &str) {
    let verdict = &run.verdict;
    step::note(format!(
        "{:>3} at once{how}: {}; right {}; pairs {}; parents {}",
        run.concurrency,
        seen(run),
        share(&[&verdict.server, &verdict.client]),
        links(&[&verdict.pairs]),
        links(&[&verdict.parents]),
    ));
    verdict
        .told
        .iter()
        .chain(&verdict.links)
        .for_each(|told| step::note(format!("    {told}")));
}

/// All rows on the terminal.
pub(super) fn print(all: &[Measured]) {
    println!("{}", head(all.first().map_or(&[][..], |first| &first.runs)));
    for measured in all {
        print!("{}", line(measured));
    }
}

/// Rewrites the table in the document.
///
/// # Errors
/// When it cannot be read or written, or has lost its marks.
pub(super) fn write(all: &[Measured]) -> Result<()> {
    let path = workspace::root().join(TABLE);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {TABLE}"))?;
    let lost = || format!("{TABLE} has lost the marks of its table");
    let (before, rest) = text.split_once(FROM).with_context(lost)?;
    let (old, after) = rest.split_once(TO).with_context(lost)?;
    let mut lines = written(old);
    for measured in all {
        lines.insert(measured.row.peer.name.clone(), line(measured));
    }
    let mut table = head(&COLUMNS.map(|concurrency| Run {
        concurrency,
        ..Run::default()
    }));
    table.push('\n');
    for row in rows::all()? {
        table.push_str(lines.get(&row.peer.name).map_or("", String::as_str));
    }
    let text = format!("{before}{FROM}\n{table}{TO}{after}");
    fs::write(&path, text).with_context(|| format!("cannot write {TABLE}"))
}

/// The rows of a table, by name, each with its line end.
fn written(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| row |"))
        .filter_map(|line| {
            let name = line.split('|').nth(1)?.trim().to_owned();
            Some((name, format!("{line}\n")))
        })
        .collect()
}

fn head(runs: &[Run]) -> String {
    let columns: String = runs
        .iter()
        .map(|run| format!(" at {} |", run.concurrency))
        .collect();
    let rules = "---|".repeat(runs.len());
    format!(
        "| row | server ← client | versions |{columns} right, % | pairs, % | parents, % | older |\n|---|---|---|{rules}---|---|---|---|"
    )
}

fn line(measured: &Measured) -> String {
    let Measured {
        row,
        versions,
        runs,
        kept,
    } = measured;
    let cells: String = runs.iter().map(|run| format!(" {} |", seen(run))).collect();
    let sides: Vec<&Seen> = runs
        .iter()
        .flat_map(|run| [&run.verdict.server, &run.verdict.client, &run.verdict.calls])
        .collect();
    let of = |pick: fn(&Run) -> &Links| links(&runs.iter().map(pick).collect::<Vec<_>>());
    format!(
        "| {} | {} | {versions} |{cells} {} | {} | {} | {} |\n",
        row.peer.name,
        row.peer.what,
        share(&sides),
        of(|run| &run.verdict.pairs),
        of(|run| &run.verdict.parents),
        kept.as_ref().map_or_else(|| "–".to_owned(), older),
    )
}

/// The service's own calls by connections of before: sent, seen, parents.
fn older(run: &Run) -> String {
    let Verdict { calls, parents, .. } = &run.verdict;
    let links = links(&[parents]);
    format!("{}: {}, {links}", calls.sent, spans(calls))
}

/// Requests sent, the server's spans, the client's, and the service's own calls with their spans.
fn seen(run: &Run) -> String {
    let verdict = &run.verdict;
    let (server, client, calls) = (&verdict.server, &verdict.client, &verdict.calls);
    let mut text = format!("{}: {} / {}", server.sent, spans(server), spans(client));
    if calls.sent > 0 {
        text.push_str(&format!(", {}: {}", calls.sent, spans(calls)));
    }
    text
}

fn spans(seen: &Seen) -> String {
    match (seen.spans, seen.opaque) {
        (0, opaque) if opaque > 0 => format!("({opaque})"),
        (spans, _) => spans.to_string(),
    }
}

/// Requests that are one span with the right method, path and status.
fn share(sides: &[&Seen]) -> String {
    let sent: usize = sides.iter().map(|seen| seen.sent).sum();
    let right: usize = sides.iter().map(|seen| seen.right).sum();
    percent(right, sent)
}

/// Precision and recall.
fn links(all: &[&Links]) -> String {
    let sum = |pick: fn(&Links) -> usize| all.iter().map(|links| pick(links)).sum::<usize>();
    let (expected, right, wrong) = (sum(|l| l.expected), sum(|l| l.right), sum(|l| l.wrong));
    if expected == 0 {
        return "–".to_owned();
    }
    format!(
        "{} / {}",
        percent(right, right + wrong),
        percent(right, expected)
    )
}

/// Never rounded up to a perfect 100.
fn percent(part: usize, whole: usize) -> String {
    if part >= whole {
        return "100".to_owned();
    }
    let tenths = 1000 * part / whole;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What the row runs on, in one line.
pub(super) fn versions(row: &Row) -> String {
    let mut words: Vec<String> = Vec::new();
    let peer = &row.peer;
    let server = (row.folder.as_str(), &peer.variables, "server");
    let client = (
        peer.client.folder.as_str(),
        &peer.client.variables,
        "client",
    );
    for (folder, variables, role) in [server, client] {
        let source = workspace::workload_sources().join(folder);
        let command = manifest::read(&source).map_or_else(|_| String::new(), |it| it.versions);
        let output = Command::new("sh")
            .args(["-c", &command])
            .envs(variables)
            .env("ROLE", role)
            .current_dir(workspace::workloads().join(folder))
            .output();
        let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        for word in said.unwrap_or_default().lines() {
            let word = word.trim().to_owned();
            if !word.is_empty() && !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_rounded_up() {
        let check = |part, whole, want| assert_eq!(percent(part, whole), want);
        check(0, 0, "100");
        check(1999, 2000, "99.9");
        check(0, 3, "0.0");
        check(3, 3, "100");
    }

    #[test]
    fn rows_keep_their_figures() {
        let text = format!("{}\n| a | b | c | 1 |\n| d | e |\n", head(&[]));
        let found = written(&text);
        assert_eq!(found.len(), 2);
        assert_eq!(found["a"], "| a | b | c | 1 |\n");
    }

    #[test]
    fn cells_tell_connections_from_requests() {
        let seen = |spans, opaque| Seen {
            spans,
            opaque,
            ..Seen::default()
        };
        assert_eq!(spans(&seen(7, 1)), "7");
        assert_eq!(spans(&seen(0, 3)), "(3)");
        assert_eq!(spans(&seen(0, 0)), "0");
    }
}
