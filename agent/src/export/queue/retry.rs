//! Pauses between tries: exponential, with jitter, so that many agents do not come back to a
//! restarted backend at the same moment.

use rand::Rng;
use std::time::Duration;

/// How long to wait before the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second try.
    pub first: Duration,
    /// Longest.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            most: Duration::from_secs(10),
        }
    }
}

impl Backoff {
    /// The pause after `failures` failures in a row, between half and all of its nominal length.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let doubled = 1_u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let nominal = self.first.saturating_mul(doubled).min(self.most);
        nominal.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::default();
        for (failures, nominal) in [(1, 500), (2, 1000), (4, 4000), (6, 10_000), (99, 10_000)] {
            for _ in 0..100 {
                let pause = backoff.pause(failures).as_millis();
                assert!(
                    (nominal / 2..=nominal).contains(&pause),
                    "{failures}: {pause}"
                );
            }
        }
    }
}
