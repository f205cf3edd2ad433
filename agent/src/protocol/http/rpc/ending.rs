//! The status of a call where it stands in a body: gRPC-Web's trailers, Connect's last message
//! and its errors.
//!
//! In: bytes of that message. Out: the code, and nothing else of it. Memory: at most
//! [`MOST`] bytes, until the exchange is told.

use super::code::Code;
use super::message::{COMPRESSED, END, TRAILERS};
use crate::protocol::http::field::number;
use flate2::read::GzDecoder;
use std::borrow::Cow;
use std::io::Read;

/// Most bytes that are looked at.
const MOST: usize = 1024;
/// Deepest objects of JSON that are walked through.
const DEEPEST: usize = 16;

/// A last message.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending {
    bytes: Vec<u8>,
    /// Of the message, once it began.
    flags: Option<u8>,
    /// Bytes of it were not seen, or are too many.
    cut: bool,
}

impl Ending {
    /// Takes bytes of it, in order.
    pub(super) fn take(&mut self, flags: u8, bytes: &[u8]) {
        self.flags = Some(flags);
        let room = MOST.saturating_sub(self.bytes.len());
        self.cut |= bytes.len() > room;
        if !self.cut || room > 0 {
            self.bytes.extend(bytes.iter().take(room));
        }
    }

    /// Bytes of it may not have been seen.
    pub(super) const fn lose(&mut self) {
        self.cut = true;
    }

    /// The message, if it began. Of compressed ones only those by gzip, which all peers know.
    fn plain(&self, kind: u8) -> Option<Cow<'_, [u8]>> {
        let flags = self.flags.filter(|flags| flags & kind == kind)?;
        if flags & COMPRESSED == 0 {
            return Some(Cow::Borrowed(&self.bytes));
        }
        let mut bytes = Vec::new();
        let inflated = GzDecoder::new(&*self.bytes).take(MOST as u64);
        // What could be inflated of a message that is cut is worth as much as its beginning.
        let _ = { inflated }.read_to_end(&mut bytes);
        (!bytes.is_empty()).then_some(Cow::Owned(bytes))
    }

    /// gRPC-Web: lines of trailers.
    pub(super) fn web(&self) -> Option<Code> {
        let text = self.plain(TRAILERS)?;
        let lines = text.split(|&byte| byte == b'\n');
        let mut values = lines.filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = line.split_at(colon);
            let named = name.trim_ascii().eq_ignore_ascii_case(b"grpc-status");
            named.then(|| value.get(1..).unwrap_or(b"").trim_ascii())
        });
        let number = number(values.next()?)?;
        Some(Code::grpc(u16::try_from(number).ok()?))
    }

    /// Connect: the object of an error.
    pub(super) fn unary(&self) -> Option<Code> {
        Code::connect(find(&self.bytes, &["code"])?)
    }

    /// Connect: the object that ends a stream, with an error or without.
    pub(super) fn streaming(&self) -> Option<Code> {
        let object = self.plain(END)?;
        match find(&object, &["error", "code"]) {
            Some(word) => Code::connect(word),
            None if self.cut || find_any(&object, "error") => None,
            None => Some(Code::connect_ok()),
        }
    }
}

/// Does the object have that key, in whatever depth?
fn find_any(object: &[u8], key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    memchr::memmem::find(object, quoted.as_bytes()).is_some()
}

/// The text at a path of keys in an object of JSON, which may be cut behind it.
fn find<'a>(object: &'a [u8], path: &[&str]) -> Option<&'a [u8]> {
    let mut rest = Json(object);
    for (at, key) in path.iter().enumerate() {
        rest.expect(b'{')?;
        loop {
            let found = rest.string()?;
            rest.expect(b':')?;
            if found == key.as_bytes() {
                break;
            }
            rest.skip()?;
            rest.expect(b',')?;
        }
        if at + 1 == path.len() {
            return rest.string();
        }
    }
    None
}

/// What is left of a text of JSON.
struct Json<'a>(&'a [u8]);

impl<'a> Json<'a> {
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.trim_ascii_start().strip_prefix(&[byte])?;
        Some(())
    }

    /// A string, as it stands there.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let mut escaped = false;
        let end = self.0.iter().position(|&byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or(b"");
        Some(text)
    }

    /// Any value.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0;
        loop {
            self.0 = self.0.trim_ascii_start();
            match self.0.first()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' if depth < DEEPEST => {
                    depth += 1;
                    self.0 = self.0.get(1..)?;
                    continue;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.0 = self.0.get(1..)?;
                }
                b',' | b':' if depth > 0 => {
                    self.0 = self.0.get(1..)?;
                    continue;
                }
                b'{' | b'[' | b'}' | b']' | b',' | b':' => return None,
                _ => {
                    let ends = |byte: &u8| b",]}: \t\r\n".contains(byte);
                    let end = self.0.iter().position(ends)?;
                    self.0 = self.0.get(end..)?;
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::exchange::Value;

    fn ending(flags: u8, text: &str) -> Ending {
        let mut ending = Ending::default();
        for byte in text.as_bytes() {
            ending.take(flags, &[*byte]);
        }
        ending
    }

    #[track_caller]
    fn check(found: Option<Code>, expected: Option<&'static str>) {
        assert_eq!(found.map(Code::value), expected.map(Value::fixed));
    }

    #[test]
    fn trailers_of_grpc_web() {
        check(ending(0x80, "grpc-status: 0\r\n").web(), Some("OK"));
        let text = "a:b\r\nGrpc-Status:5\r\ngrpc-message:no\r\n";
        check(ending(0x80, text).web(), Some("NOT_FOUND"));
        check(ending(0x80, "grpc-message:no\r\n").web(), None);
        check(ending(0x81, "grpc-status: 0\r\n").web(), None);
        check(ending(0, "grpc-status: 0\r\n").web(), None);
    }

    #[test]
    fn errors_of_connect() {
        for (text, expected) in [
            (
                "{\"code\":\"unavailable\",\"message\":\"x\"}",
                Some("unavailable"),
            ),
            (
                "{\"message\":\"a \\\"code\\\":\",\"code\":\"aborted\"}",
                Some("aborted"),
            ),
            (
                "{ \"details\" : [ {\"a\":[1,2,{}]} , true ] , \"code\" : \"internal\" }",
                Some("internal"),
            ),
            ("{\"code\":\"nonsense\"}", None),
            ("{\"code\":17}", None),
            ("<html>", None),
            ("{\"a\":{\"code\":\"aborted\"}}", None),
            ("{\"code\":\"abor", None),
            ("", None),
        ] {
            check(ending(0, text).unary(), expected);
        }
    }

    #[test]
    fn ends_of_connect_s_streams() {
        for (text, expected) in [
            ("{}", Some("ok")),
            ("{\"metadata\":{\"a\":[\"b\"]}}", Some("ok")),
            ("{\"error\":{\"code\":\"not_found\"}}", Some("not_found")),
            (
                "{\"metadata\":{},\"error\":{\"message\":\"m\",\"code\":\"not_found\"}}",
                Some("not_found"),
            ),
            ("{\"error\":{\"message\":\"cut", None),
        ] {
            check(ending(2, text).streaming(), expected);
        }
        check(ending(3, "{}").streaming(), None);
        // `{}` and an error by gzip.
        for (object, expected) in [
            ("{}", "ok"),
            ("{\"error\":{\"code\":\"data_loss\"}}", "data_loss"),
        ] {
            let mut bytes = Vec::new();
            let mut gzip =
                flate2::bufread::GzEncoder::new(object.as_bytes(), flate2::Compression::default());
            gzip.read_to_end(&mut bytes).expect("it is in memory");
            let mut ending = Ending::default();
            ending.take(3, &bytes);
            check(ending.streaming(), Some(expected));
        }
        let mut cut = ending(2, "{");
        cut.lose();
        check(cut.streaming(), None);
    }
}
