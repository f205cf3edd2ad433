//! Random trace and span ids.

use crate::span::{SpanId, TraceId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The source of ids; a replay seeds it alike and gets the same ids.
pub struct Ids(SmallRng);

impl Ids {
    /// Ids that nobody can foresee.
    #[must_use]
    pub fn random() -> Self {
        Self(SmallRng::from_os_rng())
    }

    /// The ids of `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// A trace id; never all zero.
    pub fn trace(&mut self) -> TraceId {
        loop {
            // Whole numbers: an array of bytes would draw a number for each byte.
            let id = self.0.random::<u128>().to_le_bytes();
            if id != [0; 16] {
                return TraceId(id);
            }
        }
    }

    /// A span id; never all zero.
    pub fn span(&mut self) -> SpanId {
        loop {
            let id = self.0.random::<u64>().to_le_bytes();
            if id != [0; 8] {
                return SpanId(id);
            }
        }
    }
}
