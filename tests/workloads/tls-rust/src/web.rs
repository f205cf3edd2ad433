//! HTTP: axum over rustls as the server, reqwest as the client and for what the server asks.

use crate::{each, read, variable, Failure};
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing::any;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use reqwest::tls::Version;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

fn client(tls: &str) -> Result<reqwest::Client, Failure> {
    let ca = reqwest::Certificate::from_pem(&read("ca.pem")?)?;
    let builder = reqwest::Client::builder().add_root_certificate(ca);
    let builder = match tls {
        "native-tls" => builder.use_native_tls(),
        _ => builder.use_rustls_tls(),
    };
    let builder = match variable("OLD").as_str() {
        "" => builder,
        _ => builder.max_tls_version(Version::TLS_1_2),
    };
    let builder = match variable("HTTP1").as_str() {
        "" => builder,
        _ => builder.http1_only(),
    };
    Ok(builder.build()?)
}

async fn handle(
    State(stock): State<reqwest::Client>,
    Path((verb, number)): Path<(String, String)>,
    method: Method,
    _body: String,
) -> (StatusCode, &'static str) {
    let status = match verb.as_str() {
        _ if method == Method::POST => StatusCode::CREATED,
        "items" => StatusCode::OK,
        "missing" => StatusCode::NOT_FOUND,
        "call" => {
            let url = format!("{}/items/{number}", variable("UPSTREAM"));
            let answer = match stock.get(url).send().await {
                Ok(answer) => answer.bytes().await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(_) => StatusCode::OK,
                Err(_) => StatusCode::BAD_GATEWAY,
            }
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, "an item\n")
}

pub async fn serve() -> Result<(), Failure> {
    let chain = CertificateDer::from_pem_slice(&read("cert.pem")?)?;
    let key = PrivateKeyDer::from_pem_slice(&read("key.pem")?)?;
    let versions = match variable("OLD").as_str() {
        "" => vec![&TLS13, &TLS12],
        _ => vec![&TLS12],
    };
    let mut config = ServerConfig::builder_with_protocol_versions(&versions)
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)?;
    config.alpn_protocols = match variable("HTTP1").as_str() {
        "" => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        _ => vec![b"http/1.1".to_vec()],
    };
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let app = Router::new()
        .route("/{verb}/{number}", any(handle))
        .with_state(client("rustls")?);
    let listener = TcpListener::bind(format!("127.0.0.1:{}", variable("PORT"))).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, app) = (acceptor.clone(), app.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let service = TowerToHyperService::new(app);
                let _ = Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        });
    }
}

pub async fn ask(url: &str, count: usize, many: usize, mark: &str, tls: &str) -> Result<(), Failure> {
    let client = client(tls)?;
    let call = if variable("CALLS").is_empty() { "items" } else { "call" };
    let verbs = ["items", "items", "missing", "broken", call];
    let (url, mark) = (url.to_owned(), mark.to_owned());
    each(count, many, move |number| {
        let url = format!("{url}/{}/{mark}n{number}", verbs[number % 5]);
        let request = match number % 5 {
            1 => client.post(url).body("name=new"),
            _ => client.get(url),
        };
        async move {
            request.send().await?.bytes().await?;
            Ok(())
        }
    })
    .await
}
