//! `cargo xtask protocols`: does weft see what real servers and clients say to each other? Each row
//! is a service of `tests/workloads` and a client that asks it, each with its own TLS library and
//! its own HTTP or gRPC; weft watches both. Requests sent must be spans seen on either side, each
//! with its method, path and status; and where the service calls another, with its parent.

mod judge;
mod peers;
mod plan;
mod rows;
mod table;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::libtest::Counts;
use crate::survey::{self, Survey};
use crate::truth::agent::Agent;
use crate::truth::rows::family;
use crate::workloads::manifest;
use crate::{build, certificates, step, workspace};
use judge::{Families, Verdict, judge};
use peers::{Client, Services};
use plan::Plan;
use rows::Row;

/// Requests before the first run, so that runtimes have loaded what they need.
const WARM_UP: usize = 10;
/// So many at once in the run with connections that are older than weft.
const KEPT_CONCURRENCY: usize = 8;
/// The run of `cargo xtask test`: so many requests, so many at once.
const TEST_REQUESTS: usize = 40;
const TEST_CONCURRENCY: usize = 8;

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only rows whose names contain one of these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Requests open at once, one run each
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    concurrency: Vec<usize>,
    /// Requests of a run
    #[arg(long, default_value_t = 200)]
    requests: usize,
    /// Put the results into docs/protocols.md
    #[arg(long)]
    write: bool,
    /// This weft instead of one built now
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// One run of a row.
#[derive(Debug, Clone, Default)]
struct Run {
    concurrency: usize,
    verdict: Verdict,
}

/// All runs of a row.
#[derive(Debug, Clone)]
struct Measured {
    row: Row,
    versions: String,
    /// Each with a service of its own, whose connections to others weft sees from the beginning.
    runs: Vec<Run>,
    /// One more, of a service that calls others, by connections that are older than weft.
    kept: Option<Run>,
}

/// Measures, prints, and writes when asked to.
///
/// # Errors
/// When a row that can be measured could not be.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.write {
        table::writable(&options.concurrency)?;
    }
    let bench = Bench::new(options.binary.clone(), build::release)?;
    let rows = rows::chosen(&options.only)?;
    let one = |row: &Row| bench.measure(row, &options.concurrency, options.requests);
    let survey = Survey::of(rows, one, |all| match options.write {
        true => table::write(all),
        false => Ok(()),
    })?;
    table::print(&survey.measured);
    survey.whole()
}

/// The layer of `cargo xtask test`: the rows that are marked for it, and few requests.
///
/// # Errors
/// When nothing can be started at all.
pub(crate) fn test(only: &[String]) -> Result<Counts> {
    step::say("test: protocols");
    if !workspace::is_root() {
        return Ok(Counts::skip("protocols: root: run the tests as root"));
    }
    let bench = Bench::new(None, build::debug)?;
    let rows = rows::chosen(only)?.into_iter();
    let rows = rows.filter(|row| row.peer.tested);
    Ok(survey::test("protocols", rows, |row| {
        holds(&bench.measure(row, &[TEST_CONCURRENCY], TEST_REQUESTS)?)
    }))
}

fn holds(measured: &Measured) -> Result<()> {
    let check = match measured.row.peer.opaque {
        true => opaque,
        false => whole,
    };
    measured
        .runs
        .iter()
        .try_for_each(|run| check(&run.verdict))?;
    let kept = measured.kept.iter();
    kept.map(|run| &run.verdict).try_for_each(no_wrong_link)
}

/// Both sides saw connections, and took nothing in them for a request.
fn opaque(verdict: &Verdict) -> Result<()> {
    for seen in [&verdict.server, &verdict.client] {
        if seen.opaque == 0 || seen.spans > 0 {
            bail!("connections should be seen: {verdict:?}");
        }
    }
    Ok(())
}

/// Everything sent was seen on both sides as what it was, every call has its parent, and no link is
/// wrong.
fn whole(verdict: &Verdict) -> Result<()> {
    let whole = [&verdict.server, &verdict.client, &verdict.calls];
    if whole.iter().any(|seen| !seen.is_whole()) {
        bail!("not all was seen: {verdict:?}");
    }
    no_wrong_link(verdict)?;
    if verdict.parents.right < verdict.parents.expected {
        bail!("calls have no parent: {verdict:?}");
    }
    Ok(())
}

fn no_wrong_link(verdict: &Verdict) -> Result<()> {
    if verdict.pairs.wrong + verdict.parents.wrong > 0 {
        bail!("links are wrong: {}", verdict.links.join("; "));
    }
    Ok(())
}

/// What all rows share.
struct Bench {
    weft: PathBuf,
    dir: PathBuf,
    certificates: PathBuf,
}

impl Bench {
    fn new(binary: Option<PathBuf>, build: fn() -> Result<PathBuf>) -> Result<Self> {
        let weft = survey::agent(binary, build)?;
        let dir = workspace::kept().join("protocols");
        Ok(Self {
            weft,
            certificates: certificates::make()?,
            dir,
        })
    }

    fn measure(&self, row: &Row, concurrency: &[usize], requests: usize) -> Result<Measured> {
        step::say(format!("{}: {}", row.peer.name, row.peer.what));
        let mut runs = Vec::new();
        let mut kept = None;
        for concurrency in concurrency {
            let services = Services::start(row, &self.dir, &self.certificates)?;
            let warm = (WARM_UP, 2, "warm");
            let quiet = Row {
                peer: manifest::Peer {
                    upstream: None,
                    ..row.peer.clone()
                },
                ..row.clone()
            };
            Client::start(&quiet, &services, &self.dir, &self.certificates, warm)?.send()?;
            let run = self.run(row, &services, *concurrency, requests, "c")?;
            table::note(&run);
            runs.push(run);
            if row.calls() && *concurrency == KEPT_CONCURRENCY {
                // Paths of before would stand in tables of fields.
                let run = self.run(row, &services, KEPT_CONCURRENCY, requests, "k")?;
                table::note_kept(&run);
                kept = Some(run);
            }
        }
        Ok(Measured {
            row: row.clone(),
            versions: table::versions(row),
            runs,
            kept,
        })
    }

    fn run(
        &self,
        row: &Row,
        services: &Services,
        concurrency: usize,
        count: usize,
        letter: &str,
    ) -> Result<Run> {
        let mark = format!("p{}{letter}{concurrency}", services.server);
        let asked = (count, concurrency, mark.as_str());
        let mut client = Client::start(row, services, &self.dir, &self.certificates, asked)?;
        let families = Families {
            client: family(client.pid)?,
            server: family(services.server)?,
        };
        let mut watched = [families.client.clone(), families.server.clone()].concat();
        if let Some(upstream) = services.upstream {
            watched.extend(family(upstream)?);
        }
        let name = format!("{}-{letter}{concurrency}", row.peer.name);
        let agent = Agent::start(&self.weft, &self.dir, &name, &watched, None)?;
        client.send()?;
        let plan = Plan {
            kind: row.kind,
            calls: row.calls(),
            count,
            mark: mark.clone(),
        };
        let judge = |spans: &[_]| judge(spans, &plan, row.peer.proxy, &families);
        survey::until_quiet(|| {
            let verdict = judge(&agent.spans());
            (verdict.spans(), verdict.expected())
        });
        // what is open at the client ends with it
        drop(client);
        let (spans, summary) = agent.stop();
        let run = Run {
            concurrency,
            verdict: judge(&spans),
        };
        let text = format!("{run:#?}\n{summary}\n");
        fs::write(self.dir.join(format!("{name}.txt")), text)?;
        Ok(run)
    }
}
