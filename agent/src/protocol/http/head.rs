//! What is kept of a request's head, whatever the version of HTTP.

use super::field::{Fields, LONGEST_NAME};
use crate::protocol::text::{LONGEST, text};
use std::borrow::Cow;

/// Methods that the semantic conventions know: RFC 9110 and 5789. Others are `_OTHER`.
const KNOWN: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// What is kept of a request's head.
#[derive(Clone, Debug, Default)]
pub(in crate::protocol) struct Head {
    /// Borrowed if it is a known one; empty if it was not understood.
    pub(in crate::protocol) method: Cow<'static, str>,
    pub(in crate::protocol) path: Option<String>,
    pub(in crate::protocol) query: Option<String>,
    /// Scheme of an absolute-form target, or `:scheme`.
    pub(in crate::protocol) scheme: Option<&'static str>,
    /// Authority of an absolute-form or authority-form target, or `:authority`.
    pub(in crate::protocol) authority: Option<String>,
    /// `network.protocol.version`.
    pub(in crate::protocol) version: Option<&'static str>,
    /// Size of the body as announced.
    pub(in crate::protocol) announced: Option<u64>,
    pub(in crate::protocol) fields: Fields,
}

impl Head {
    /// Takes a path with its query.
    pub(in crate::protocol) fn put_target(&mut self, target: &[u8]) {
        let target = target.split(|&byte| byte == b'#').next().unwrap_or(target);
        let mut parts = target.splitn(2, |&byte| byte == b'?');
        self.path = parts.next().map(|path| match path {
            [] => "/".to_owned(),
            path => text(path, LONGEST),
        });
        self.query = parts.next().map(|query| text(query, LONGEST));
    }

    /// Takes a host with its port; user and password never leave this line.
    pub(in crate::protocol) fn put_authority(&mut self, authority: &[u8]) {
        let host = authority.rsplit(|&byte| byte == b'@').next();
        self.authority = host.map(|host| text(host, LONGEST_NAME));
    }
}

/// The method, without memory of its own if it is a known one.
pub(in crate::protocol) fn method(bytes: &[u8]) -> Cow<'static, str> {
    let known = KNOWN.iter().find(|known| known.as_bytes() == bytes);
    known.map_or_else(
        || Cow::Owned(text(bytes, LONGEST_NAME)),
        |known| Cow::Borrowed(*known),
    )
}
