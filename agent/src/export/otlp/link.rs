//! The one connection to a backend, and the SDK exporters that share it.

use super::answer::{self, Answer, Listener};
use super::endpoint::{Endpoint, Protocol};
use super::http::{Line, Pool};
use super::tls;
use crate::config::{self, Compression, Invalid};
use ::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, RetryPolicy, SpanExporter, WithExportConfig,
    WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tonic::transport::Channel;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

/// A way to a backend. Nothing is connected before it is used.
pub(super) struct Link {
    wire: Wire,
    target: String,
    gzip: bool,
    timeout: Duration,
}

enum Wire {
    Grpc {
        channel: Channel,
        headers: Arc<HeaderMap>,
    },
    Http {
        pool: Box<Pool>,
        uri: String,
    },
}

/// Sends the spans of one service.
pub(super) struct Sender {
    exporter: SpanExporter,
    /// Only over HTTP.
    line: Option<Line>,
    listener: Listener,
    dispatch: Dispatch,
    /// One request at a time: the listener belongs to it.
    turn: Mutex<()>,
    target: String,
    timeout: Duration,
}

impl Link {
    pub(super) fn open(endpoint: &Endpoint, otlp: &config::Otlp) -> Result<Self, Invalid> {
        let headers = headers(&otlp.headers)?;
        let wire = match endpoint.protocol {
            Protocol::Grpc => Wire::Grpc {
                channel: channel(endpoint, otlp)?,
                headers: Arc::new(headers),
            },
            Protocol::Http => Wire::Http {
                pool: Box::new(Pool::open(endpoint, otlp, headers)?),
                uri: endpoint.uri.to_string(),
            },
        };
        Ok(Self {
            wire,
            target: endpoint.uri.to_string().trim_end_matches('/').to_owned(),
            gzip: otlp.compression == Compression::Gzip,
            timeout: otlp.timeout.0,
        })
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// An exporter of spans with that Resource.
    pub(super) fn sender(&self, resource: &Resource) -> Result<Sender, ExporterBuildError> {
        let (mut exporter, line) = self.span_exporter()?;
        exporter.set_resource(resource);
        let listener = Listener::default();
        Ok(Sender {
            exporter,
            line,
            dispatch: Dispatch::new(listener.clone()),
            listener,
            turn: Mutex::default(),
            target: self.target.clone(),
            timeout: self.timeout,
        })
    }

    fn span_exporter(&self) -> Result<(SpanExporter, Option<Line>), ExporterBuildError> {
        match &self.wire {
            Wire::Grpc { channel, headers } => {
                let builder = SpanExporter::builder().with_tonic();
                let builder = self.tonic(builder, channel, headers);
                Ok((builder.with_timeout(self.timeout).build()?, None))
            }
            Wire::Http { pool, uri } => {
                let line = pool.line();
                let builder = SpanExporter::builder().with_http().with_endpoint(uri);
                let builder = builder
                    .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                    .with_timeout(self.timeout);
                Ok((self.http(builder, line.clone()).build()?, Some(line)))
            }
        }
    }

    /// An exporter of metrics, always cumulative: a lost message then loses nothing.
    pub(super) fn metric_exporter(&self) -> Result<MetricExporter, ExporterBuildError> {
        let builder = MetricExporter::builder().with_temporality(Temporality::Cumulative);
        match &self.wire {
            Wire::Grpc { channel, headers } => {
                let builder = self.tonic(builder.with_tonic(), channel, headers);
                builder.with_timeout(self.timeout).build()
            }
            Wire::Http { pool, uri } => {
                let builder = builder.with_http().with_endpoint(uri);
                let builder = builder
                    .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                    .with_timeout(self.timeout);
                self.http(builder, pool.line()).build()
            }
        }
    }

    fn tonic<B: WithTonicConfig>(&self, builder: B, channel: &Channel, own: &Arc<HeaderMap>) -> B {
        let own = Arc::clone(own);
        let builder = builder
            .with_channel(channel.clone())
            .with_retry_policy(RetryPolicy::disabled())
            // Last in line: what the settings say replaces what the SDK read by itself.
            .with_interceptor(move |request| Ok(with_headers(request, &own)));
        if self.gzip {
            builder.with_compression(opentelemetry_otlp::Compression::Gzip)
        } else {
            builder
        }
    }

    fn http<B: WithHttpConfig>(&self, builder: B, line: Line) -> B {
        let builder = builder
            .with_http_client(line)
            .with_retry_policy(RetryPolicy::disabled());
        if self.gzip {
            builder.with_compression(opentelemetry_otlp::Compression::Gzip)
        } else {
            builder
        }
    }
}

impl Sender {
    /// Sends one request and says what became of it.
    pub(super) async fn send(&self, spans: Vec<SpanData>) -> Answer {
        let _turn = self.turn.lock().await;
        let request = self.exporter.export(spans);
        let request = request.with_subscriber(self.dispatch.clone());
        let Ok(result) = tokio::time::timeout(self.timeout, request).await else {
            return Answer::Retry {
                why: format!("{} did not answer within {:?}", self.target, self.timeout),
                pause: None,
            };
        };
        let (rejected, message) = self.listener.rejected();
        if rejected > 0 {
            tracing::debug!("{} rejected {rejected} spans: {message}", self.target);
        }
        let heard = self.line.as_ref().map(Line::heard);
        match (result, heard) {
            (Ok(()), _) => Answer::Taken { rejected },
            (Err(error), Some(heard)) => answer::http(heard, &error.to_string(), &self.target),
            (Err(error), None) => answer::grpc(&error.to_string(), &self.target),
        }
    }
}

fn with_headers(mut request: tonic::Request<()>, headers: &HeaderMap) -> tonic::Request<()> {
    let metadata = std::mem::take(request.metadata_mut());
    let mut all = metadata.into_headers();
    for (name, value) in headers {
        all.insert(name, value.clone());
    }
    *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(all);
    request
}

fn channel(endpoint: &Endpoint, otlp: &config::Otlp) -> Result<Channel, Invalid> {
    let wrong = |error: tonic::transport::Error| {
        let hint = "check export.otlp.endpoint and the certificates";
        Invalid::new(endpoint.uri.to_string(), error.to_string(), hint)
    };
    let mut channel = Channel::builder(endpoint.uri.clone())
        .timeout(otlp.timeout.0)
        .connect_timeout(otlp.timeout.0)
        .tcp_nodelay(true)
        .user_agent(concat!("weft/", env!("CARGO_PKG_VERSION")))
        .map_err(wrong)?;
    if endpoint.secure() {
        channel = channel.tls_config(tls::grpc(otlp)?).map_err(wrong)?;
    }
    Ok(channel.connect_lazy())
}

fn headers(wanted: &BTreeMap<String, String>) -> Result<HeaderMap, Invalid> {
    let mut headers = HeaderMap::new();
    for (name, value) in wanted {
        let subject = format!("export.otlp.headers.{name}");
        // Values are secrets: never shown.
        let wrong = |what: &str| {
            let hint = "names are letters, digits and -; values are visible characters";
            Invalid::new(&subject, format!("the {what} is no HTTP header's"), hint)
        };
        let name: HeaderName = name.parse().map_err(|_| wrong("name"))?;
        let mut value: HeaderValue = value.parse().map_err(|_| wrong("value"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
