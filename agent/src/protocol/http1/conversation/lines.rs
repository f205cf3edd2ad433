//! One line of a head after the other, of bounded length.

use crate::protocol::http1::line;

/// Progress through the lines of a head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    /// Bytes so far.
    taken: usize,
    /// Inside a line too long to be waited for.
    skipping: bool,
    /// The head is longer than the limit, or a line was.
    pub(super) cut: bool,
}

/// What [`Lines::next`] found.
pub(super) enum Line<'a> {
    /// A line with its end.
    Whole(&'a [u8]),
    /// That many bytes of a line too long to be kept.
    Skipped(usize),
    /// More bytes are needed.
    Want,
}

impl Lines {
    /// Behind a first line of `taken` bytes.
    pub(super) fn behind(taken: usize) -> Self {
        Self {
            taken,
            ..Self::default()
        }
    }

    /// The next line of `bytes`. Lines behind `limit` are not waited for and count as skipped.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8], limit: usize) -> Line<'a> {
        let len = line::length(bytes);
        let end = len.unwrap_or(bytes.len());
        if self.skipping || end > limit {
            self.cut = true;
            self.skipping = len.is_none();
            self.taken = self.taken.saturating_add(end);
            return Line::Skipped(end);
        }
        match len.and_then(|len| bytes.get(..len)) {
            Some(line) => {
                self.taken = self.taken.saturating_add(line.len());
                self.cut |= self.taken > limit;
                Line::Whole(line)
            }
            None => Line::Want,
        }
    }
}
