//! Where OTLP goes, and how: by the rules of the specification.

use crate::config::{self, Invalid};

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    Http,
}

/// A resolved endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) protocol: Protocol,
    /// With scheme; with the signal's path, over HTTP.
    pub(super) uri: ::http::Uri,
}

impl Endpoint {
    pub(super) fn secure(&self) -> bool {
        self.uri.scheme() == Some(&::http::uri::Scheme::HTTPS)
    }
}

/// Where spans go, if anywhere.
pub(super) fn traces(otlp: &config::Otlp) -> Result<Option<Endpoint>, Invalid> {
    signal(otlp, &otlp.traces_endpoint, "traces")
}

/// Where the agent's metrics go, if anywhere.
pub(super) fn metrics(otlp: &config::Otlp) -> Result<Option<Endpoint>, Invalid> {
    if !otlp.metrics {
        return Ok(None);
    }
    signal(otlp, &otlp.metrics_endpoint, "metrics")
}

fn signal(
    otlp: &config::Otlp,
    own: &Option<String>,
    signal: &str,
) -> Result<Option<Endpoint>, Invalid> {
    let set = |text: &&str| !text.trim().is_empty() && otlp.enabled;
    if let Some(text) = own.as_deref().filter(set) {
        let key = format!("export.otlp.{signal}_endpoint");
        return resolve(otlp, &key, text.trim(), None).map(Some);
    }
    let Some(text) = otlp.endpoint.as_deref().filter(set) else {
        return Ok(None);
    };
    let path = format!("/v1/{signal}");
    resolve(otlp, "export.otlp.endpoint", text.trim(), Some(&path)).map(Some)
}

fn resolve(
    otlp: &config::Otlp,
    key: &str,
    text: &str,
    path: Option<&str>,
) -> Result<Endpoint, Invalid> {
    let wrong = |why: String| {
        let hint = "write it as http://HOST:4317 (gRPC) or http://HOST:4318 (HTTP)";
        Invalid::new(format!("{key} = \"{text}\""), why, hint)
    };
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let scheme = scheme.to_ascii_lowercase();
    let authority: String = rest.chars().take_while(|c| !"/?#".contains(*c)).collect();
    let protocol = protocol(otlp.protocol, &authority);
    let scheme = match (scheme.as_str(), protocol, otlp.insecure) {
        ("http" | "https", _, _) => scheme.as_str(),
        ("", Protocol::Grpc, true) => "http",
        ("", Protocol::Grpc, false) => "https",
        ("", Protocol::Http, _) => return Err(wrong("it has no http:// or https://".to_owned())),
        _ => {
            return Err(wrong(format!(
                "the scheme `{scheme}` is neither http nor https"
            )));
        }
    };
    let mut full = format!("{scheme}://{rest}");
    if let (Protocol::Http, Some(path)) = (protocol, path) {
        full.truncate(full.trim_end_matches('/').len());
        full.push_str(path);
    }
    let uri: ::http::Uri = full.parse().map_err(|error| wrong(format!("{error}")))?;
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("it names no host".to_owned()));
    }
    Ok(Endpoint { protocol, uri })
}

fn protocol(wanted: config::Protocol, authority: &str) -> Protocol {
    match wanted {
        config::Protocol::Grpc => Protocol::Grpc,
        config::Protocol::Auto if authority.ends_with(":4317") => Protocol::Grpc,
        config::Protocol::Http | config::Protocol::Auto => Protocol::Http,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(otlp: config::Otlp, expected: Result<Option<(Protocol, &str)>, &str>) {
        let found = traces(&otlp).map_err(|invalid| invalid.why);
        let found = found.map(|endpoint| endpoint.map(|e| (e.protocol, e.uri.to_string())));
        let expected = expected.map(|some| some.map(|(protocol, uri)| (protocol, uri.to_owned())));
        assert_eq!(
            found.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|e| *e)
        );
    }

    fn otlp(endpoint: &str) -> config::Otlp {
        config::Otlp {
            endpoint: Some(endpoint.to_owned()),
            ..config::Otlp::default()
        }
    }

    #[test]
    fn endpoints() {
        use Protocol::{Grpc, Http};
        check(config::Otlp::default(), Ok(None));
        check(otlp(" "), Ok(None));
        let disabled = config::Otlp {
            enabled: false,
            ..otlp("http://h:4317")
        };
        check(disabled, Ok(None));
        check(otlp("http://h:4317"), Ok(Some((Grpc, "http://h:4317/"))));
        check(
            otlp("http://[::1]:4317"),
            Ok(Some((Grpc, "http://[::1]:4317/"))),
        );
        check(
            otlp("http://h:4318"),
            Ok(Some((Http, "http://h:4318/v1/traces"))),
        );
        check(
            otlp("http://h:4318/"),
            Ok(Some((Http, "http://h:4318/v1/traces"))),
        );
        check(
            otlp("https://h/otlp/"),
            Ok(Some((Http, "https://h/otlp/v1/traces"))),
        );
        check(otlp("h:4317"), Ok(Some((Grpc, "https://h:4317/"))));
        let insecure = config::Otlp {
            insecure: true,
            ..otlp("h:4317")
        };
        check(insecure, Ok(Some((Grpc, "http://h:4317/"))));
        let forced = config::Otlp {
            protocol: config::Protocol::Http,
            ..otlp("http://h:4317")
        };
        check(forced, Ok(Some((Http, "http://h:4317/v1/traces"))));
        let own = config::Otlp {
            traces_endpoint: Some("http://other/in".to_owned()),
            ..otlp("http://h:4317")
        };
        check(own, Ok(Some((Http, "http://other/in"))));
    }

    #[test]
    fn bad_endpoints() {
        check(otlp("h:4318"), Err("it has no http:// or https://"));
        check(
            otlp("ftp://h"),
            Err("the scheme `ftp` is neither http nor https"),
        );
        check(otlp("http://"), Err("invalid format"));
        check(otlp("http://a b"), Err("invalid uri character"));
    }
}
