//! The lines of a head, each of bounded length: bytes in, lines out. What they mean is not here.

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

/// How far [`Lines::each`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// The head is over; that many bytes of what was offered belong to it.
    Over(usize),
    /// That many bytes were taken and the head goes on; none: a line has not ended yet.
    Open(usize),
}

/// What [`Lines::next`] found.
enum Line<'a> {
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

    /// Hands the lines of `bytes` to `line`, which answers whether the head goes on behind them.
    pub(super) fn each(
        &mut self,
        bytes: &[u8],
        limit: usize,
        mut line: impl FnMut(&[u8]) -> bool,
    ) -> Read {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or(b"");
            match self.next(rest, limit) {
                Line::Want | Line::Skipped(0) => return Read::Open(taken),
                Line::Skipped(len) => taken += len,
                Line::Whole(whole) => {
                    taken += whole.len();
                    if !line(whole) {
                        return Read::Over(taken);
                    }
                }
            }
        }
    }

    /// The next line of `bytes`. Lines behind `limit` are not waited for and count as skipped.
    fn next<'a>(&mut self, bytes: &'a [u8], limit: usize) -> Line<'a> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 12;

    fn check(bytes: &str, expected: Read, lines: &[&str], cut: bool) {
        let (mut found, mut state) = (Vec::new(), Lines::default());
        let read = state.each(bytes.as_bytes(), LIMIT, |line| {
            found.push(String::from_utf8_lossy(line).into_owned());
            line != b"\r\n"
        });
        assert_eq!(read, expected, "{bytes:?}");
        assert_eq!(found, lines, "{bytes:?}");
        assert_eq!(state.cut, cut, "{bytes:?}");
    }

    #[test]
    fn lines_until_the_head_is_over() {
        check("a\r\n\r\nbody", Read::Over(5), &["a\r\n", "\r\n"], false);
        check("a\r\nb", Read::Open(3), &["a\r\n"], false);
        check("a", Read::Open(0), &[], false);
        check("", Read::Open(0), &[], false);
        check("much too long\r\n\r\n", Read::Over(17), &["\r\n"], true);
        check("much too long", Read::Open(13), &[], true);
    }
}
