//! A survey: every row of a bench is measured, one after the other, each with services of
//! `tests/workloads`.
//!
//! In: rows, and how one of them is measured. Out: what was measured, or the counts of a layer of
//! tests. Not here: what is measured (`truth`, `protocols`).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::libtest::Counts;
use crate::setup::{self, Part};
use crate::workloads::manifest::{self, Manifest};
use crate::{step, workloads, workspace};

/// How long the last spans may keep us waiting without a new one.
pub(crate) const QUIET: Duration = Duration::from_millis(2500);
/// How often the spans are counted meanwhile.
const POLL: Duration = Duration::from_millis(100);

/// A row of a bench.
pub(crate) trait Row {
    /// Its name, unique in the bench.
    fn name(&self) -> &str;

    /// The folders of all services that it needs.
    fn folders(&self) -> Vec<&str>;
}

/// What was measured, and what could not be.
pub(crate) struct Survey<M> {
    /// One entry a row, in their order.
    pub(crate) measured: Vec<M>,
    /// Names of rows.
    failed: Vec<String>,
}

impl<M> Survey<M> {
    /// Measures `one` row after the other, as far as they can be installed; `keep` gets what is
    /// there so far after each.
    ///
    /// # Errors
    /// When the results cannot be kept.
    pub(crate) fn of<R: Row>(
        rows: Vec<R>,
        mut one: impl FnMut(&R) -> Result<M>,
        keep: impl Fn(&[M]) -> Result<()>,
    ) -> Result<Self> {
        let (mut measured, mut failed) = (Vec::new(), Vec::new());
        for row in installed(rows) {
            match one(&row) {
                Ok(result) => {
                    measured.push(result);
                    keep(&measured)?;
                }
                Err(error) => {
                    step::warn(format!("{}: {error:#}", row.name()));
                    failed.push(row.name().to_owned());
                }
            }
        }
        Ok(Self { measured, failed })
    }

    /// Whether nothing is missing.
    ///
    /// # Errors
    /// When a row that can be measured could not be.
    pub(crate) fn whole(&self) -> Result<()> {
        if self.failed.is_empty() {
            return Ok(());
        }
        bail!("could not be measured: {}", self.failed.join(", "))
    }
}

/// Sets up what every bench needs but its services; answers the agent: `binary`, or what `build`
/// makes.
///
/// # Errors
/// When this is not root, or there is no agent.
pub(crate) fn agent(binary: Option<PathBuf>, build: fn() -> Result<PathBuf>) -> Result<PathBuf> {
    if !workspace::is_root() {
        bail!("weft watches the kernel, and for that it must be root\nhint: run this as root");
    }
    setup::try_all(&[Part::Build, Part::Bpf, Part::Mounts, Part::Services])?;
    binary.map_or_else(build, Ok)
}

/// Every service and what it says of itself, in the order of the tables.
///
/// # Errors
/// When a manifest is wrong.
pub(crate) fn services() -> Result<Vec<(String, Manifest)>> {
    let mut services = Vec::new();
    for folder in workloads::names()? {
        let manifest = manifest::read(&workspace::workload_sources().join(&folder))?;
        services.push((folder, manifest));
    }
    services.sort_by(|a, b| (a.1.order, &a.0).cmp(&(b.1.order, &b.0)));
    Ok(services)
}

/// Those of `rows` whose names contain one of `only`, or all.
///
/// # Errors
/// When nothing is left.
pub(crate) fn chosen<R: Row>(mut rows: Vec<R>, only: &[String]) -> Result<Vec<R>> {
    let names: Vec<String> = rows.iter().map(|row| row.name().to_owned()).collect();
    if !only.is_empty() {
        rows.retain(|row| only.iter().any(|part| row.name().contains(part.as_str())));
    }
    if rows.is_empty() {
        bail!("no row is called so\nhint: there are {}", names.join(", "));
    }
    Ok(rows)
}

/// Those of `rows` whose services can be installed here, each installed when it is taken; of the
/// others it is told why not.
pub(crate) fn installed<R: Row>(rows: Vec<R>) -> impl Iterator<Item = R> {
    rows.into_iter().filter(|row| match install(row) {
        Ok(()) => true,
        Err(error) => {
            step::warn(format!("{} is left out: {error:#}", row.name()));
            false
        }
    })
}

fn install(row: &impl Row) -> Result<()> {
    row.folders().into_iter().try_for_each(workloads::ensure)
}

/// The layer of `cargo xtask test` of that name: what is measured of each of `rows` `holds`.
pub(crate) fn test<R: Row>(
    layer: &str,
    rows: impl IntoIterator<Item = R>,
    mut holds: impl FnMut(&R) -> Result<()>,
) -> Counts {
    let mut counts = Counts::default();
    for row in rows {
        let name = row.name();
        counts.add(match install(&row).map(|()| holds(&row)) {
            Ok(Ok(())) => Counts::pass(),
            Ok(Err(error)) => Counts::fail(format!("{layer} {name}: {error:#}")),
            Err(error) => {
                let why = format!("{error:#}").replace('\n', ": ");
                Counts::skip(format!("{layer} {name}: {why}"))
            }
        });
    }
    step::note(format!("{layer}: {}", counts.summary()));
    counts
}

/// Waits for spans: until `look` answers that as many are seen as are expected, or has not seen more
/// for [`QUIET`].
pub(crate) fn until_quiet(look: impl Fn() -> (usize, usize)) {
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < QUIET {
        let (seen, expected) = look();
        if seen >= expected {
            break;
        }
        if seen > last {
            (last, since) = (seen, Instant::now());
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(&'static str);

    impl Row for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn folders(&self) -> Vec<&str> {
            Vec::new()
        }
    }

    #[test]
    fn rows_are_chosen_by_parts_of_their_names() {
        let check = |only: &[&str], want: &[&str]| {
            let only: Vec<String> = only.iter().map(|part| (*part).to_owned()).collect();
            let rows = chosen(vec![Named("go-tls"), Named("go-h2"), Named("php")], &only);
            let names: Vec<&str> = rows.iter().flatten().map(|row| row.0).collect();
            assert_eq!(names, want, "{only:?}");
        };
        check(&[], &["go-tls", "go-h2", "php"]);
        check(&["go"], &["go-tls", "go-h2"]);
        check(&["tls", "php"], &["go-tls", "php"]);
        check(&["ruby"], &[]);
    }

    #[test]
    fn what_fails_is_told_behind_the_rest() -> Result<()> {
        let one = |row: &Named| match row.0 {
            "bad" => bail!("as asked"),
            name => Ok(name),
        };
        let rows = vec![Named("first"), Named("bad"), Named("last")];
        let survey = Survey::of(rows, one, |_| Ok(()))?;
        assert_eq!(survey.measured, ["first", "last"]);
        let told = survey.whole().unwrap_err().to_string();
        assert_eq!(told, "could not be measured: bad");
        Ok(())
    }
}
