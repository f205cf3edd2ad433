//! The `OTEL_*` variables, with the meaning that the OpenTelemetry specification gives them.
//!
//! A variable that is set to nothing counts as unset; the one for traces wins over the general.

use super::Invalid;
use super::source::Setting;
use figment::value::{Dict, Value};

/// How the text of a variable becomes a value.
type Read = fn(&str) -> Result<Value, String>;

/// Variable, key, reading. Later ones win over earlier ones.
const VARIABLES: &[(&str, &str, Read)] = &[
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "export.otlp.endpoint", text),
    (
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "export.otlp.protocol",
        protocol,
    ),
    ("OTEL_EXPORTER_OTLP_HEADERS", "export.otlp.headers", headers),
    (
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        "export.otlp.compression",
        text,
    ),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "export.otlp.timeout", millis),
    (
        "OTEL_EXPORTER_OTLP_INSECURE",
        "export.otlp.insecure",
        boolean,
    ),
    (
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "export.otlp.certificate",
        text,
    ),
    (
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        "export.otlp.client_certificate",
        text,
    ),
    (
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        "export.otlp.client_key",
        text,
    ),
    (
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "export.otlp.metrics_endpoint",
        text,
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "export.otlp.traces_endpoint",
        text,
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "export.otlp.protocol",
        protocol,
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "export.otlp.headers",
        headers,
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
        "export.otlp.compression",
        text,
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "export.otlp.timeout",
        millis,
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
        "export.otlp.insecure",
        boolean,
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
        "export.otlp.certificate",
        text,
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
        "export.otlp.client_certificate",
        text,
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
        "export.otlp.client_key",
        text,
    ),
    ("OTEL_TRACES_EXPORTER", "export.otlp.enabled", exporter),
    ("OTEL_METRICS_EXPORTER", "export.otlp.metrics", exporter),
    (
        "OTEL_METRIC_EXPORT_INTERVAL",
        "export.otlp.metrics_interval",
        millis,
    ),
    ("OTEL_TRACES_SAMPLER", "sampling.sampler", text),
    ("OTEL_TRACES_SAMPLER_ARG", "sampling.ratio", ratio),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "export.queue.spans", number),
    (
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "export.queue.batch",
        number,
    ),
    ("OTEL_BSP_SCHEDULE_DELAY", "export.queue.interval", millis),
];

/// The settings that the environment's standard variables make.
pub(super) fn standard(vars: &[(String, String)]) -> Result<Vec<Setting>, Invalid> {
    let mut settings = Vec::new();
    for (name, key, read) in VARIABLES {
        let Some(text) = find(vars, name) else {
            continue;
        };
        let value = read(text).map_err(|why| {
            let hint = format!("unset {name}, or set {key} in the settings file instead");
            Invalid::new(*name, why, hint)
        })?;
        settings.push(Setting::value(*name, *key, value));
    }
    Ok(settings)
}

fn find<'a>(vars: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, text) = vars.iter().find(|(other, _)| other == name)?;
    let text = text.trim();
    (!text.is_empty()).then_some(text)
}

#[expect(clippy::unnecessary_wraps, reason = "one of several readings")]
fn text(text: &str) -> Result<Value, String> {
    Ok(Value::from(text))
}

fn protocol(text: &str) -> Result<Value, String> {
    match text {
        "grpc" | "http/protobuf" => Ok(Value::from(text)),
        "http/json" => Err("http/json is not spoken".to_owned()),
        _ => Err(format!("`{text}` is neither grpc nor http/protobuf")),
    }
}

fn boolean(text: &str) -> Result<Value, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(Value::from(true)),
        "false" => Ok(Value::from(false)),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

fn millis(text: &str) -> Result<Value, String> {
    let parsed = text.parse::<u64>();
    let number = parsed.map_err(|_| format!("`{text}` is not a number of milliseconds"))?;
    Ok(Value::from(format!("{number}ms")))
}

fn number(text: &str) -> Result<Value, String> {
    let parsed = text.parse::<u64>();
    parsed
        .map(Value::from)
        .map_err(|_| format!("`{text}` is not a whole number"))
}

fn ratio(text: &str) -> Result<Value, String> {
    let parsed = text.parse::<f64>();
    parsed
        .map(Value::from)
        .map_err(|_| format!("`{text}` is not a number from 0 to 1"))
}

fn exporter(text: &str) -> Result<Value, String> {
    match text {
        "none" => Ok(Value::from(false)),
        "otlp" => Ok(Value::from(true)),
        _ => Err(format!(
            "`{text}` is no exporter that weft has: otlp or none"
        )),
    }
}

/// `key=value,key=value`, values percent-encoded.
fn headers(text: &str) -> Result<Value, String> {
    let mut headers = Dict::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let (key, value) = part
            .split_once('=')
            .ok_or("a part is not KEY=VALUE (not shown: it may be a secret)")?;
        let value = decode(value.trim());
        headers.insert(key.trim().to_owned(), Value::from(value));
    }
    Ok(Value::from(headers))
}

/// Percent-decodes; what is not an escape stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.split_at_checked(2).and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok()?;
            let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let byte = u8::from_str_radix(digits, 16).ok()?;
            (*first == b'%' && all_hex).then_some((byte, after))
        });
        let (byte, after) = escape.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(vars: &[(&str, &str)], expected: Result<&[(&str, Value)], &str>) {
        let vars: Vec<_> = vars
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let settings = standard(&vars).map_err(|invalid| invalid.why);
        let found = settings.as_ref().map(|settings| {
            let pair = |setting: &Setting| (setting.key.clone(), setting.value.clone());
            settings.iter().map(pair).collect::<Vec<_>>()
        });
        let expected = expected.map(|pairs| {
            let pair = |(key, value): &(&str, Value)| ((*key).to_owned(), value.clone());
            pairs.iter().map(pair).collect::<Vec<_>>()
        });
        assert_eq!(found.map_err(String::as_str), expected);
    }

    #[test]
    fn variables_become_settings() {
        check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], Ok(&[]));
        check(&[("OTEL_SERVICE_NAME", "mine")], Ok(&[]));
        check(
            &[
                ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ],
            Ok(&[
                ("export.otlp.timeout", Value::from("1ms")),
                ("export.otlp.timeout", Value::from("2500ms")),
            ]),
        );
        check(
            &[
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ],
            Ok(&[
                ("export.otlp.enabled", Value::from(false)),
                ("sampling.ratio", Value::from(0.25)),
            ]),
        );
        check(
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "smoke")],
            Err("`smoke` is neither grpc nor http/protobuf"),
        );
        check(
            &[("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")],
            Err("`10s` is not a number of milliseconds"),
        );
    }

    #[test]
    fn headers_are_split_and_decoded() {
        let expected = Dict::from([
            ("a".to_owned(), Value::from("b=c d")),
            ("x".to_owned(), Value::from("100%")),
        ]);
        let vars = [("OTEL_EXPORTER_OTLP_HEADERS", "a=b%3Dc%20d, x = 100%,")];
        check(&vars, Ok(&[("export.otlp.headers", Value::from(expected))]));
        let secret = [("OTEL_EXPORTER_OTLP_HEADERS", "hunter2")];
        check(
            &secret,
            Err("a part is not KEY=VALUE (not shown: it may be a secret)"),
        );
    }
}
