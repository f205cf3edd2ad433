//! The two hellos.
//!
//! In: the body of a handshake message. Out: [`ClientHello`], [`ServerHello`], or nothing where
//! the body is malformed. Every length is checked against what encloses it; of lists with many
//! entries the first are kept.

use super::handshake::{ClientHello, ServerHello};
use crate::protocol::text::text;

// Extensions (RFC 8446, 4.2; RFC 7301).
const SERVER_NAME: u16 = 0;
const PROTOCOLS: u16 = 16;
const PRE_SHARED_KEY: u16 = 41;
const EARLY_DATA: u16 = 42;
const SUPPORTED_VERSIONS: u16 = 43;

/// Most protocols of a client that are kept.
const MOST_PROTOCOLS: usize = 16;
/// Longest server name, bytes (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 255;
/// Longest session id (RFC 8446, 4.1.2).
const LONGEST_SESSION: usize = 32;

/// SHA-256 of "HelloRetryRequest": such a hello asks for another one (RFC 8446, 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A server's hello, or its wish for another one of the client.
pub(super) enum Answer {
    Hello(ServerHello),
    Retry,
}

/// A client's hello.
pub(super) fn client(body: &[u8]) -> Option<ClientHello> {
    let mut body = Bytes(body);
    let mut hello = ClientHello {
        version: body.number()?,
        random: body.array()?,
        session_id: session(&mut body)?.to_vec(),
        ..ClientHello::default()
    };
    let ciphers = body.long()?.0;
    if hello.version >> 8 != 3 || ciphers.is_empty() || !ciphers.len().is_multiple_of(2) {
        return None;
    }
    let _compression = body.short()?;
    // TLS 1.0 may leave the extensions out, and SSL 3 has none.
    if body.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = body.long()?;
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let mut value = extensions.long()?;
        match kind {
            SERVER_NAME => hello.server_name = server_name(&mut value),
            PROTOCOLS => hello.protocols = protocols(value.long()?),
            EARLY_DATA => hello.early_data = true,
            SUPPORTED_VERSIONS => {
                let mut list = value.short()?;
                let mut versions = std::iter::from_fn(|| list.number());
                // Others are there to be ignored (RFC 8701).
                let known = versions.by_ref().filter(|version| version >> 8 == 3);
                hello.version = known.fold(hello.version, u16::max);
            }
            _ => {}
        }
    }
    Some(hello)
}

/// A server's hello, in answer to one with the session id `offered`.
pub(super) fn server(body: &[u8], offered: &[u8]) -> Option<Answer> {
    let mut body = Bytes(body);
    let mut hello = ServerHello {
        version: body.number()?,
        random: body.array()?,
        ..ServerHello::default()
    };
    let echoed = session(&mut body)?;
    hello.cipher = body.number()?;
    let [_compression] = body.array()?;
    if hello.version >> 8 != 3 {
        return None;
    }
    let mut shared = false;
    if !body.0.is_empty() {
        let mut extensions = body.long()?;
        while !extensions.0.is_empty() {
            let kind = extensions.number()?;
            let mut value = extensions.long()?;
            match kind {
                PROTOCOLS => hello.protocol = protocols(value.long()?).into_iter().next(),
                SUPPORTED_VERSIONS => hello.version = value.number()?,
                PRE_SHARED_KEY => shared = true,
                _ => {}
            }
        }
    }
    if hello.random == RETRY {
        return Some(Answer::Retry);
    }
    // From TLS 1.3 on the session id is always repeated.
    hello.resumed = match hello.version {
        0x0304.. => shared,
        _ => !echoed.is_empty() && echoed == offered,
    };
    Some(Answer::Hello(hello))
}

fn session<'a>(body: &mut Bytes<'a>) -> Option<&'a [u8]> {
    let id = body.short()?.0;
    (id.len() <= LONGEST_SESSION).then_some(id)
}

/// The first name of the kind `host_name`; one that no host can have is none.
fn server_name(value: &mut Bytes<'_>) -> Option<String> {
    let mut list = value.long()?;
    let [0] = list.array()? else { return None };
    let name = list.long()?.0;
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let is_name = !name.is_empty() && name.len() <= LONGEST_NAME && name.iter().all(letter);
    is_name.then(|| text(name, LONGEST_NAME).to_ascii_lowercase())
}

fn protocols(mut list: Bytes<'_>) -> Vec<String> {
    let names = std::iter::from_fn(|| list.short());
    let plain = names.filter(|name| !name.0.is_empty());
    plain
        .take(MOST_PROTOCOLS)
        .map(|name| text(name.0, usize::from(u8::MAX)))
        .collect()
}

/// Bytes that are read from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// What a length of one byte encloses.
    fn short(&mut self) -> Option<Self> {
        let [len] = self.array()?;
        self.take(usize::from(len)).map(Self)
    }

    /// What a length of two bytes encloses.
    fn long(&mut self) -> Option<Self> {
        let len = self.number()?;
        self.take(usize::from(len)).map(Self)
    }
}

#[cfg(test)]
#[path = "hello_tests.rs"]
mod tests;
