//! The agent's own metrics: what it did, and every loss by its cause.
//!
//! In: counts from all stages. Out: [`Stats::snapshot`] for exporters and the summary line of
//! `weft run`. Not here: how they are sent (`export`).

mod families;
mod process;
mod summary;

pub use families::{ALL, EXPORT_DROPPED, EXPORT_OFFERED, EXPORT_SPANS, SAMPLING_TRACES};
pub use families::{CAPTURE_LOST, JOIN_REFUSED, PROTOCOL_DROPPED, SPANS, SPANS_HURRIED, TRACES};
pub use process::{Usage, usage};
pub use summary::summary;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most label combinations that are kept of one family; all others are counted under
/// [`OTHER`], so that a host with many services costs bounded memory.
pub const MAX_SERIES: usize = 256;

/// Label value of what came after [`MAX_SERIES`].
pub const OTHER: &str = "other";

/// A metric and its label keys. Only counters that grow: gauges are read when asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Name, `weft.*`.
    pub name: &'static str,
    /// UCUM unit.
    pub unit: &'static str,
    /// One sentence for people.
    pub description: &'static str,
    /// Label keys; a counter has one value for each.
    pub labels: &'static [&'static str],
    /// It counts something that is missing from the data: shown in the summary when not 0.
    pub loss: bool,
}

/// One counter of a family. Cheap to clone and to count on; stages keep theirs.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Counts `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Takes over a total that is counted elsewhere, such as in the kernel. Never goes back.
    pub fn raise_to(&self, total: u64) {
        self.0.fetch_max(total, Ordering::Relaxed);
    }

    /// The count so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its metric.
    pub family: &'static Family,
    /// A value for each of the family's label keys.
    pub labels: Vec<String>,
    /// The count so far.
    pub value: u64,
}

type Series = BTreeMap<Vec<String>, Counter>;

/// All counters of one agent.
#[derive(Debug, Default)]
pub struct Stats {
    series: Mutex<BTreeMap<&'static str, (&'static Family, Series)>>,
}

impl Stats {
    /// The counter of `family` with these label values, made on first use. Missing values are
    /// empty, surplus ones are ignored.
    pub fn counter(&self, family: &'static Family, values: &[&str]) -> Counter {
        let mut all = self.lock();
        let (_, series) = all
            .entry(family.name)
            .or_insert_with(|| (family, Series::new()));
        let labels = labels(family, values);
        if !series.contains_key(&labels) && series.len() >= MAX_SERIES {
            let other = vec![OTHER.to_owned(); family.labels.len()];
            return series.entry(other).or_default().clone();
        }
        series.entry(labels).or_default().clone()
    }

    /// Every counter that exists, families and labels in a stable order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Reading> {
        let all = self.lock();
        let readings = all.values().flat_map(|(family, series)| {
            series.iter().map(|(labels, counter)| Reading {
                family,
                labels: labels.clone(),
                value: counter.value(),
            })
        });
        readings.collect()
    }

    /// The counters of one family.
    #[must_use]
    pub fn readings(&self, family: &Family) -> Vec<Reading> {
        let mut readings = self.snapshot();
        readings.retain(|reading| reading.family == family);
        readings
    }

    /// Sum over all counters of a family.
    #[must_use]
    pub fn total(&self, family: &Family) -> u64 {
        let all = self.lock();
        let counters = all.get(family.name).map(|(_, series)| series.values());
        counters
            .into_iter()
            .flatten()
            .map(Counter::value)
            .fold(0, u64::saturating_add)
    }

    // Counting never fails half way, so a poisoned map is as good as any.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, (&'static Family, Series)>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn labels(family: &Family, values: &[&str]) -> Vec<String> {
    let value = |index: usize| values.get(index).copied().unwrap_or_default().to_owned();
    (0..family.labels.len()).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    static FAMILY: Family = Family {
        name: "weft.test",
        unit: "{thing}",
        description: "Things.",
        labels: &["cause"],
        loss: true,
    };

    #[test]
    fn one_counter_per_label_value() {
        let stats = Stats::default();
        stats.counter(&FAMILY, &["a"]).add(2);
        stats.counter(&FAMILY, &["a"]).add(3);
        stats.counter(&FAMILY, &["b"]).raise_to(7);
        stats.counter(&FAMILY, &["b"]).raise_to(6);
        let values: Vec<_> = stats
            .snapshot()
            .into_iter()
            .map(|reading| (reading.labels.join(","), reading.value))
            .collect();
        assert_eq!(values, [("a".to_owned(), 5), ("b".to_owned(), 7)]);
        assert_eq!(stats.total(&FAMILY), 12);
    }

    #[test]
    fn series_are_bounded_and_nothing_is_uncounted() {
        let stats = Stats::default();
        for number in 0..10_000 {
            stats.counter(&FAMILY, &[&number.to_string()]).add(1);
        }
        assert_eq!(stats.total(&FAMILY), 10_000);
        assert_eq!(stats.snapshot().len(), MAX_SERIES + 1);
    }
}
