//! Results as documents: `docs/truth.md` with all rows that were ever written, those measured now
//! anew, and in short between two marks of README.md.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result, bail};

use super::report::evidence;
use super::{Measured, Run, rows};
use crate::workspace;

/// The columns of the committed table.
const COLUMNS: [usize; 3] = [1, 8, 64];
/// Where the table is.
const TABLE: &str = "docs/truth.md";
/// The marks around the short one.
const FROM: &str = "<!-- truth: written by `cargo xtask truth --write` -->";
const TO: &str = "<!-- /truth -->";

/// What stands before the table.
const HEAD: &str = "# Parents, proven

One row for each service of `tests/workloads` that the truth bench drives: `cargo xtask truth --write`
measures all of them and writes this file; `--only NAME` does it for some.

Every request carries an id in its path, and each service, as people write them, passes it on in the
paths of its calls. So each span tells by itself to which request it belongs. weft knows nothing of
the ids: it sees the calls and says which request each came from. All `[tasks]` are on, also those that
are off by default for their cost (some of Go: [docs/bench](bench/2026-11-21-runtimes.md)). The mix of requests waits, takes
locks, calls in sequence and in parallel, tries again after a 503, gives up after a timeout and calls
after it has answered; the upstream answers out of order.

A cell is **precision / recall** in per cent of the links from a call to the request that caused it,
at so many requests open at once: of the links made, those that are right; of the links that should
be, those that are there. A precision below 100 is a defect: a call stands under a request that did not
make it. A recall below 100 is a parent that weft did not name. Evidence is what the links stand on. *pair*
is the same for links from the upstream's span to the call, over the connection.

There is no row of .NET: no SDK and no runtime that is still supported is in the package sources that
`cargo xtask setup` uses. Of Debian 12, crates, npm, Maven Central, Go's modules and Python's packages
only the last have one, `dotnetcore2`: the runtime of .NET Core 3.1, out of support since 2022, without
ASP.NET Core and without a compiler. Debian has Mono 6.8, another runtime.

";

/// Can these runs be written?
///
/// # Errors
/// When the table has other columns.
pub(super) fn writable(concurrency: &[usize]) -> Result<()> {
    if concurrency == COLUMNS {
        return Ok(());
    }
    bail!("{TABLE} has a column for each of {COLUMNS:?} connections\nhint: leave out --concurrency")
}

/// Has each of these rows a line in the table?
///
/// # Errors
/// When one is measured only if it is asked for.
pub(super) fn have_places(rows: &[rows::Row]) -> Result<()> {
    match rows.iter().find(|row| row.asked) {
        None => Ok(()),
        Some(row) => bail!(
            "{} has no line in {TABLE}\nhint: leave out --write, the figures are printed",
            row.name
        ),
    }
}

/// Rewrites both tables; rows not measured now keep their figures.
///
/// # Errors
/// When a file cannot be read or written, or README.md lost its marks.
pub(super) fn write(all: &[Measured]) -> Result<()> {
    let table = workspace::root().join(TABLE);
    let readme = workspace::root().join("README.md");
    let old = fs::read_to_string(&table).unwrap_or_default();
    let mut lines = written_rows(&old);
    for measured in all {
        lines.insert(measured.row.name.clone(), line(measured));
    }
    let order: Vec<String> = rows::all()?.into_iter().map(|row| row.name).collect();
    let lines: Vec<&String> = order.iter().filter_map(|name| lines.get(name)).collect();
    let mut text = HEAD.to_owned();
    text.push_str(
        "| row | runtime | service | versions | evidence | at 1 | at 8 | at 64 | pair, at 64 |\n",
    );
    text.push_str("|---|---|---|---|---|---|---|---|---|\n");
    lines.iter().for_each(|line| text.push_str(line));
    fs::write(&table, &text).with_context(|| format!("cannot write {}", table.display()))?;
    let told = fs::read_to_string(&readme).context("cannot read README.md")?;
    let told =
        between(&told, &short(&lines)).context("README.md has lost the marks of its table")?;
    fs::write(&readme, told).context("cannot write README.md")?;
    Ok(())
}

fn line(measured: &Measured) -> String {
    let row = &measured.row;
    let runs: Vec<&Run> = measured.runs.iter().collect();
    let mut line = format!(
        "| {} | {} | {} | {} | {} |",
        row.name,
        row.runtime,
        row.what,
        measured.versions,
        evidence(&runs)
    );
    for run in &measured.runs {
        let calls = &run.verdict.calls;
        let _ = write!(
            line,
            " {} / {} |",
            percent(calls.precision()),
            percent(calls.recall())
        );
    }
    if let Some(run) = measured.runs.last() {
        let pairs = &run.verdict.pairs;
        let _ = write!(
            line,
            " {} / {} |",
            percent(pairs.precision()),
            percent(pairs.recall())
        );
    }
    line.push('\n');
    line
}

/// Never rounded up to a perfect 100.
fn percent(value: f64) -> String {
    if value >= 100.0 {
        return "100".to_owned();
    }
    format!("{:.1}", (value * 10.0).floor() / 10.0)
}

/// The rows of a table, by name, each with its line end.
fn written_rows(text: &str) -> BTreeMap<String, String> {
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| row |"));
    rows.filter_map(|line| {
        let name = line.split('|').nth(1)?.trim().to_owned();
        Some((name, format!("{line}\n")))
    })
    .collect()
}

/// One line for each runtime: the worst precision at any load, recall from the worst to the best row.
fn short(lines: &[&String]) -> String {
    let mut text = "| runtime | services | precision, % | recall at 1, % | at 8 | at 64 |\n|---|---|---|---|---|---|\n".to_owned();
    let mut runtimes: Vec<String> = Vec::new();
    for line in lines {
        let runtime = cell(line, 2).to_owned();
        if !runtimes.contains(&runtime) {
            runtimes.push(runtime);
        }
    }
    for runtime in runtimes {
        let own: Vec<&str> = lines
            .iter()
            .filter(|line| cell(line, 2) == runtime)
            .map(|line| line.as_str())
            .collect();
        let names: Vec<&str> = own.iter().map(|line| cell(line, 1)).collect();
        let precision = own
            .iter()
            .flat_map(|line| (6..9).map(|at| figures(line, at).0));
        let worst = precision.fold(100.0, f64::min);
        let _ = write!(
            text,
            "| {runtime} | {} | {} |",
            names.join(", "),
            percent(worst)
        );
        for at in 6..9 {
            let recall: Vec<f64> = own.iter().map(|line| figures(line, at).1).collect();
            let least = recall.iter().copied().fold(100.0, f64::min);
            let most = recall.iter().copied().fold(0.0, f64::max);
            let _ = match percent(least) == percent(most) {
                true => write!(text, " {} |", percent(most)),
                false => write!(text, " {} – {} |", percent(least), percent(most)),
            };
        }
        text.push('\n');
    }
    text
}

/// A cell of a table's line, from 1.
fn cell(line: &str, number: usize) -> &str {
    line.split('|').nth(number).map_or("", str::trim)
}

/// Precision and recall in a cell.
fn figures(line: &str, number: usize) -> (f64, f64) {
    let read = |text: &str| text.trim().parse().unwrap_or(0.0);
    let (precision, recall) = cell(line, number).split_once('/').unwrap_or_default();
    (read(precision), read(recall))
}

/// `text` with `table` between the marks.
fn between(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(FROM)?;
    let (_, after) = rest.split_once(TO)?;
    Some(format!("{before}{FROM}\n{table}{TO}{after}"))
}

#[cfg(test)]
mod tests {
    use super::super::judge::{Links, Verdict};
    use super::*;

    fn measured(right: usize) -> Measured {
        let calls = Links {
            expected: 300,
            right,
            none: 300 - right,
            ..Links::default()
        };
        let run = |concurrency| Run {
            concurrency,
            verdict: Verdict {
                calls: calls.clone(),
                ..Verdict::default()
            },
            ..Run::default()
        };
        let mut row = rows::Row::default();
        (row.name, row.runtime, row.what) = ("shop".into(), "Go".into(), "gin".into());
        Measured {
            row,
            versions: "1".into(),
            runs: COLUMNS.map(run).to_vec(),
        }
    }

    #[test]
    fn rows_are_told_and_found_again() {
        let line = line(&measured(299));
        assert_eq!(
            line,
            "| shop | Go | gin | 1 | none | 100 / 99.6 | 100 / 99.6 | 100 / 99.6 | 100 / 100 |\n"
        );
        let text = format!("{HEAD}| row | x |\n|---|---|\n{line}");
        assert_eq!(
            written_rows(&text),
            BTreeMap::from([("shop".to_owned(), line.clone())])
        );
        let worse = line.replace("99.6", "0.0").replace("shop", "cart");
        let want = "| Go | shop, cart | 100 | 0.0 – 99.6 | 0.0 – 99.6 | 0.0 – 99.6 |\n";
        assert!(short(&[&line, &worse]).ends_with(want));
    }

    #[test]
    fn the_table_goes_between_the_marks() {
        let text = format!("a\n{FROM}\nold\n{TO}\nb\n");
        assert_eq!(
            between(&text, "new\n"),
            Some(format!("a\n{FROM}\nnew\n{TO}\nb\n"))
        );
        assert_eq!(between("a", "new"), None);
    }

    #[test]
    fn only_all_columns_are_written() {
        assert!(writable(&COLUMNS).is_ok());
        assert!(writable(&[8]).is_err());
    }

    #[test]
    fn nothing_is_rounded_up_to_perfect() {
        assert_eq!(
            (percent(99.99), percent(100.0), percent(0.0)),
            ("99.9".into(), "100".into(), "0.0".into())
        );
    }
}
