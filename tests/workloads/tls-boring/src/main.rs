//! An inventory over BoringSSL, which is linked into the program, and a client of it: `depot`, and
//! `depot URL COUNT CONCURRENCY MARK`. HTTP=1 or 2.

use boring::pkey::PKey;
use boring::ssl::{select_next_proto, AlpnError, SslAcceptor, SslConnector, SslFiletype, SslMethod};
use boring::x509::X509;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_boring::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Stock = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn certificates(name: &str) -> String {
    format!("{}/{name}", variable("CERTIFICATES"))
}

/// The names of what is spoken, as in ALPN.
fn spoken() -> &'static [u8] {
    match variable("HTTP").as_str() {
        "2" => b"\x02h2",
        _ => b"\x08http/1.1",
    }
}

fn client() -> Result<Stock, Failure> {
    let mut tls = SslConnector::builder(SslMethod::tls())?;
    let ca = X509::from_pem(&std::fs::read(certificates("ca.pem"))?)?;
    tls.cert_store_mut().add_cert(&ca)?;
    tls.set_alpn_protos(spoken())?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let connector = HttpsConnector::with_connector(tcp, tls)?;
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

async fn send(stock: &Stock, method: Method, url: String) -> Result<(), Failure> {
    let body = match method {
        Method::POST => "name=new",
        _ => "",
    };
    let request = Request::builder()
        .method(method)
        .uri(url)
        .body(Full::from(body))?;
    stock.request(request).await?.into_body().collect().await?;
    Ok(())
}

async fn handle(stock: Stock, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Failure> {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    request.into_body().collect().await?;
    let mut parts = path.split('/').skip(1);
    let (verb, number) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let status = match verb {
        _ if method == Method::POST => StatusCode::CREATED,
        "items" => StatusCode::OK,
        "missing" => StatusCode::NOT_FOUND,
        "call" => {
            let url = format!("{}/items/{number}", variable("UPSTREAM"));
            match send(&stock, Method::GET, url).await {
                Ok(()) => StatusCode::OK,
                Err(_) => StatusCode::BAD_GATEWAY,
            }
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Ok(Response::builder().status(status).body(Full::from("an item\n"))?)
}

async fn serve() -> Result<(), Failure> {
    let mut tls = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
    tls.set_certificate_file(certificates("cert.pem"), SslFiletype::PEM)?;
    let key = PKey::private_key_from_pem(&std::fs::read(certificates("key.pem"))?)?;
    tls.set_private_key(&key)?;
    tls.set_alpn_select_callback(|_, offered| {
        select_next_proto(spoken(), offered).ok_or(AlpnError::NOACK)
    });
    let acceptor = tls.build();
    let stock = client()?;
    let listener = TcpListener::bind(format!("127.0.0.1:{}", variable("PORT"))).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, stock) = (acceptor.clone(), stock.clone());
        tokio::spawn(async move {
            if let Ok(stream) = tokio_boring::accept(&acceptor, stream).await {
                let service = service_fn(move |request| handle(stock.clone(), request));
                let _ = Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        });
    }
}

/// Asks for every number, so many at once, when it is told to begin.
async fn ask(url: &str, count: usize, many: usize, mark: &str) -> Result<(), Failure> {
    let call = if variable("CALLS").is_empty() { "items" } else { "call" };
    let verbs = ["items", "items", "missing", "broken", call];
    let stock = client()?;
    println!("ready");
    while !std::fs::exists(variable("GO"))? {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = Vec::new();
    for _ in 0..many {
        let (next, stock) = (Arc::clone(&next), stock.clone());
        let (url, mark) = (url.to_owned(), mark.to_owned());
        workers.push(tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<(), Failure>(());
                }
                let method = if number % 5 == 1 { Method::POST } else { Method::GET };
                let url = format!("{url}/{}/{mark}n{number}", verbs[number % 5]);
                send(&stock, method, url).await?;
            }
        }));
    }
    for worker in workers {
        worker.await??;
    }
    println!("sent");
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[..] {
        [_, url, count, many, mark] => ask(url, count.parse()?, many.parse()?, mark).await,
        _ => serve().await,
    }
}
