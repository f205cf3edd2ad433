//! Against real servers in this process: a gRPC service and an HTTP/1 server, both decoding what
//! they get with the published messages.

use super::*;
use crate::export::Batch;
use crate::metadata::{ResourceValue, Runtime, Service};
use crate::protocol::exchange::{Attribute, Role, Value};
use crate::semconv;
use crate::span::{Evidence, Parent, Span, SpanId, Status, TraceId};
use crate::stats::{CAPTURE_LOST, Stats};
use ::http::{HeaderMap, StatusCode};
use axum::body::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use std::io::Read;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tonic::transport::{Certificate, Identity};

fn service(name: &str, tgid: u32) -> Arc<Service> {
    Arc::new(Service {
        name: name.to_owned(),
        tgid,
        runtime: Runtime::Node,
        resource: vec![
            (
                semconv::PROCESS_PID.to_owned(),
                ResourceValue::Int(tgid.into()),
            ),
            (
                semconv::SERVICE_NAME.to_owned(),
                ResourceValue::Text(name.to_owned()),
            ),
        ],
    })
}

fn span(id: u8, service: &Arc<Service>) -> Span {
    Span {
        trace: TraceId([0xab; 16]),
        id: SpanId([id; 8]),
        parent: None,
        state: None,
        sampled: true,
        role: Role::Server,
        name: "GET /".to_owned(),
        start: 1_000_000_001,
        end: 1_000_000_002,
        status: Status::Unset,
        attributes: Vec::new(),
        service: Arc::clone(service),
    }
}

/// One span with everything, and one that began its trace, of another service.
fn rich() -> Batch {
    let mut child = span(2, &service("data", 2));
    child.parent = Some(Parent {
        id: SpanId([1; 8]),
        remote: true,
        evidence: Evidence::Header,
    });
    child.state = Some("vendor=x,other=y".to_owned());
    child.sampled = false;
    child.role = Role::Client;
    child.status = Status::Error;
    child.attributes = vec![
        Attribute::new(semconv::HTTP_REQUEST_METHOD, "GET"),
        Attribute::new(semconv::HTTP_RESPONSE_STATUS_CODE, 500),
        Attribute::new(semconv::WEFT_CAPTURE_CUT, true),
        Attribute::new("list", Value::List(["a".to_owned(), "b".to_owned()].into())),
    ];
    vec![span(1, &service("front", 1)), child].into()
}

/// What a server answers, and what it got.
#[derive(Clone, Default)]
struct Backend {
    got: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    headers: Arc<Mutex<Vec<HeaderMap>>>,
    /// Answers in order; a success once they are used up.
    script: Arc<Mutex<Vec<Reply>>>,
    hang: bool,
}

#[derive(Clone, Copy)]
enum Reply {
    Partial(i64),
    Grpc(tonic::Code),
    Http(u16),
}

impl Backend {
    fn answering(script: &[Reply]) -> Self {
        let script = script.iter().rev().copied().collect();
        Self {
            script: Arc::new(Mutex::new(script)),
            ..Self::default()
        }
    }

    fn next(&self) -> Option<Reply> {
        self.script.lock().unwrap().pop()
    }

    fn response(&self, reply: Option<Reply>) -> ExportTraceServiceResponse {
        let partial_success = match reply {
            Some(Reply::Partial(rejected_spans)) => Some(ExportTracePartialSuccess {
                rejected_spans,
                error_message: "too old".to_owned(),
            }),
            _ => None,
        };
        ExportTraceServiceResponse { partial_success }
    }

    /// Span ids per service name, in the order of arrival.
    fn spans(&self) -> Vec<String> {
        let got = self.got.lock().unwrap();
        let all = got.iter().flat_map(|request| &request.resource_spans);
        let mut spans: Vec<_> = all
            .map(|resource| {
                let attributes = &resource.resource.as_ref().unwrap().attributes;
                let name = attributes.iter().find(|pair| pair.key == "service.name");
                let count: usize = resource.scope_spans.iter().map(|s| s.spans.len()).sum();
                format!("{} {count}", text(name.unwrap()))
            })
            .collect();
        spans.sort();
        spans
    }

    async fn grpc(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(self)
            .accept_compressed(tonic::codec::CompressionEncoding::Gzip);
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(incoming));
        format!("http://{address}")
    }

    async fn http(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (traces, metrics) = (self.clone(), self);
        let routes = axum::Router::new()
            .route(
                "/v1/traces",
                axum::routing::post(move |headers, body| async move { traces.take(headers, body) }),
            )
            .route(
                "/v1/metrics",
                axum::routing::post(move |body: Bytes| async move {
                    let request = ExportMetricsServiceRequest::decode(body).unwrap();
                    metrics.metrics.lock().unwrap().push(request);
                }),
            );
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}")
    }

    fn take(&self, headers: HeaderMap, body: Bytes) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut answer = HeaderMap::new();
        let reply = self.next();
        if let Some(Reply::Http(code)) = reply {
            answer.insert("retry-after", 7.into());
            return (StatusCode::from_u16(code).unwrap(), answer, Vec::new());
        }
        let body = match headers.get("content-encoding").map(|v| v.as_bytes()) {
            Some(b"gzip") => {
                let mut plain = Vec::new();
                let mut decoder = flate2::read::GzDecoder::new(&body[..]);
                decoder.read_to_end(&mut plain).unwrap();
                plain
            }
            _ => body.to_vec(),
        };
        let request = ExportTraceServiceRequest::decode(&body[..]).unwrap();
        self.got.lock().unwrap().push(request);
        self.headers.lock().unwrap().push(headers);
        let response = self.response(reply).encode_to_vec();
        (StatusCode::OK, answer, response)
    }
}

#[tonic::async_trait]
impl TraceService for Backend {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        if self.hang {
            std::future::pending::<()>().await;
        }
        let reply = self.next();
        if let Some(Reply::Grpc(code)) = reply {
            return Err(tonic::Status::new(code, "said so"));
        }
        let headers = request.metadata().clone().into_headers();
        self.headers.lock().unwrap().push(headers);
        self.got.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(self.response(reply)))
    }
}

fn text(pair: &opentelemetry_proto::tonic::common::v1::KeyValue) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
    match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// Settings for an endpoint; short timeouts, since nothing here is far.
fn settings(endpoint: &str, protocol: config::Protocol) -> config::Config {
    let mut config = config::Config::default();
    let otlp = &mut config.export.otlp;
    otlp.endpoint = Some(endpoint.to_owned());
    otlp.protocol = protocol;
    otlp.headers = [("x-api-key".to_owned(), "k=1".to_owned())].into();
    otlp.timeout = "2s".parse().unwrap();
    config
}

/// Exports the work once. What is shown: the result and the work's counts.
async fn once(otlp: &mut Otlp, work: &mut Work) -> String {
    let result = match otlp.export(work).await {
        Ok(()) => "ok".to_owned(),
        Err(Failure::Retry(why)) => format!("retry: {why}"),
        Err(failure) => format!("final: {failure}"),
    };
    let target = otlp.target().to_owned();
    let counts = format!("{} {} {}", work.delivered, work.rejected, work.open());
    format!("{} | {counts}", result.replace(&target, "T"))
}

const GRPC: config::Protocol = config::Protocol::Grpc;
const HTTP: config::Protocol = config::Protocol::Http;

/// One export to a backend that answers so.
async fn check(protocol: config::Protocol, script: &[Reply], expected: &str) {
    let backend = Backend::answering(script);
    let endpoint = match protocol {
        GRPC => backend.clone().grpc().await,
        _ => backend.clone().http().await,
    };
    let mut otlp = Otlp::open(&settings(&endpoint, protocol)).unwrap().unwrap();
    let front = service("front", 1);
    let batch: Batch = vec![span(1, &front), span(2, &front), span(3, &front)].into();
    let mut work = Work::new(vec![batch]);
    assert_eq!(once(&mut otlp, &mut work).await, expected);
}

#[tokio::test]
async fn grpc_answers() {
    use tonic::Code;
    check(GRPC, &[], "ok | 3 0 0").await;
    check(GRPC, &[Reply::Partial(2)], "ok | 1 2 0").await;
    check(GRPC, &[Reply::Partial(99)], "ok | 0 3 0").await;
    check(GRPC, &[Reply::Partial(-1)], "ok | 3 0 0").await;
    let unavailable = [Reply::Grpc(Code::Unavailable)];
    check(GRPC, &unavailable, "retry: T answered Unavailable | 0 0 3").await;
    let exhausted = [Reply::Grpc(Code::ResourceExhausted)];
    check(
        GRPC,
        &exhausted,
        "retry: T answered ResourceExhausted | 0 0 3",
    )
    .await;
    let invalid = [Reply::Grpc(Code::InvalidArgument)];
    check(GRPC, &invalid, "final: T answered InvalidArgument | 0 3 0").await;
    let unknown = [Reply::Grpc(Code::Unknown)];
    check(GRPC, &unknown, "final: T answered Unknown | 0 3 0").await;
}

#[tokio::test]
async fn http_answers() {
    check(HTTP, &[], "ok | 3 0 0").await;
    check(HTTP, &[Reply::Partial(2)], "ok | 1 2 0").await;
    for code in [429, 502, 503, 504] {
        let expected = format!("retry: T answered {code} | 0 0 3");
        check(HTTP, &[Reply::Http(code)], &expected).await;
    }
    check(HTTP, &[Reply::Http(400)], "final: T answered 400 | 0 3 0").await;
    check(HTTP, &[Reply::Http(500)], "final: T answered 500 | 0 3 0").await;
    let lost = "final: T answered 404: check the endpoint's path | 0 3 0";
    check(HTTP, &[Reply::Http(404)], lost).await;
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_passed_on() {
    let endpoint = Backend::answering(&[Reply::Http(503)]).http().await;
    let mut otlp = Otlp::open(&settings(&endpoint, HTTP)).unwrap().unwrap();
    let mut work = Work::new(vec![rich()]);
    once(&mut otlp, &mut work).await;
    assert_eq!(work.pause, Some(Duration::from_secs(7)));
}

/// Two services, one of which is refused at first: a retry must not send the other one again.
#[tokio::test]
async fn nothing_is_delivered_twice() {
    for protocol in [GRPC, HTTP] {
        let backend = Backend::answering(&[match protocol {
            GRPC => Reply::Grpc(tonic::Code::Unavailable),
            _ => Reply::Http(503),
        }]);
        let endpoint = match protocol {
            GRPC => backend.clone().grpc().await,
            _ => backend.clone().http().await,
        };
        let mut otlp = Otlp::open(&settings(&endpoint, protocol)).unwrap().unwrap();
        let mut work = Work::new(vec![rich()]);
        let first = once(&mut otlp, &mut work).await;
        assert!(first.ends_with("| 1 0 1"), "{first}");
        assert_eq!(once(&mut otlp, &mut work).await, "ok | 2 0 0");
        assert_eq!(backend.spans(), ["data 1", "front 1"]);
    }
}

#[tokio::test]
async fn every_field_arrives() {
    let mut seen = Vec::new();
    for protocol in [GRPC, HTTP] {
        for compression in [config::Compression::None, config::Compression::Gzip] {
            let backend = Backend::default();
            let endpoint = match protocol {
                GRPC => backend.clone().grpc().await,
                _ => backend.clone().http().await,
            };
            let mut config = settings(&endpoint, protocol);
            config.export.otlp.compression = compression;
            let mut otlp = Otlp::open(&config).unwrap().unwrap();
            let mut work = Work::new(vec![rich()]);
            assert_eq!(once(&mut otlp, &mut work).await, "ok | 2 0 0");
            for headers in backend.headers.lock().unwrap().iter() {
                let keys: Vec<_> = headers.get_all("x-api-key").iter().collect();
                assert_eq!(keys, ["k=1"], "{protocol:?}");
            }
            let got = backend.got.lock().unwrap();
            let resources = got
                .iter()
                .flat_map(|request| request.resource_spans.clone());
            seen.push(sorted(resources.collect()));
        }
    }
    let first = seen.first().cloned().unwrap();
    assert!(
        seen.iter().all(|other| *other == first),
        "all ways carry the same"
    );
    insta::assert_snapshot!(first);
}

/// As JSON, services and attributes in a stable order.
fn sorted(mut resources: Vec<opentelemetry_proto::tonic::trace::v1::ResourceSpans>) -> String {
    for resource in &mut resources {
        let attributes = &mut resource.resource.as_mut().unwrap().attributes;
        attributes.sort_by(|a, b| a.key.cmp(&b.key));
    }
    resources.sort_by_key(|resource| format!("{:?}", resource.resource));
    let text = serde_json::to_string_pretty(&resources).unwrap();
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[tokio::test]
async fn requests_are_bounded_in_spans() {
    let backend = Backend::default();
    let endpoint = backend.clone().grpc().await;
    let mut config = settings(&endpoint, GRPC);
    config.export.queue.batch = 10;
    let mut otlp = Otlp::open(&config).unwrap().unwrap();
    let front = service("front", 1);
    let batch: Batch = (0..25).map(|id| span(id, &front)).collect();
    let mut work = Work::new(vec![batch]);
    assert_eq!(once(&mut otlp, &mut work).await, "ok | 25 0 0");
    assert_eq!(backend.spans(), ["front 10", "front 10", "front 5"]);
}

#[tokio::test]
async fn services_are_forgotten_and_come_back() {
    let backend = Backend::default();
    let endpoint = backend.clone().http().await;
    let mut config = settings(&endpoint, HTTP);
    config.limits.services = 2;
    let mut otlp = Otlp::open(&config).unwrap().unwrap();
    for round in 0..2 {
        let spans: Vec<_> = (1..=5)
            .map(|tgid| span(round, &service("s", tgid)))
            .collect();
        let mut work = Work::new(vec![spans.into()]);
        assert_eq!(once(&mut otlp, &mut work).await, "ok | 5 0 0");
        assert!(otlp.services.known() <= 2);
    }
    assert_eq!(backend.spans().len(), 10);
}

#[tokio::test]
async fn a_dead_port_is_worth_another_try() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for protocol in [GRPC, HTTP] {
        let mut otlp = Otlp::open(&settings(&endpoint, protocol)).unwrap().unwrap();
        let answer = once(&mut otlp, &mut Work::new(vec![rich()])).await;
        assert!(
            answer.starts_with("retry: T cannot be reached: "),
            "{answer}"
        );
        assert!(answer.contains("onnection refused"), "{answer}");
        assert!(answer.ends_with("| 0 0 2"), "{answer}");
    }
}

/// One that takes connections and says nothing, and one that hears requests and says nothing.
#[tokio::test]
async fn silence_is_worth_another_try() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let black_hole = format!("http://{}", listener.local_addr().unwrap());
    let slow = Backend {
        hang: true,
        ..Backend::default()
    };
    let slow = slow.grpc().await;
    for (endpoint, protocol) in [(&black_hole, GRPC), (&black_hole, HTTP), (&slow, GRPC)] {
        let mut config = settings(endpoint, protocol);
        config.export.otlp.timeout = "200ms".parse().unwrap();
        let mut otlp = Otlp::open(&config).unwrap().unwrap();
        let answer = once(&mut otlp, &mut Work::new(vec![rich()])).await;
        assert!(answer.starts_with("retry: T "), "{answer}");
        assert!(answer.ends_with("| 0 0 2"), "{answer}");
    }
}

/// An authority, and what it signed, as files.
struct Papers {
    folder: tempfile::TempDir,
    /// Certificate and key of `localhost`.
    server: (String, String),
    authority: String,
}

fn papers() -> Papers {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    write("ca.pem", &certificate.pem());
    let issuer = rcgen::Issuer::new(authority, key);
    let sign = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let signed = params.signed_by(&key, &issuer).unwrap();
        (signed.pem(), key.serialize_pem())
    };
    let server = sign("localhost");
    let (client, client_key) = sign("weft");
    write("client.pem", &client);
    write("client.key", &client_key);
    Papers {
        folder,
        server,
        authority: certificate.pem(),
    }
}

/// A server that demands a certificate: taken with one, not without, not by strangers.
#[tokio::test]
async fn tls_both_ways_over_grpc() {
    let papers = papers();
    let backend = Backend::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = tonic::transport::ServerTlsConfig::new()
        .identity(Identity::from_pem(&papers.server.0, &papers.server.1))
        .client_ca_root(Certificate::from_pem(&papers.authority));
    let server = tonic::transport::Server::builder().tls_config(tls).unwrap();
    let service = TraceServiceServer::new(backend.clone());
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let mut server = server;
    tokio::spawn(server.add_service(service).serve_with_incoming(incoming));

    let file = |name: &str| Some(papers.folder.path().join(name));
    let mut config = settings(&format!("https://localhost:{port}"), GRPC);
    let otlp = &mut config.export.otlp;
    otlp.certificate = file("ca.pem");
    (otlp.client_certificate, otlp.client_key) = (file("client.pem"), file("client.key"));
    let mut with = Otlp::open(&config).unwrap().unwrap();
    assert_eq!(
        once(&mut with, &mut Work::new(vec![rich()])).await,
        "ok | 2 0 0"
    );

    let otlp = &mut config.export.otlp;
    (otlp.client_certificate, otlp.client_key) = (None, None);
    let mut without = Otlp::open(&config).unwrap().unwrap();
    let answer = once(&mut without, &mut Work::new(vec![rich()])).await;
    assert!(answer.starts_with("retry: T "), "{answer}");
    assert_eq!(backend.spans(), ["data 1", "front 1"]);
}

/// The same over HTTP; the server answers the first request of each connection with a success.
#[tokio::test]
async fn tls_both_ways_over_http() {
    let papers = papers();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve_https(listener, acceptor(&papers)));

    let file = |name: &str| Some(papers.folder.path().join(name));
    let mut config = settings(&format!("https://localhost:{port}"), HTTP);
    let otlp = &mut config.export.otlp;
    otlp.certificate = file("ca.pem");
    (otlp.client_certificate, otlp.client_key) = (file("client.pem"), file("client.key"));
    let mut with = Otlp::open(&config).unwrap().unwrap();
    assert_eq!(
        once(&mut with, &mut Work::new(vec![rich()])).await,
        "ok | 2 0 0"
    );

    let otlp = &mut config.export.otlp;
    (otlp.client_certificate, otlp.client_key) = (None, None);
    let mut without = Otlp::open(&config).unwrap().unwrap();
    let answer = once(&mut without, &mut Work::new(vec![rich()])).await;
    assert!(
        answer.starts_with("retry: T cannot be reached: "),
        "{answer}"
    );
}

fn acceptor(papers: &Papers) -> tokio_rustls::TlsAcceptor {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate(&papers.authority)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let (chain, key) = &papers.server;
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![certificate(chain)],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        );
    Arc::new(config.unwrap()).into()
}

async fn serve_https(listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    while let Ok((socket, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // Strangers are refused here.
            let mut stream = acceptor.accept(socket).await?;
            let _ = stream.read(&mut [0; 16_384]).await?;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await?;
            stream.flush().await
        });
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.pem");
    std::fs::write(&garbage, "no certificate").unwrap();
    let mut all = String::new();
    for protocol in [GRPC, HTTP] {
        for path in [&garbage, &folder.path().join("missing.pem")] {
            let mut config = settings("https://localhost:1", protocol);
            config.export.otlp.certificate = Some(path.clone());
            all.push_str(&refusal(&config, folder.path()));
        }
    }
    let mut config = settings("http://localhost:1", GRPC);
    config.export.otlp.headers = [("bad name".to_owned(), "secret".to_owned())].into();
    all.push_str(&refusal(&config, folder.path()));
    config.export.otlp.headers = [("name".to_owned(), "secret\n".to_owned())].into();
    all.push_str(&refusal(&config, folder.path()));
    assert!(!all.contains("secret"));
    insta::assert_snapshot!(all);
}

fn refusal(config: &config::Config, folder: &std::path::Path) -> String {
    let invalid = Otlp::open(config).err().unwrap();
    let text = invalid.to_string();
    format!("{}\n\n", text.replace(&folder.display().to_string(), "DIR"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn losses_are_sent_as_metrics() {
    let backend = Backend::default();
    let endpoint = backend.clone().http().await;
    let stats = Arc::new(Stats::default());
    stats.counter(&CAPTURE_LOST, &["ring_full"]).add(3);
    let config = settings(&endpoint, HTTP);
    let host = [(
        semconv::HOST_NAME.to_owned(),
        ResourceValue::Text("h".to_owned()),
    )];
    let started = metrics::Metrics::start(&config.export.otlp, &host, &stats);
    let metrics = started.unwrap().unwrap();
    stats.counter(&CAPTURE_LOST, &["ring_full"]).add(4);
    let stop = move || metrics.stop(Duration::from_secs(5));
    tokio::task::spawn_blocking(stop).await.unwrap();
    let got = backend.metrics.lock().unwrap();
    let text = serde_json::to_string(&got.last().unwrap().resource_metrics).unwrap();
    for expected in [
        "weft.capture.lost",
        "ring_full",
        "weft.memory",
        "service.name",
        "\"h\"",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert!(
        text.contains("\"asInt\":7") || text.contains("\"asInt\":\"7\""),
        "{text}"
    );
}

#[test]
fn a_line_of_json_is_read_back() {
    let line = json::line(&[rich()]).unwrap();
    assert!(!line.contains('\n'));
    let id = "abababababababababababababababab";
    assert!(line.contains(&format!("\"traceId\":\"{id}\"")), "{line}");
    let request: ExportTraceServiceRequest = serde_json::from_str(&line).unwrap();
    insta::assert_snapshot!("every_field_arrives", sorted(request.resource_spans));
}
