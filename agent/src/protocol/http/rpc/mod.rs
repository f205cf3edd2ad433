//! Remote procedure calls over HTTP: gRPC, gRPC-Web and Connect.
//!
//! In: heads, bodies and trailers of an exchange that is a call. Out: what the conventions want
//! to know of it: method, status, how many messages went each way. Of bodies only the heads of
//! messages are looked at, and the last message where it carries the status. Not here: anything
//! of what messages say.
//!
//! | file | what |
//! |---|---|
//! | `code` | status codes, and which of them are whose error |
//! | `message` | where messages begin and end |
//! | `ending` | the status in a last message |

mod code;
mod ending;
mod message;

use super::field::Media;
use super::head::Head;
use super::operation::{self, Forwarded};
use crate::protocol::exchange::{Attribute, Moment, Operation, Outcome, Role, Target};
use crate::record::Nanos;
use crate::semconv;
pub(in crate::protocol) use code::Code;
use ending::Ending;
use message::Messages;
use std::borrow::Cow;

/// The convention's word for a method that nobody knows.
const OTHER: &str = "_OTHER";
/// How much sooner than its deadline a call may be given up for it to be the reason: both
/// moments are those of hooks, which run a little later than what they see.
const SLACK: Nanos = 2_000_000;

/// How calls are put into HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum System {
    Grpc,
    /// Trailers are a last message; `text` is base64.
    Web {
        text: bool,
    },
    /// Connect, a message each way, and nothing around them.
    Unary,
    /// Connect, messages as in gRPC, and a last one with the status.
    Streaming,
}

/// Which body: that of the request, that of the answer.
pub(in crate::protocol) const ASKED: usize = 0;
pub(in crate::protocol) const ANSWERED: usize = 1;

/// A call under way.
#[derive(Clone, Debug)]
pub(in crate::protocol) struct Call {
    system: System,
    /// How long the client waits.
    timeout: Option<Nanos>,
    /// Of the request, of the answer.
    messages: [Messages; 2],
    code: Option<Code>,
    /// What the last message of the answer says.
    ending: Ending,
    /// The answer is no error: nothing of its body is looked at.
    plain: bool,
}

impl Call {
    /// The call that a request with that head makes, if it is one.
    pub(in crate::protocol) fn of(head: &Head) -> Option<Box<Self>> {
        let fields = &head.fields;
        let unary = || {
            let get = head.method == "GET" && has_parameter(head.query.as_deref(), "connect=v1");
            get || (fields.connects && head.method == "POST")
        };
        let system = match fields.media {
            Some(Media::Grpc) => System::Grpc,
            Some(Media::Web) => System::Web { text: false },
            Some(Media::WebText) => System::Web { text: true },
            Some(Media::Connect) => System::Streaming,
            _ if unary() => System::Unary,
            _ => return None,
        };
        let posted = head.method == "POST" || head.method.is_empty();
        if system != System::Unary && !posted {
            return None;
        }
        let text = system == System::Web { text: true };
        Some(Box::new(Self {
            system,
            timeout: fields.timeout,
            messages: [Messages::new(text), Messages::new(text)],
            code: None,
            ending: Ending::default(),
            plain: false,
        }))
    }

    const fn name(&self) -> &'static str {
        match self.system {
            System::Grpc | System::Web { .. } => "grpc",
            System::Unary | System::Streaming => "connectrpc",
        }
    }

    /// What is asked for. Takes the texts out of `head`.
    pub(in crate::protocol) fn operation(&self, head: &mut Head, role: Role) -> Operation {
        let mut attributes = Vec::with_capacity(operation::ROOM);
        attributes.push(Attribute::fixed(semconv::RPC_SYSTEM_NAME, self.name()));
        let path = head.path.take();
        let known = path.as_deref().and_then(method).map(str::to_owned);
        match (&known, path) {
            (Some(known), _) => {
                attributes.push(Attribute::new(semconv::RPC_METHOD, known.clone()));
            }
            (None, Some(path)) => {
                attributes.push(Attribute::fixed(semconv::RPC_METHOD, OTHER));
                attributes.push(Attribute::new(semconv::RPC_METHOD_ORIGINAL, path));
            }
            (None, None) => {}
        }
        let mut forwarded = Forwarded::of(&head.fields, role);
        operation::put_server(head, &mut forwarded, &mut attributes);
        if let (Role::Server, Some(client)) = (role, forwarded.client) {
            attributes.push(Attribute::new(semconv::CLIENT_ADDRESS, client));
        }
        attributes.push(Attribute::fixed(semconv::NETWORK_PROTOCOL_NAME, "http"));
        if let Some(version) = head.version {
            let version = Attribute::fixed(semconv::NETWORK_PROTOCOL_VERSION, version);
            attributes.push(version);
        }
        if let Some(timeout) = self.timeout
            && let Ok(timeout) = i64::try_from(timeout / 1_000_000)
        {
            attributes.push(Attribute::new(semconv::WEFT_RPC_TIMEOUT, timeout));
        }
        Operation {
            verb: Cow::Borrowed(self.name()),
            target: known.map(Target::Method),
            attributes,
        }
    }

    /// Bytes of a body, of the request or of the answer.
    pub(in crate::protocol) fn body(&mut self, half: usize, bytes: &[u8]) {
        let Some(messages) = self.messages.get_mut(half) else {
            return;
        };
        let ending = &mut self.ending;
        match self.system {
            System::Unary if half == ANSWERED && !self.plain => ending.take(0, bytes),
            System::Unary => {}
            _ => messages.feed(bytes, |flags, bytes| {
                if half == ANSWERED {
                    ending.take(flags, bytes);
                }
            }),
        }
    }

    /// Bytes of a body were not seen.
    pub(in crate::protocol) fn skip(&mut self, half: usize, bytes: u64) {
        if let Some(messages) = self.messages.get_mut(half) {
            messages.skip(bytes);
        }
        if half == ANSWERED {
            self.ending.lose();
        }
    }

    /// Nobody knows how many bytes of a body were not seen.
    pub(in crate::protocol) fn lose(&mut self, half: usize) {
        self.skip(half, u64::MAX);
    }

    /// The head or the trailers of the answer, with the statuses that they name.
    pub(in crate::protocol) fn headed(&mut self, status: Option<u16>, number: Option<u16>) {
        self.plain |= status == Some(200);
        if let Some(number) = number {
            self.code = Some(Code::grpc(number));
        }
    }

    /// The answer is over: what is to be told, and how it went. `unknown` when fields of it are
    /// not known.
    pub(in crate::protocol) fn answered(
        &mut self,
        status: Option<u16>,
        unknown: bool,
        attributes: &mut Vec<Attribute>,
    ) -> Outcome {
        if self.code.is_none() {
            self.code = self.told(status, unknown);
        }
        self.put(attributes);
        match &self.code {
            Some(code) => code.outcome(),
            None if unknown => Outcome::Unknown,
            None => super::outcome(status.filter(|status| *status != 200)),
        }
    }

    /// The status, where no field names it.
    fn told(&self, status: Option<u16>, unknown: bool) -> Option<Code> {
        match self.system {
            System::Grpc if unknown => None,
            // gRPC: what a client makes of an answer that is none.
            System::Grpc => Some(Code::of_http(status?)),
            System::Web { .. } => self.ending.web(),
            System::Unary if status == Some(200) => Some(Code::connect_ok()),
            System::Unary => self.ending.unary(),
            System::Streaming => self.ending.streaming(),
        }
    }

    /// It was given up by the client or by the server, by an error of the stream.
    pub(in crate::protocol) fn reset(
        &mut self,
        by_client: bool,
        error: u32,
        start: Moment,
        end: Moment,
    ) -> Option<Outcome> {
        if self.system != System::Grpc {
            return None;
        }
        let waited = end.at.saturating_sub(start.at).saturating_add(SLACK);
        let late = self.timeout.is_some_and(|timeout| waited >= timeout);
        let code = match (by_client, late) {
            (true, true) => Code::deadline_exceeded(),
            _ => Code::of_reset(error),
        };
        let outcome = code.outcome();
        self.code = Some(code);
        Some(outcome)
    }

    /// Adds what was learnt behind the request's head.
    pub(in crate::protocol) fn put(&self, attributes: &mut Vec<Attribute>) {
        if let Some(code) = &self.code {
            attributes.push(Attribute {
                key: semconv::RPC_STATUS_CODE,
                value: code.value(),
            });
        }
        if self.system == System::Unary {
            return;
        }
        let keys = [
            semconv::WEFT_RPC_REQUEST_MESSAGES,
            semconv::WEFT_RPC_RESPONSE_MESSAGES,
        ];
        for (key, messages) in keys.into_iter().zip(&self.messages) {
            super::put_size(key, messages.count(), attributes);
        }
    }

    /// Messages were not seen: their number is not known.
    pub(in crate::protocol) fn is_cut(&self) -> bool {
        let counted = self
            .messages
            .iter()
            .all(|messages| messages.count().is_some());
        self.system != System::Unary && !counted
    }
}

/// `package.Service/Method` of a path; anything before the last two words is where the services
/// are mounted.
fn method(path: &str) -> Option<&str> {
    let path = path.strip_prefix('/')?;
    let (service, method) = path.rsplit_once('/')?;
    let mount = service.rfind('/').map_or(0, |slash| slash + 1);
    let service = service.get(mount..)?;
    let word = |text: &str| {
        let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        !text.is_empty() && text.bytes().all(name)
    };
    (word(service) && word(method)).then(|| path.get(mount..).unwrap_or(path))
}

/// Is one of a query's parameters `wanted`?
fn has_parameter(query: Option<&str>, wanted: &str) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair == wanted))
}

/// `grpc-timeout`: up to eight digits and a unit, in ns.
pub(super) fn timeout(value: &[u8]) -> Option<Nanos> {
    let (unit, digits) = value.split_last()?;
    let unit = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    let number = super::field::number(digits).filter(|_| digits.len() <= 8)?;
    number.checked_mul(unit)
}

#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
