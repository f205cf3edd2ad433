//! The HTTP client under OTLP/HTTP: HTTP/1.1 with keep-alive, one pool for all services.

use super::endpoint::Endpoint;
use super::tls;
use crate::config::{self, Invalid};
use ::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// Longest answer that is read.
const ANSWER: usize = 1 << 20;

/// The pool. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    headers: Arc<HeaderMap>,
    timeout: Duration,
    /// Where connections live: the SDK also asks from threads outside of it.
    runtime: Handle,
}

/// The client of one service: remembers what the SDK's errors leave out.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pool: Pool,
    last: Arc<Mutex<Option<Heard>>>,
}

/// What the other side said, or why it said nothing.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    Status {
        code: u16,
        retry_after: Option<Duration>,
    },
    Nothing(String),
}

impl Pool {
    pub(super) fn open(
        endpoint: &Endpoint,
        otlp: &config::Otlp,
        headers: HeaderMap,
    ) -> Result<Self, Invalid> {
        let tls = if endpoint.secure() {
            tls::http(otlp)?
        } else {
            tls::unused()?
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            headers: Arc::new(headers),
            timeout: otlp.timeout.0,
            runtime: Handle::current(),
        })
    }

    pub(super) fn line(&self) -> Line {
        Line {
            pool: self.clone(),
            last: Arc::default(),
        }
    }

    async fn ask(self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Failed> {
        for (name, value) in self.headers.iter() {
            request.headers_mut().insert(name, value.clone());
        }
        let exchange = async {
            let response = self.client.request(request.map(Full::new)).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {:?}", self.timeout).into()),
        }
    }
}

type Failed = Box<dyn Error + Send + Sync>;

impl Line {
    /// What was heard last.
    pub(super) fn heard(&self) -> Option<Heard> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

#[async_trait::async_trait]
impl opentelemetry_http::HttpClient for Line {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failed> {
        let asked = self.pool.runtime.spawn(self.pool.clone().ask(request));
        let result = match asked.await {
            Ok(result) => result,
            Err(error) => Err(Failed::from(error)),
        };
        let heard = match &result {
            Ok(response) => Heard::Status {
                code: response.status().as_u16(),
                retry_after: retry_after(response.headers()),
            },
            Err(error) => Heard::Nothing(chain(error.as_ref())),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard);
        result
    }
}

/// The form in seconds; the form with a date is rare and needs a clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(::http::header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// An error and its causes; the innermost is what helps.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
