//! What a backend's answer means: taken, try again, or refused. By the OTLP specification.

use super::http::Heard;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Taken, but for some spans.
    Taken { rejected: u64 },
    /// Worth another try, after that pause if one was asked for.
    Retry {
        why: String,
        pause: Option<Duration>,
    },
    /// Refused for good.
    Refused(String),
}

/// Of an answer over HTTP that was not a success.
pub(super) fn http(heard: Option<Heard>, error: &str, target: &str) -> Answer {
    match heard {
        Some(Heard::Status { code, retry_after }) => {
            let why = format!("{target} answered {code}");
            match code {
                429 | 502 | 503 | 504 => Answer::Retry {
                    why,
                    pause: retry_after,
                },
                401 | 403 => Answer::Refused(format!("{why}: check export.otlp.headers")),
                404 => Answer::Refused(format!("{why}: check the endpoint's path")),
                415 => Answer::Refused(format!("{why}: is it an OTLP endpoint?")),
                _ => Answer::Refused(why),
            }
        }
        Some(Heard::Nothing(why)) => Answer::Retry {
            why: unreachable(target, &why),
            pause: None,
        },
        None => Answer::Refused(format!("{target}: {error}")),
    }
}

/// Of an error of the SDK's gRPC exporter: it names the code, and nothing else is handed out.
pub(super) fn grpc(error: &str, target: &str) -> Answer {
    let after = error
        .split_once("gRPC code: ")
        .map_or("", |(_, after)| after);
    let (code, detail) = after.split_once(": ").unwrap_or((after, ""));
    let answered = format!("{target} answered {code}");
    match code {
        // A transport that failed is `Unavailable` or `Unknown` with a cause of our own side.
        "Unavailable" | "Unknown" | "DeadlineExceeded" | "Cancelled" if !detail.is_empty() => {
            Answer::Retry {
                why: unreachable(target, detail),
                pause: None,
            }
        }
        "Cancelled" | "DeadlineExceeded" | "Aborted" | "OutOfRange" | "Unavailable"
        | "DataLoss" | "ResourceExhausted" => Answer::Retry {
            why: answered,
            pause: None,
        },
        "Unauthenticated" | "PermissionDenied" => {
            Answer::Refused(format!("{answered}: check export.otlp.headers"))
        }
        "Unimplemented" => Answer::Refused(format!("{answered}: is it an OTLP endpoint?")),
        "" => Answer::Refused(format!("{target}: {error}")),
        _ => Answer::Refused(answered),
    }
}

fn unreachable(target: &str, why: &str) -> String {
    // Each layer below names the same trouble again.
    let mut parts: Vec<&str> = why
        .split(": ")
        .filter(|part| *part != "transport error")
        .collect();
    parts.dedup();
    let why = parts.join(": ");
    format!("{target} cannot be reached: {why} (is the backend running, and the endpoint right?)")
}

/// Listens to what the SDK logs during one request: it is the only way to learn how many spans
/// a backend refused in a request that it took. What else is logged meanwhile is not kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Listener(Arc<Notes>);

#[derive(Debug, Default)]
struct Notes {
    rejected: AtomicU64,
    message: Mutex<String>,
}

impl Listener {
    /// Spans refused since the last call, and what was said about it.
    pub(super) fn rejected(&self) -> (u64, String) {
        let rejected = self.0.rejected.swap(0, Ordering::Relaxed);
        let mut message = self
            .0
            .message
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (rejected, std::mem::take(&mut message))
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= Level::WARN
            && metadata.target().starts_with("opentelemetry")
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Fields(&self.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Fields<'a>(&'a Notes);

impl Visit for Fields<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name() == "rejected_spans" {
            let rejected = u64::try_from(value).unwrap_or(0);
            self.0.rejected.fetch_add(rejected, Ordering::Relaxed);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "error_message" {
            let mut message = self
                .0
                .message
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *message = value
                .chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_grpc(error: &str, expected: &str) {
        let error = format!("Operation failed: TonicTracesClient export failed with {error}");
        assert_eq!(shown(grpc(&error, "T")), expected);
    }

    fn check_http(heard: Heard, expected: &str) {
        assert_eq!(shown(http(Some(heard), "E", "T")), expected);
    }

    fn shown(answer: Answer) -> String {
        match answer {
            Answer::Taken { rejected } => format!("taken -{rejected}"),
            Answer::Retry { why, pause } => format!("retry {pause:?} {why}"),
            Answer::Refused(why) => format!("refused {why}"),
        }
    }

    #[test]
    fn grpc_codes() {
        for code in ["Unavailable", "ResourceExhausted", "Aborted", "DataLoss"] {
            check_grpc(
                &format!("gRPC code: {code}"),
                &format!("retry None T answered {code}"),
            );
        }
        for code in ["InvalidArgument", "Internal", "Unknown", "NotFound"] {
            check_grpc(
                &format!("gRPC code: {code}"),
                &format!("refused T answered {code}"),
            );
        }
        check_grpc(
            "gRPC code: Unauthenticated",
            "refused T answered Unauthenticated: check export.otlp.headers",
        );
        check_grpc(
            "gRPC code: Unavailable: tcp connect error: Connection refused",
            "retry None T cannot be reached: tcp connect error: Connection refused (is the \
             backend running, and the endpoint right?)",
        );
    }

    #[test]
    fn http_codes() {
        let status = |code, seconds: Option<u64>| Heard::Status {
            code,
            retry_after: seconds.map(Duration::from_secs),
        };
        check_http(status(503, Some(7)), "retry Some(7s) T answered 503");
        check_http(status(429, None), "retry None T answered 429");
        check_http(status(502, None), "retry None T answered 502");
        check_http(status(504, None), "retry None T answered 504");
        check_http(status(400, None), "refused T answered 400");
        check_http(status(500, None), "refused T answered 500");
        check_http(
            status(403, None),
            "refused T answered 403: check export.otlp.headers",
        );
        check_http(
            Heard::Nothing("no route".to_owned()),
            "retry None T cannot be reached: no route (is the backend running, and the endpoint \
             right?)",
        );
    }
}
