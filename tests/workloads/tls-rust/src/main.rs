//! A shop by axum over rustls, or by tonic, and clients of both: `shop`, and `shop URL COUNT
//! CONCURRENCY MARK`. MODE=web or remote; CLIENT=rustls, native-tls or remote. PROVIDER=aws-lc-rs for
//! rustls's other cryptography, OLD=1 for TLS 1.2, HTTP1=1 for no HTTP/2.

mod remote;
mod web;

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::crypto;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

pub fn read(name: &str) -> Result<Vec<u8>, Failure> {
    Ok(std::fs::read(format!("{}/{name}", variable("CERTIFICATES")))?)
}

/// Asks `send` for every number, so many at once, when it is told to begin.
pub async fn each<F>(
    count: usize,
    many: usize,
    send: impl Fn(usize) -> F + Clone + Send + 'static,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    println!("ready");
    while !std::fs::exists(variable("GO"))? {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let next = Arc::new(AtomicUsize::new(0));
    let workers = (0..many).map(|_| {
        let (next, send) = (Arc::clone(&next), send.clone());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<(), Failure>(());
                }
                send(number).await?;
            }
        })
    });
    for worker in futures::future::join_all(workers).await {
        worker??;
    }
    println!("sent");
    // what is still on its way is sent before it ends
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let provider = match variable("PROVIDER").as_str() {
        "aws-lc-rs" => crypto::aws_lc_rs::default_provider(),
        _ => crypto::ring::default_provider(),
    };
    provider.install_default().map_err(|_| "a provider is there already")?;
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, url, count, many, mark] = &arguments[..] {
        let (count, many) = (count.parse()?, many.parse()?);
        return match variable("CLIENT").as_str() {
            "remote" => remote::ask(url, count, many).await,
            tls => web::ask(url, count, many, mark, tls).await,
        };
    }
    match variable("MODE").as_str() {
        "remote" => remote::serve().await,
        _ => web::serve().await,
    }
}
