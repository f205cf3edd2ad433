//! Every reason why bytes or a record were not seen: indices of the per-CPU map `LOSSES`.

/// A cause of loss, counted where it happens.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The ring buffer was full: user space was too slow.
    RingFull = 0,
    /// User memory of a call was not readable (not resident).
    Fault = 1,
    /// Bytes longer than a chunk carries, cut.
    Cut = 2,
    /// Bytes that never were in user memory: sendfile, splice, io_uring.
    NoBuffer = 3,
    /// A system call's arguments were lost between entry and exit.
    Pending = 4,
    /// A new process could not be watched: the map was full.
    WatchFull = 5,
    /// Which message of a `sendmmsg`/`recvmmsg` a length belongs to was unclear.
    Message = 6,
    /// A record of rustls was not where its build was expected to have it.
    Record = 7,
}

impl Loss {
    /// All causes, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::RingFull,
        Self::Fault,
        Self::Cut,
        Self::NoBuffer,
        Self::Pending,
        Self::WatchFull,
        Self::Message,
        Self::Record,
    ];

    /// Short name, as in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::Fault => "fault",
            Self::Cut => "cut",
            Self::NoBuffer => "no_buffer",
            Self::Pending => "pending",
            Self::WatchFull => "watch_full",
            Self::Message => "message",
            Self::Record => "record",
        }
    }

    /// One sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::RingFull => "records dropped: the ring buffer was full",
            Self::Fault => "calls whose buffer could not be read",
            Self::Cut => "calls of which only the head was copied",
            Self::NoBuffer => "calls whose bytes never were in user memory (counted only)",
            Self::Pending => "calls whose arguments were lost between entry and exit",
            Self::WatchFull => "processes not watched: too many at once",
            Self::Message => "messages of a batch call that could not be told apart",
            Self::Record => {
                "records of rustls that were refused by it, or are laid out unlike any known build"
            }
        }
    }
}
