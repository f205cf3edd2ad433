//! What weft counted itself: takes its metrics (OTLP over HTTP, protobuf) and keeps the last value
//! of each counter of links that were refused. Everything else in them is passed over.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

/// The counter's name.
const METRIC: &[u8] = b"weft.join.refused";
/// The largest body that is read, bytes.
const LARGEST: u64 = 16 << 20;

/// Last values by cause.
type Counts = BTreeMap<String, u64>;

/// Listens for an agent's metrics.
#[derive(Debug)]
pub(super) struct Refusals {
    port: u16,
    counts: Arc<Mutex<Counts>>,
}

impl Refusals {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn listen() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let counts = Arc::new(Mutex::new(Counts::new()));
        let kept = Arc::clone(&counts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || while take(&stream, &kept).is_some() {});
            }
        });
        Ok(Self { port, counts })
    }

    /// Where metrics are to be sent.
    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/v1/metrics", self.port)
    }

    /// Counts since the last call.
    pub(super) fn take(&self) -> Counts {
        std::mem::take(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads one export and answers it.
fn take(stream: &TcpStream, kept: &Mutex<Counts>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value
                .trim()
                .parse::<u64>()
                .ok()
                .filter(|length| *length <= LARGEST)?;
        }
    }
    let mut body = Vec::new();
    reader.by_ref().take(length).read_to_end(&mut body).ok()?;
    kept.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(refused(&body));
    let mut stream = stream;
    stream
        .write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n",
        )
        .ok()
}

/// `resource_metrics(1).scope_metrics(2).metrics(2)`: `name(1)`, `sum(7).data_points(1)`.
fn refused(export: &[u8]) -> Counts {
    let mut counts = Counts::new();
    for metric in nested(export, &[1, 2, 2]) {
        if nested(metric, &[1]).first() == Some(&METRIC) {
            counts.extend(nested(metric, &[7, 1]).into_iter().filter_map(point));
        }
    }
    counts
}

/// `attributes(7).value(2).string(1)` and `as_int(6)`.
fn point(bytes: &[u8]) -> Option<(String, u64)> {
    let cause = nested(bytes, &[7, 2, 1])
        .first()
        .map(|text| String::from_utf8_lossy(text).into_owned())?;
    let value = fields(bytes)
        .into_iter()
        .find(|(number, _)| *number == 6)?
        .1;
    Some((cause, u64::from_le_bytes(value.try_into().ok()?)))
}

/// All values at the end of a path of field numbers.
fn nested<'a>(bytes: &'a [u8], path: &[u64]) -> Vec<&'a [u8]> {
    let mut found = vec![bytes];
    for number in path {
        let inner = found.into_iter().flat_map(fields);
        found = inner
            .filter(|(is, _)| is == number)
            .map(|(_, value)| value)
            .collect();
    }
    found
}

/// The fields of a message; what is malformed ends it.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    while let Some((key, rest)) = varint(bytes) {
        let (length, rest) = match key & 7 {
            0 => (
                varint(rest).map_or(rest.len(), |(_, after)| rest.len() - after.len()),
                rest,
            ),
            1 => (8, rest),
            5 => (4, rest),
            2 => match varint(rest) {
                Some((length, rest)) => (usize::try_from(length).unwrap_or(usize::MAX), rest),
                None => break,
            },
            _ => break,
        };
        let Some((value, after)) = rest.split_at_checked(length) else {
            break;
        };
        found.push((key >> 3, value));
        bytes = after;
    }
    found
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index).min(63);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of bytes.
    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, u8::try_from(value.len()).expect("short")];
        bytes.extend_from_slice(value);
        bytes
    }

    fn metric(name: &[u8], cause: &str, count: u64) -> Vec<u8> {
        let pair = [field(1, b"cause"), field(2, &field(1, cause.as_bytes()))].concat();
        let mut point = field(7, &pair);
        point.push(6 << 3 | 1);
        point.extend_from_slice(&count.to_le_bytes());
        let metric = [field(1, name), field(7, &field(1, &point))].concat();
        field(1, &field(2, &field(2, &metric)))
    }

    #[test]
    fn finds_the_one_counter() {
        let mut export = metric(b"weft.spans", "shop", 9);
        export.extend(metric(METRIC, "ambiguous", 3));
        export.extend(metric(METRIC, "goroutine", 70_000));
        let want = Counts::from([("ambiguous".into(), 3), ("goroutine".into(), 70_000)]);
        assert_eq!(refused(&export), want);
        for end in 0..export.len() {
            let _ = refused(&export[..end]);
        }
    }
}
