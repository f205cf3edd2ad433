//! The tables of HPACK (RFC 7541, 2.3 and appendix A), as far as they are known.
//!
//! In: fields that an encoder put into its table. Out: the field at an index, or that it is not
//! known. Values are kept only of names that matter, so cookies and credentials never are.
//!
//! A connection may be joined midway, and bytes may be missing: then entries are in the
//! encoder's table that were not seen. Indexes count from the newest entry, so what was seen
//! since then is found, and everything older is *unknown*. Sizes of entries may be too small
//! here, and the capacity too large: then an entry stays longer than the encoder keeps it, which
//! never refers to it again.

use crate::protocol::http::field::Name;
use std::collections::VecDeque;

/// Capacity while nothing else was said, bytes.
const USUAL: usize = 4096;
/// Capacity while it is not known.
const UNKNOWN: usize = 16 * 1024;
/// Largest capacity that is followed; of a larger table the oldest entries are unknown.
const MOST: usize = 64 * 1024;
/// What an entry counts beyond its texts.
const OVERHEAD: usize = 32;
/// Longest value that is kept, bytes.
pub(super) const LONGEST: usize = crate::protocol::text::LONGEST + 4;

/// What stands at an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A name of so many bytes and a value; the value is empty when the name does not matter.
    Known(Name, usize, &'a [u8]),
    /// A name of so many bytes, whose value is not known.
    Named(Name, usize),
    /// It was put there unseen.
    Unknown,
    /// Nothing ever stood there.
    Nothing,
}

/// A field of the dynamic table.
struct Entry {
    /// Name and its length, unless unknown.
    name: Option<(Name, usize)>,
    /// Value, unless unknown or of no matter.
    value: Option<Box<[u8]>>,
    /// Size as HPACK counts it, or less where something is unknown.
    size: usize,
}

/// Both tables of one direction.
pub(super) struct Table {
    /// Newest first.
    entries: VecDeque<Entry>,
    size: usize,
    capacity: usize,
    /// These are all entries, and the capacity is that of the encoder.
    exact: bool,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            capacity: USUAL,
            exact: true,
        }
    }
}

impl Table {
    /// Entries may have been added unseen: what stands where is not known any more.
    pub(super) fn lose(&mut self) {
        self.entries.clear();
        self.size = 0;
        self.capacity = self.capacity.max(UNKNOWN);
        self.exact = false;
    }

    /// Nothing of it is unknown.
    #[cfg(test)]
    pub(super) const fn is_exact(&self) -> bool {
        self.exact
    }

    /// Entries, and what they hold in memory, bytes.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        let len = |entry: &Entry| entry.value.as_ref().map_or(0, |value| value.len());
        (self.entries.len(), self.entries.iter().map(len).sum())
    }

    /// The encoder changed its capacity.
    pub(super) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity.min(MOST);
        self.evict(0);
        if capacity == 0 {
            // Whatever was there is gone.
            self.exact = true;
        }
        if capacity > MOST {
            self.exact = false;
        }
    }

    /// A field was added: its name with its length and its value, where they are known. The
    /// value of a name that does not matter is given by its length alone.
    pub(super) fn add(&mut self, name: Option<(Name, usize)>, value: Option<&[u8]>, len: usize) {
        let size = name.map_or(0, |(_, len)| len) + len + OVERHEAD;
        if size > self.capacity && self.exact {
            // Too large an entry empties the table, and is not there itself.
            self.entries.clear();
            self.size = 0;
            return;
        }
        // Not exact, the encoder's table may be larger: then it is there.
        let value = value.filter(|_| size <= self.capacity);
        let size = size.min(self.capacity);
        self.evict(size);
        self.size += size;
        self.entries.push_front(Entry {
            name,
            value: value.map(Into::into),
            size,
        });
    }

    /// Makes room for `more` bytes.
    fn evict(&mut self, more: usize) {
        while self.size + more > self.capacity {
            let Some(oldest) = self.entries.pop_back() else {
                return;
            };
            self.size -= oldest.size;
        }
    }

    /// What stands at `index`, counting from 1.
    pub(super) fn find(&self, index: usize) -> Found<'_> {
        let Some(place) = index.checked_sub(1) else {
            return Found::Nothing;
        };
        if let Some((text, name, value)) = STATIC.get(place) {
            return Found::Known(*name, text.len(), value.as_bytes());
        }
        match self.entries.get(place - STATIC.len()) {
            Some(entry) => match (entry.name, &entry.value) {
                (Some((Name::Other, len)), _) => Found::Known(Name::Other, len, b""),
                (Some((name, len)), Some(value)) => Found::Known(name, len, value),
                (Some((name, len)), None) => Found::Named(name, len),
                (None, _) => Found::Unknown,
            },
            None if self.exact => Found::Nothing,
            None => Found::Unknown,
        }
    }
}

/// A name that HTTP/2 sends.
pub(super) fn name(bytes: &[u8]) -> Name {
    match bytes {
        b":method" => Name::Method,
        b":path" => Name::Path,
        b":authority" => Name::Authority,
        b":scheme" => Name::Scheme,
        b":protocol" => Name::Protocol,
        b":status" => Name::Status,
        _ => Name::of(bytes),
    }
}

/// The static table.
const STATIC: [(&str, Name, &str); 61] = [
    (":authority", Name::Authority, ""),
    (":method", Name::Method, "GET"),
    (":method", Name::Method, "POST"),
    (":path", Name::Path, "/"),
    (":path", Name::Path, "/index.html"),
    (":scheme", Name::Scheme, "http"),
    (":scheme", Name::Scheme, "https"),
    (":status", Name::Status, "200"),
    (":status", Name::Status, "204"),
    (":status", Name::Status, "206"),
    (":status", Name::Status, "304"),
    (":status", Name::Status, "400"),
    (":status", Name::Status, "404"),
    (":status", Name::Status, "500"),
    ("accept-charset", Name::Other, ""),
    ("accept-encoding", Name::Other, "gzip, deflate"),
    ("accept-language", Name::Other, ""),
    ("accept-ranges", Name::Other, ""),
    ("accept", Name::Other, ""),
    ("access-control-allow-origin", Name::Other, ""),
    ("age", Name::Other, ""),
    ("allow", Name::Other, ""),
    ("authorization", Name::Other, ""),
    ("cache-control", Name::Other, ""),
    ("content-disposition", Name::Other, ""),
    ("content-encoding", Name::Other, ""),
    ("content-language", Name::Other, ""),
    ("content-length", Name::ContentLength, ""),
    ("content-location", Name::Other, ""),
    ("content-range", Name::Other, ""),
    ("content-type", Name::ContentType, ""),
    ("cookie", Name::Other, ""),
    ("date", Name::Other, ""),
    ("etag", Name::Other, ""),
    ("expect", Name::Expect, ""),
    ("expires", Name::Other, ""),
    ("from", Name::Other, ""),
    ("host", Name::Host, ""),
    ("if-match", Name::Other, ""),
    ("if-modified-since", Name::Other, ""),
    ("if-none-match", Name::Other, ""),
    ("if-range", Name::Other, ""),
    ("if-unmodified-since", Name::Other, ""),
    ("last-modified", Name::Other, ""),
    ("link", Name::Other, ""),
    ("location", Name::Other, ""),
    ("max-forwards", Name::Other, ""),
    ("proxy-authenticate", Name::Other, ""),
    ("proxy-authorization", Name::Other, ""),
    ("range", Name::Other, ""),
    ("referer", Name::Other, ""),
    ("refresh", Name::Other, ""),
    ("retry-after", Name::Other, ""),
    ("server", Name::Other, ""),
    ("set-cookie", Name::Other, ""),
    ("strict-transport-security", Name::Other, ""),
    ("transfer-encoding", Name::TransferEncoding, ""),
    ("user-agent", Name::UserAgent, ""),
    ("vary", Name::Other, ""),
    ("via", Name::Other, ""),
    ("www-authenticate", Name::Other, ""),
];

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
