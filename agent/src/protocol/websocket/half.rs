//! One direction of a WebSocket: messages counted, payloads skipped.
//!
//! In: bytes, or the number of bytes not seen. Out: how many messages were whole, and the close
//! frame. Where the head of a frame was not seen nothing marks the next one, so the rest of that
//! direction is not counted.

use super::frame::{self, Found, Kind};

/// One direction.
#[derive(Clone, Debug)]
pub(super) struct Half {
    /// It comes from the client.
    masked: bool,
    extended: bool,
    state: State,
    /// A message has begun and is not over.
    open: bool,
    /// Whole messages.
    pub(super) messages: u64,
    /// Its close frame was whole; the code, if it had one.
    pub(super) closed: Option<Option<u16>>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A frame begins with the next byte.
    Boundary,
    /// So many bytes of a frame are still to come.
    Payload(u64, Ends),
    /// Behind the close frame: nothing counts.
    Closed,
    /// Where the next frame begins is unknown.
    Blind,
}

/// What ends with a frame.
#[derive(Clone, Copy, Debug)]
enum Ends {
    Nothing,
    Message,
    Direction(Option<u16>),
}

impl Half {
    pub(super) const fn new(masked: bool, extended: bool) -> Self {
        Self {
            masked,
            extended,
            state: State::Boundary,
            open: false,
            messages: 0,
            closed: None,
        }
    }

    /// Takes some of `bytes`; 0 if more are needed.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> usize {
        match self.state {
            State::Boundary => self.begin(bytes),
            State::Payload(..) | State::Closed | State::Blind => {
                let most = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                usize::try_from(self.skip(most)).unwrap_or(bytes.len())
            }
        }
    }

    fn begin(&mut self, bytes: &[u8]) -> usize {
        let head = match frame::head(bytes, self.masked, self.extended) {
            Found::Partial => return 0,
            Found::Head(head) if self.fits(head.kind) => head,
            Found::Head(_) | Found::Bad => {
                self.state = State::Blind;
                return bytes.len();
            }
        };
        let ends = match head.kind {
            Kind::Message | Kind::More => {
                self.open = !head.last;
                if head.last {
                    Ends::Message
                } else {
                    Ends::Nothing
                }
            }
            Kind::Control => Ends::Nothing,
            Kind::Close(code) => Ends::Direction(code),
        };
        self.state = State::Payload(head.payload, ends);
        if head.payload == 0 {
            self.over(ends);
        }
        head.len
    }

    /// A message is continued only while one is open, and begins only while none is.
    const fn fits(&self, kind: Kind) -> bool {
        match kind {
            Kind::Message => !self.open,
            Kind::More => self.open,
            Kind::Control | Kind::Close(_) => true,
        }
    }

    fn over(&mut self, ends: Ends) {
        self.state = State::Boundary;
        match ends {
            Ends::Nothing => {}
            Ends::Message => self.messages = self.messages.saturating_add(1),
            Ends::Direction(code) => {
                self.closed = Some(code);
                self.state = State::Closed;
            }
        }
    }

    /// `missing` bytes were moved and not seen: how many of them are bridged, at least one.
    pub(super) fn skip(&mut self, missing: u64) -> u64 {
        match self.state {
            State::Payload(left, ends) if missing >= left => {
                self.over(ends);
                left
            }
            State::Payload(left, ends) => {
                self.state = State::Payload(left - missing, ends);
                missing
            }
            State::Closed | State::Blind => missing,
            State::Boundary => {
                self.lose();
                missing
            }
        }
    }

    /// From now on it is unknown where frames begin.
    pub(super) fn lose(&mut self) {
        if !matches!(self.state, State::Closed) {
            self.state = State::Blind;
        }
    }

    pub(super) const fn is_blind(&self) -> bool {
        matches!(self.state, State::Blind)
    }

    /// Bytes from here on that need not be seen.
    pub(super) const fn skippable(&self) -> u64 {
        match self.state {
            State::Boundary => 0,
            State::Payload(left, _) => left,
            // "All": half the range, so that an offset may be added to it.
            State::Closed | State::Blind => u64::MAX / 2,
        }
    }

    /// No message is under way.
    pub(super) const fn at_boundary(&self) -> bool {
        matches!(self.state, State::Boundary | State::Closed) && !self.open
    }
}
