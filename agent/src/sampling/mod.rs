//! Sampling: which traces are kept.
//!
//! In: a trace's id and the decision it carried. Out: a [`Verdict`]. Not here: export. The
//! decision falls once per trace, so that a trace is kept whole or not at all.

mod ratio;

use crate::config::{Kind, Sampling};
use crate::span::TraceId;
use crate::stats::{Counter, SAMPLING_TRACES, Stats};
use ratio::Ratio;

/// What becomes of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is exported.
    Keep,
    /// It is not.
    Drop,
}

/// A way to decide.
pub trait Sampler: Send + Sync {
    /// `carried` is the sampled flag of the trace header that began this part of the trace, and
    /// `None` for a trace that began here. Pure: the same trace gets the same verdict on every
    /// host with the same settings.
    fn verdict(&self, trace: TraceId, carried: Option<bool>) -> Verdict;
}

/// The configured sampler, counting its verdicts.
pub struct Sampled {
    sampler: Box<dyn Sampler>,
    kept: [Counter; 2],
    dropped: [Counter; 2],
}

impl Sampled {
    /// The sampler that the settings name.
    #[must_use]
    pub fn new(settings: &Sampling, stats: &Stats) -> Self {
        let counters = |verdict| {
            ["began_here", "carried"]
                .map(|reason| stats.counter(&SAMPLING_TRACES, &[verdict, reason]))
        };
        Self {
            sampler: sampler(settings),
            kept: counters("keep"),
            dropped: counters("drop"),
        }
    }

    /// Decides about one trace and counts it.
    pub fn verdict(&self, trace: TraceId, carried: Option<bool>) -> Verdict {
        let verdict = self.sampler.verdict(trace, carried);
        let [began_here, with_header] = match verdict {
            Verdict::Keep => &self.kept,
            Verdict::Drop => &self.dropped,
        };
        if carried.is_some() {
            with_header
        } else {
            began_here
        }
        .add(1);
        verdict
    }
}

fn sampler(settings: &Sampling) -> Box<dyn Sampler> {
    let ratio = Ratio::new(settings.ratio);
    match settings.sampler {
        Kind::AlwaysOn => Box::new(Always(Verdict::Keep)),
        Kind::AlwaysOff => Box::new(Always(Verdict::Drop)),
        Kind::Traceidratio => Box::new(ratio),
        Kind::ParentbasedAlwaysOn => Box::new(ParentBased(Always(Verdict::Keep))),
        Kind::ParentbasedAlwaysOff => Box::new(ParentBased(Always(Verdict::Drop))),
        Kind::ParentbasedTraceidratio => Box::new(ParentBased(ratio)),
    }
}

/// The same for every trace.
struct Always(Verdict);

impl Sampler for Always {
    fn verdict(&self, _: TraceId, _: Option<bool>) -> Verdict {
        self.0
    }
}

/// As carried; the inner sampler decides about traces that began here.
struct ParentBased<S>(S);

impl<S: Sampler> Sampler for ParentBased<S> {
    fn verdict(&self, trace: TraceId, carried: Option<bool>) -> Verdict {
        match carried {
            Some(true) => Verdict::Keep,
            Some(false) => Verdict::Drop,
            None => self.0.verdict(trace, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Drop, Keep};

    fn check(sampler: Kind, ratio: f64, expected: [Verdict; 3]) {
        let stats = Stats::default();
        let sampled = Sampled::new(&Sampling { sampler, ratio }, &stats);
        let id = TraceId([0x80; 16]);
        let found = [None, Some(true), Some(false)].map(|carried| sampled.verdict(id, carried));
        assert_eq!(found, expected, "{sampler:?} {ratio}");
        assert_eq!(stats.total(&SAMPLING_TRACES), 3);
    }

    #[test]
    fn samplers() {
        check(Kind::AlwaysOn, 0.0, [Keep, Keep, Keep]);
        check(Kind::AlwaysOff, 1.0, [Drop, Drop, Drop]);
        check(Kind::Traceidratio, 0.6, [Keep, Keep, Keep]);
        check(Kind::Traceidratio, 0.4, [Drop, Drop, Drop]);
        check(Kind::ParentbasedAlwaysOn, 0.0, [Keep, Keep, Drop]);
        check(Kind::ParentbasedAlwaysOff, 1.0, [Drop, Keep, Drop]);
        check(Kind::ParentbasedTraceidratio, 0.4, [Drop, Keep, Drop]);
        check(Kind::ParentbasedTraceidratio, 0.6, [Keep, Keep, Drop]);
    }
}
