//! From the kernel's monotonic clock to wall time.

use crate::record::Nanos;
use rustix::time::{ClockId, clock_gettime};

/// The difference of two clocks at one instant. It drifts as the wall clock is adjusted, so it
/// is read anew now and then and travels in the record log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Wall time minus monotonic time, ns.
    pub offset: i64,
}

impl Clock {
    /// Reads both clocks now.
    #[must_use]
    pub fn read() -> Self {
        let before = monotonic();
        let wall = clock_gettime(ClockId::Realtime);
        let after = monotonic();
        let wall = wall.tv_sec * 1_000_000_000 + wall.tv_nsec;
        let middle = before + (after - before) / 2;
        Self {
            offset: wall.wrapping_sub(middle as i64),
        }
    }

    /// Wall time of a record, ns since 1970.
    #[must_use]
    pub fn wall(&self, at: Nanos) -> u64 {
        at.wrapping_add_signed(self.offset)
    }
}

/// Now, as the kernel side stamps records.
#[must_use]
pub fn monotonic() -> Nanos {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
