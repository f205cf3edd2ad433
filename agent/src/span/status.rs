//! Status and `error.type` of a span.
//!
//! In: how an exchange went, and on which side. Out: OTLP's status and a reason of low
//! cardinality. After the semantic conventions a caller's mistake is no error of the server.

use super::Status;
use crate::protocol::exchange::{Outcome, Role};

/// `error.type` of an exchange whose connection ended before the answer did.
pub const CONNECTION_CLOSED: &str = "connection_closed";

/// Status and `error.type`.
#[must_use]
pub fn status(outcome: &Outcome, role: Role) -> (Status, Option<&str>) {
    match (outcome, role) {
        (Outcome::Ok | Outcome::Unknown, _) => (Status::Unset, None),
        (Outcome::ClientError { .. }, Role::Server) => (Status::Unset, None),
        (Outcome::ClientError { kind }, Role::Client) | (Outcome::ServerError { kind }, _) => {
            (Status::Error, Some(kind))
        }
        (Outcome::Aborted, _) => (Status::Error, Some(CONNECTION_CLOSED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outcome: &Outcome, server: Option<&str>, client: Option<&str>) {
        for (role, expected) in [(Role::Server, server), (Role::Client, client)] {
            let (found, kind) = status(outcome, role);
            assert_eq!(kind, expected, "{outcome:?} {role:?}");
            assert_eq!(found == Status::Error, expected.is_some());
        }
    }

    #[test]
    fn errors_by_side() {
        let kind = || "418".to_owned();
        check(&Outcome::Ok, None, None);
        check(&Outcome::Unknown, None, None);
        check(&Outcome::ClientError { kind: kind() }, None, Some("418"));
        check(
            &Outcome::ServerError { kind: kind() },
            Some("418"),
            Some("418"),
        );
        check(
            &Outcome::Aborted,
            Some(CONNECTION_CLOSED),
            Some(CONNECTION_CLOSED),
        );
    }
}
