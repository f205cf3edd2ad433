//! axum on tokio's threads.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::Router;
use futures::future::try_join_all;
use tokio::sync::Mutex;
use tokio::task::{spawn_blocking, JoinSet};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Who makes the calls.
enum Client {
    Asynchronous(reqwest::Client),
    Blocking(reqwest::blocking::Client),
    Ureq(ureq::Agent),
}

/// Calls to the upstream.
pub struct Calls {
    upstream: String,
    client: Client,
    one_at_a_time: Mutex<()>,
}

impl Calls {
    /// By the tasks themselves.
    pub fn asynchronous(upstream: String) -> Self {
        Self::new(upstream, Client::Asynchronous(reqwest::Client::new()))
    }

    /// On tokio's threads for blocking work.
    pub fn blocking(upstream: String) -> Self {
        Self::new(upstream, Client::Blocking(reqwest::blocking::Client::new()))
    }

    /// Likewise, by a client that works on the thread which asks it.
    pub fn by_ureq(upstream: String) -> Self {
        Self::new(upstream, Client::Ureq(ureq::Agent::new_with_defaults()))
    }

    fn new(upstream: String, client: Client) -> Self {
        Self {
            upstream,
            client,
            one_at_a_time: Mutex::new(()),
        }
    }

    async fn fetch(&self, path: String) -> Result<u16, Failure> {
        self.fetch_within(path, Duration::from_secs(30)).await
    }

    async fn fetch_within(&self, path: String, timeout: Duration) -> Result<u16, Failure> {
        let url = format!("{}{path}", self.upstream);
        match &self.client {
            Client::Asynchronous(client) => {
                let answer = client.get(url).timeout(timeout).send().await?;
                let status = answer.status().as_u16();
                answer.bytes().await?;
                Ok(status)
            }
            Client::Blocking(client) => {
                let client = client.clone();
                spawn_blocking(move || {
                    let answer = client.get(url).timeout(timeout).send()?;
                    let status = answer.status().as_u16();
                    answer.bytes()?;
                    Ok(status)
                })
                .await?
            }
            Client::Ureq(agent) => {
                let agent = agent.clone();
                spawn_blocking(move || {
                    let request = agent.get(url).config();
                    let request = request.timeout_global(Some(timeout));
                    let mut answer = request.http_status_as_error(false).build().call()?;
                    answer.body_mut().read_to_vec()?;
                    Ok(answer.status().as_u16())
                })
                .await?
            }
        }
    }
}

/// What a request asks for.
pub async fn job(calls: &Arc<Calls>, verb: &str, id: &str) -> Result<(), Failure> {
    match verb {
        "work" => {
            calls.fetch(format!("/leaf/{id}/1")).await?;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        "seq" => {
            calls.fetch(format!("/leaf/{id}/1")).await?;
            tokio::time::sleep(Duration::from_millis(3)).await;
            calls.fetch(format!("/leaf/{id}/2")).await?;
        }
        "fan" => {
            // two as tasks of their own, one and the waiting here
            let mut tasks = JoinSet::new();
            for step in [1, 2] {
                let (calls, path) = (Arc::clone(calls), format!("/leaf/{id}/{step}"));
                tasks.spawn(async move { calls.fetch(path).await });
            }
            try_join_all([calls.fetch(format!("/leaf/{id}/3"))]).await?;
            while let Some(done) = tasks.join_next().await {
                done??;
            }
        }
        "lock" => {
            let _held = calls.one_at_a_time.lock().await;
            calls.fetch(format!("/leaf/{id}/1")).await?;
        }
        "after" => {
            let (calls, path) = (Arc::clone(calls), format!("/leaf/{id}/1"));
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(3)).await;
                calls.fetch(path).await
            });
        }
        "retry" => {
            if calls.fetch(format!("/flaky/{id}/1")).await? == 503 {
                calls.fetch(format!("/flaky/{id}/1")).await?;
            }
        }
        _ => {
            let path = format!("/slow/{id}/1");
            let _ = calls.fetch_within(path, Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

async fn handle(
    State(calls): State<Arc<Calls>>,
    Path((verb, id)): Path<(String, String)>,
) -> (StatusCode, String) {
    match job(&calls, &verb, &id).await {
        Ok(()) => (StatusCode::OK, "done\n".into()),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error}\n")),
    }
}

/// Serves until it is killed. The blocking client must be made and dropped outside of tokio.
pub fn serve(port: u16, calls: Calls) -> std::io::Result<()> {
    let app = Router::new()
        .route("/{verb}/{id}", get(handle))
        .with_state(Arc::new(calls));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        println!("listening on {port}");
        axum::serve(listener, app).await
    })
}
