//! By the trace id: every host and SDK with the same ratio keeps the same traces.

use super::{Sampler, Verdict};
use crate::span::TraceId;

/// `TraceIdRatioBased` of the SDKs: the low 63 bits of the id against a bound.
pub(super) struct Ratio(Bound);

enum Bound {
    All,
    Below(u64),
}

impl Ratio {
    pub(super) fn new(ratio: f64) -> Self {
        if ratio >= 1.0 {
            return Self(Bound::All);
        }
        // The conversion saturates, and is exact for what an SDK computes.
        let bound = ratio.max(0.0) * (1_u64 << 63) as f64;
        Self(Bound::Below(bound as u64))
    }
}

impl Sampler for Ratio {
    fn verdict(&self, trace: TraceId, _: Option<bool>) -> Verdict {
        let low = u128::from_be_bytes(trace.0) as u64;
        match self.0 {
            Bound::Below(bound) if low >> 1 >= bound => Verdict::Drop,
            _ => Verdict::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::SpanKind;
    use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};
    use rand::{Rng, SeedableRng};

    #[test]
    fn agrees_with_the_sdk() {
        let mut random = rand::rngs::SmallRng::seed_from_u64(1);
        for ratio in [-1.0, 0.0, 1e-9, 0.1, 0.5, 0.999_999, 1.0, 2.0] {
            let ours = Ratio::new(ratio);
            let theirs = opentelemetry_sdk::trace::Sampler::TraceIdRatioBased(ratio);
            for _ in 0..1000 {
                let id: [u8; 16] = random.random();
                let other = opentelemetry::TraceId::from_bytes(id);
                let decision = theirs
                    .should_sample(None, other, "", &SpanKind::Server, &[], &[])
                    .decision;
                let kept = ours.verdict(TraceId(id), None) == Verdict::Keep;
                let expected = decision == SamplingDecision::RecordAndSample;
                assert_eq!(kept, expected, "{ratio} {id:?}");
            }
        }
    }
}
