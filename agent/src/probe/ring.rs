//! Reading the ring buffer.

use agent_common::record::Header;
use aya::maps::{MapData, RingBuf};
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// Records are polled for at this interval while they come: a look costs some 20,000 instructions,
/// more than a request…
const BUSY: Duration = Duration::from_millis(20);
/// …and at this one when none came for a while. The kernel side wakes the reader when much waits.
const IDLE: Duration = Duration::from_millis(40);
/// Empty polls until the interval grows.
const PATIENCE: u32 = 50;

/// The reading end of the ring buffer.
pub struct Reader {
    ring: RingBuf<MapData>,
    /// Edge triggered: a plain poll would return at once whenever a record arrived meanwhile,
    /// and the reader would never rest under load.
    epoll: OwnedFd,
    empty: u32,
}

impl Reader {
    /// Reads from `ring`.
    ///
    /// # Errors
    /// When the kernel refuses to watch the descriptor.
    pub fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let events = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, ring.as_fd(), epoll::EventData::new_u64(0), events)?;
        Ok(Self {
            ring,
            epoll,
            empty: 0,
        })
    }

    /// Waits until the kernel side asks for attention or the poll interval is over.
    ///
    /// # Errors
    /// When the descriptor cannot be polled.
    pub fn wait(&mut self) -> io::Result<()> {
        let interval = if self.empty > PATIENCE { IDLE } else { BUSY };
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(interval.subsec_nanos()),
        };
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }; 1];
        match epoll::wait(&self.epoll, &mut events[..], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands every waiting record to `each`, at most `limit`; answers how many there were.
    pub fn drain(&mut self, limit: usize, mut each: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while count < limit {
            let Some(item) = self.ring.next() else { break };
            each(whole(&item));
            count += 1;
        }
        self.empty = if count == 0 {
            self.empty.saturating_add(1)
        } else {
            0
        };
        count
    }
}

/// The record in a place of the ring, which may have room for more than the record has.
fn whole(place: &[u8]) -> &[u8] {
    let size = place
        .get(SIZE..SIZE + 4)
        .and_then(|size| size.try_into().ok());
    let size = size.map_or(0, u32::from_ne_bytes) as usize;
    place.get(..size).unwrap_or(place)
}

/// Offset of [`Header::size`].
const SIZE: usize = std::mem::offset_of!(Header, size);
