//! Bodies of HTTP/1 messages: where they end, however they come.
//!
//! In: bytes or the number of bytes not seen. Out: how many of them belong to the body and
//! whether it is over. Nothing of a body is kept. Not here: which framing applies (`head`).

/// A body under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    framing: Framing,
    /// Bytes of content so far, without chunk headers and trailers.
    pub(super) size: u64,
}

/// How the end of a body is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked(Chunked),
    /// It ends with the connection.
    UntilClose,
    /// A part was not seen that would have said so.
    Unknown {
        /// Was it chunked, so that the last chunk may be recognised?
        chunked: bool,
    },
}

/// Where in a chunked body the next byte stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In the digits of a chunk's size; how many digits were seen.
    Size { size: u64, digits: u8 },
    /// Behind the digits, before the line's end: extensions.
    Extension { size: u64 },
    /// In the data.
    Data(u64),
    /// Between the data and the next chunk's size; has CR been seen?
    AfterData { cr: bool },
    /// In the trailers; is the line empty so far?
    Trailer { empty: bool },
}

/// What became of bytes offered to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// So many of them belong to the body.
    pub(super) bytes: u64,
    /// The body is over.
    pub(super) over: bool,
}

impl Body {
    pub(super) const fn new(framing: Framing) -> Self {
        Self { framing, size: 0 }
    }

    /// A chunked body before its first chunk.
    pub(super) const fn chunked() -> Framing {
        Framing::Chunked(Chunked::Size { size: 0, digits: 0 })
    }

    /// Is it unknown where the body ends?
    pub(super) const fn is_unknown(&self) -> bool {
        matches!(self.framing, Framing::Unknown { .. })
    }

    /// Does the end of the connection complete the body?
    pub(super) const fn ends_at_close(&self) -> bool {
        matches!(self.framing, Framing::UntilClose)
    }

    /// Does its size stand in the chunks alone?
    pub(super) const fn is_chunked(&self) -> bool {
        matches!(self.framing, Framing::Chunked(_))
    }

    /// Bytes of content, where every one was accounted for.
    pub(super) fn counted(&self) -> Option<u64> {
        match self.framing {
            Framing::Chunked(_) | Framing::UntilClose => Some(self.size),
            Framing::Length(_) | Framing::Unknown { .. } => None,
        }
    }

    /// From now on it is unknown where the body ends.
    pub(super) fn lose(&mut self) {
        let chunked = match self.framing {
            Framing::Chunked(_) => true,
            Framing::Unknown { chunked } => chunked,
            Framing::Length(_) | Framing::UntilClose => false,
        };
        self.framing = Framing::Unknown { chunked };
    }

    /// Number of bytes from here on that need not be seen.
    pub(super) const fn skippable(&self) -> u64 {
        match &self.framing {
            Framing::Length(left) | Framing::Chunked(Chunked::Data(left)) => *left,
            // "All": half the range, so that an offset may be added to it.
            Framing::UntilClose => u64::MAX / 2,
            Framing::Chunked(_) | Framing::Unknown { .. } => 0,
        }
    }

    /// Takes what belongs to the body; `content` gets what is no framing of it, as long as that
    /// can be told.
    pub(super) fn feed(&mut self, bytes: &[u8], mut content: impl FnMut(&[u8])) -> Taken {
        match &mut self.framing {
            Framing::Chunked(_) => self.chunks(bytes, &mut content),
            Framing::Unknown { chunked } => Taken {
                bytes: count(bytes),
                over: *chunked && ends_with_last_chunk(bytes),
            },
            Framing::Length(_) | Framing::UntilClose => {
                let taken = self.skip(count(bytes));
                let own = usize::try_from(taken.bytes).unwrap_or(usize::MAX);
                content(bytes.get(..own).unwrap_or(bytes));
                taken
            }
        }
    }

    /// Bridges bytes that were not seen, as far as they belong to the body.
    pub(super) fn skip(&mut self, missing: u64) -> Taken {
        match &mut self.framing {
            Framing::Length(left) => {
                let bytes = missing.min(*left);
                *left -= bytes;
                self.size = self.size.saturating_add(bytes);
                Taken {
                    bytes,
                    over: *left == 0,
                }
            }
            Framing::Chunked(Chunked::Data(left)) if missing < *left => {
                *left -= missing;
                self.size = self.size.saturating_add(missing);
                Taken {
                    bytes: missing,
                    over: false,
                }
            }
            Framing::Chunked(Chunked::Data(left)) if missing == *left => {
                self.size = self.size.saturating_add(missing);
                self.framing = Framing::Chunked(Chunked::AfterData { cr: false });
                Taken {
                    bytes: missing,
                    over: false,
                }
            }
            Framing::UntilClose => {
                self.size = self.size.saturating_add(missing);
                Taken {
                    bytes: missing,
                    over: false,
                }
            }
            Framing::Chunked(_) | Framing::Unknown { .. } => {
                self.lose();
                Taken {
                    bytes: missing,
                    over: false,
                }
            }
        }
    }

    fn chunks(&mut self, bytes: &[u8], content: &mut impl FnMut(&[u8])) -> Taken {
        let mut taken = 0;
        while let Framing::Chunked(place) = &mut self.framing {
            let rest = bytes.get(taken..).unwrap_or(b"");
            let Some(&byte) = rest.first() else { break };
            if let Chunked::Data(left) = place {
                let part = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                taken += part;
                let part = rest.get(..part).unwrap_or(rest);
                content(part);
                self.skip(count(part));
                continue;
            }
            taken += 1;
            match place.step(byte) {
                Step::Next(next) => *place = next,
                Step::Over => {
                    return Taken {
                        bytes: count(bytes.get(..taken).unwrap_or(bytes)),
                        over: true,
                    };
                }
                Step::Broken => self.lose(),
            }
        }
        // All of it: what follows a broken chunk cannot be told from the body.
        Taken {
            bytes: count(bytes),
            over: false,
        }
    }
}

/// What one byte of a chunked body's framing leads to.
enum Step {
    Next(Chunked),
    Over,
    Broken,
}

impl Chunked {
    fn step(&self, byte: u8) -> Step {
        match (self, byte) {
            (Self::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                match size.checked_mul(16) {
                    Some(size) => Step::Next(Self::Size {
                        size: size | u64::from(digit),
                        digits: digits.saturating_add(1),
                    }),
                    None => Step::Broken,
                }
            }
            (Self::Size { digits: 0, .. }, _) => Step::Broken,
            (Self::Size { size, .. }, b'\r' | b' ' | b'\t' | b';') => {
                Step::Next(Self::Extension { size: *size })
            }
            (Self::Size { size, .. } | Self::Extension { size }, b'\n') => Step::Next(match size {
                0 => Self::Trailer { empty: true },
                size => Self::Data(*size),
            }),
            (Self::Size { .. }, _) => Step::Broken,
            (Self::Extension { size }, _) => Step::Next(Self::Extension { size: *size }),
            (Self::AfterData { cr: false }, b'\r') => Step::Next(Self::AfterData { cr: true }),
            (Self::AfterData { .. }, b'\n') => Step::Next(Self::Size { size: 0, digits: 0 }),
            (Self::AfterData { .. }, _) => Step::Broken,
            (Self::Trailer { empty: true }, b'\n') => Step::Over,
            (Self::Trailer { .. }, b'\n') => Step::Next(Self::Trailer { empty: true }),
            (Self::Trailer { empty }, b'\r') => Step::Next(Self::Trailer { empty: *empty }),
            (Self::Trailer { .. }, _) => Step::Next(Self::Trailer { empty: false }),
            // Data is taken whole, never byte by byte.
            (Self::Data(left), _) => Step::Next(Self::Data(*left)),
        }
    }
}

/// Do bytes of a chunked body end with its last chunk, as far as one can tell?
fn ends_with_last_chunk(bytes: &[u8]) -> bool {
    bytes == b"0\r\n\r\n" || bytes.ends_with(b"\r\n0\r\n\r\n")
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
