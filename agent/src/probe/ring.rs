//! Reading the ring buffer.

use agent_common::record::Header;
use aya::maps::{MapData, RingBuf};
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::fd::OwnedFd;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// Records are polled for at this interval: a look costs some 20,000 instructions, more than a request.
/// The kernel side wakes the reader when much waits, or what must be looked at now.
const INTERVAL: Duration = Duration::from_millis(50);

/// The reading end of the ring buffer.
pub struct Reader {
    ring: RingBuf<MapData>,
    /// Edge triggered: a plain poll would return at once whenever a record arrived meanwhile,
    /// and the reader would never rest under load.
    epoll: OwnedFd,
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
        Ok(Self { ring, epoll })
    }

    /// What wakes the reader, for other threads that have something for its own.
    ///
    /// # Errors
    /// When the kernel has no descriptor left.
    pub fn waker(&self) -> io::Result<Waker> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let events = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&self.epoll, &event, epoll::EventData::new_u64(1), events)?;
        Ok(Waker(Arc::new(event)))
    }

    /// Waits until the kernel side asks for attention or the poll interval is over.
    ///
    /// # Errors
    /// When the descriptor cannot be polled.
    pub fn wait(&mut self) -> io::Result<()> {
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(INTERVAL.subsec_nanos()),
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
        count
    }
}

/// Wakes a [`Reader`].
#[derive(Clone)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// Its next or present wait is over.
    pub fn wake(&self) {
        // It fails only when nobody has waited for 2⁶⁴ calls. Edge triggered: it need not be read.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
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
