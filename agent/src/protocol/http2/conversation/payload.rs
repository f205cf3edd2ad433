//! Payloads of frames: what is looked at, and what may be missing.

use super::{Http2Conversation, State};
use crate::protocol::Progress;
use crate::protocol::exchange::{Moment, Report};
use crate::protocol::http::behind;
use crate::protocol::http2::frame::{Frame, Kind, PADDED, PRIORITY};

/// A frame whose payload is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) frame: Frame,
    /// Bytes of the payload that are still to come.
    left: u32,
    /// The last bytes of it that are padding, once their number was read.
    padding: Option<u32>,
    /// Bytes before what matters: a priority, the number of a promised stream.
    before: u32,
}

impl Open {
    pub(super) const fn new(frame: Frame) -> Self {
        let padded = match frame.kind {
            Kind::Data | Kind::Headers | Kind::Push => frame.has(PADDED),
            _ => false,
        };
        let before = match frame.kind {
            Kind::Headers if frame.has(PRIORITY) => 5,
            Kind::Push => 4,
            _ => 0,
        };
        Self {
            frame,
            left: frame.len,
            padding: if padded { None } else { Some(0) },
            before,
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Bytes before the padding.
    const fn content(&self) -> u32 {
        match self.padding {
            Some(padding) => self.left.saturating_sub(padding),
            None => 0,
        }
    }

    /// Bytes that may be missing without harm.
    pub(super) fn skippable(self) -> u64 {
        let matters = match self.frame.kind {
            Kind::Data | Kind::Priority | Kind::Settings | Kind::Ping | Kind::Window => false,
            Kind::Other => false,
            Kind::Headers | Kind::Push | Kind::Continuation => self.content() > 0,
            Kind::Reset => true,
            Kind::GoAway => self.left > self.frame.len.saturating_sub(8),
        };
        if matters || self.padding.is_none() {
            return 0;
        }
        u64::from(self.left)
    }
}

impl Http2Conversation {
    /// Bytes of a frame's payload; none of them are taken only where something else is to be
    /// done first.
    pub(super) fn payload(
        &mut self,
        half: usize,
        mut open: Open,
        bytes: &[u8],
        first: Moment,
        last: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        if open.padding.is_none() {
            let padding = bytes.first().map_or(0, |byte| u32::from(*byte));
            open.padding = Some(padding.min(open.left - 1));
            return self.took(half, open, 1, behind(first, last, 1), out);
        }
        let content = open
            .content()
            .min(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        if open.before > 0 && content > 0 {
            let taken = content.min(open.before);
            open.before -= taken;
            return self.took(half, open, taken, behind(first, last, taken as usize), out);
        }
        let seen = bytes.get(..content as usize).unwrap_or(bytes);
        let end = behind(first, last, seen.len());
        match open.frame.kind {
            Kind::Headers | Kind::Push | Kind::Continuation if content > 0 => {
                self.fields(half, seen);
                self.took(half, open, content, end, out)
            }
            Kind::Reset => {
                let Some(code) = bytes.first_chunk() else {
                    return Progress::Want;
                };
                let end = behind(first, last, 4);
                let code = u32::from_be_bytes(*code);
                self.reset(half, open.frame.stream, code, end, out);
                self.took(half, open, 4, end, out)
            }
            Kind::GoAway if open.left == open.frame.len => {
                let Some([id3, id2, id1, id0, ..]) = bytes.first_chunk::<8>() else {
                    return Progress::Want;
                };
                let newest = u32::from_be_bytes([id3 & 0x7f, *id2, *id1, *id0]);
                let end = behind(first, last, 8);
                self.go_away(half, newest, end, out);
                self.took(half, open, 8, end, out)
            }
            _ => {
                let taken = bytes.len().min(open.left as usize);
                let end = behind(first, last, taken);
                self.pass(half, open, taken, Some(bytes), end, out);
                Progress::Took(taken)
            }
        }
    }

    /// `taken` bytes of a payload were dealt with, the last at `end`.
    fn took(
        &mut self,
        half: usize,
        mut open: Open,
        taken: u32,
        end: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        open.left = open.left.saturating_sub(taken);
        if open.is_over() {
            self.halves[half].state = State::Boundary;
            self.over(half, open.frame, end, out);
        } else {
            self.halves[half].state = State::Frame(open);
        }
        Progress::Took(taken as usize)
    }

    /// `taken` bytes that need not be seen went by, the last at `end`; `seen` begins with them,
    /// if they were seen.
    pub(super) fn pass(
        &mut self,
        half: usize,
        open: Open,
        taken: usize,
        seen: Option<&[u8]>,
        end: Moment,
        out: &mut Vec<Report>,
    ) {
        let taken = u32::try_from(taken).unwrap_or(u32::MAX).min(open.left);
        if open.frame.kind == Kind::Data
            && let Some(stream) = self.streams.get_mut(&open.frame.stream)
        {
            let body = taken.min(open.content());
            let seen = seen.map(|seen| seen.get(..body as usize).unwrap_or(seen));
            stream.moved(half, u64::from(body), seen, end);
            if stream.is_over() {
                self.answered(open.frame.stream, end, out);
            }
        }
        let _ = self.took(half, open, taken, end, out);
    }

    /// Bytes of a field block.
    fn fields(&mut self, half: usize, bytes: &[u8]) {
        let state = &mut self.halves[half];
        let Some(block) = &mut state.block else {
            return;
        };
        if block.malformed {
            return;
        }
        let section = &mut block.section;
        let decoder = &mut state.decoder;
        let decoded = if block.rest.is_empty() {
            let decoded = decoder.decode(bytes, |field| section.take(field));
            if let Ok(taken) = decoded {
                block.rest.extend(bytes.get(taken..).unwrap_or(b""));
            }
            decoded
        } else {
            block.rest.extend(bytes);
            let decoded = decoder.decode(&block.rest, |field| section.take(field));
            if let Ok(taken) = decoded {
                block.rest.drain(..taken.min(block.rest.len()));
            }
            decoded
        };
        if decoded.is_err() || block.rest.len() > self.limits.head {
            block.malformed = true;
            block.rest = Vec::new();
            decoder.table.lose();
        }
    }
}
