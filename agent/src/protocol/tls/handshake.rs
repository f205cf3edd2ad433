//! What a handshake tells of its connection.
//!
//! In: parsed hellos and how the handshake went. Out: [`Handshake`], and for a span of the
//! connection its attributes and outcome. Not here: bytes.

use super::names;
use crate::protocol::exchange::{Attribute, Moment, Operation, Outcome, Role};
use crate::semconv;
use std::borrow::Cow;

/// What is known of a connection's handshake. Reported when the client's hello is known, and
/// again whenever more is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The client is who sends its hello.
    pub role: Role,
    /// First byte of the client's hello.
    pub start: Moment,
    /// What the client said.
    pub client: ClientHello,
    /// What the server chose.
    pub server: Option<ServerHello>,
    /// The server asked for another hello, which repeats the random.
    pub retried: bool,
    /// How far it has come.
    pub stage: Stage,
}

/// A client's hello (RFC 8446, 4.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// Crosses the wire in the clear, and the TLS library keeps it: a session is found by it.
    pub random: [u8; 32],
    /// At most 32 bytes.
    pub session_id: Vec<u8>,
    /// SNI (RFC 6066, 3).
    pub server_name: Option<String>,
    /// ALPN (RFC 7301), in the client's order.
    pub protocols: Vec<String>,
    /// Highest version.
    pub version: u16,
    /// Data may follow before the server has answered.
    pub early_data: bool,
}

/// A server's hello (RFC 8446, 4.1.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerHello {
    /// Its random.
    pub random: [u8; 32],
    /// The version that is spoken.
    pub version: u16,
    /// Cipher suite.
    pub cipher: u16,
    /// ALPN; from TLS 1.3 on it is encrypted.
    pub protocol: Option<String>,
    /// An earlier session goes on.
    pub resumed: bool,
}

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The client said hello.
    Offered,
    /// The server said hello.
    Chosen,
    /// Both have what they need: what follows is the application's.
    Established(Moment),
    /// It failed.
    Failed(Failure, Moment),
}

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An alert in the clear, by its number (RFC 8446, 6).
    Alert(u8),
    /// An alert of the client that is encrypted.
    EncryptedAlert,
    /// The connection ended.
    Closed,
    /// The server answered with something else than TLS.
    NotTls,
}

impl Handshake {
    /// Nothing more of the handshake is to be learnt.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Established(_) | Stage::Failed(..))
    }

    /// What a span of the whole connection says.
    #[must_use]
    pub fn operation(&self) -> Operation {
        let mut all = Vec::new();
        let mut put = |key, value: Option<&str>| {
            all.extend(value.map(|value| Attribute::new(key, value)));
        };
        // Since 1.26 the conventions have SNI as the server's address.
        put(semconv::SERVER_ADDRESS, self.client.server_name.as_deref());
        let chosen = self.server.as_ref();
        put(
            semconv::TLS_NEXT_PROTOCOL,
            chosen.and_then(|server| server.protocol.as_deref()),
        );
        if let Some(server) = chosen {
            let (name, version) = names::version(server.version);
            all.extend(name.map(|name| Attribute::fixed(semconv::TLS_PROTOCOL_NAME, name)));
            all.extend(version.map(|text| Attribute::fixed(semconv::TLS_PROTOCOL_VERSION, text)));
            let cipher = names::cipher(server.cipher);
            all.extend(cipher.map(|cipher| Attribute::fixed(semconv::TLS_CIPHER, cipher)));
            all.push(Attribute::new(semconv::TLS_RESUMED, server.resumed));
        }
        match self.stage {
            Stage::Established(_) => all.push(Attribute::new(semconv::TLS_ESTABLISHED, true)),
            Stage::Failed(..) => all.push(Attribute::new(semconv::TLS_ESTABLISHED, false)),
            Stage::Offered | Stage::Chosen => {}
        }
        Operation {
            verb: Cow::Borrowed("TLS"),
            target: None,
            attributes: all,
        }
    }

    /// How the connection went, as far as the handshake tells.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let kind = match self.stage {
            Stage::Established(_) => return Outcome::Ok,
            Stage::Offered | Stage::Chosen => return Outcome::Unknown,
            Stage::Failed(Failure::Closed, _) => return Outcome::Aborted,
            Stage::Failed(Failure::Alert(number), _) => names::alert(number),
            Stage::Failed(Failure::EncryptedAlert, _) => "encrypted_alert",
            Stage::Failed(Failure::NotTls, _) => "not_tls",
        };
        Outcome::ServerError {
            kind: kind.to_owned(),
        }
    }
}
