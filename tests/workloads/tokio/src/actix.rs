//! actix-web: a single-threaded runtime in each of its workers; awc as the client.

use std::time::Duration;

use actix_web::web::{Data, Path};
use actix_web::{get, rt, App, HttpResponse, HttpServer};
use awc::error::SendRequestError;
use awc::Client;
use futures::future::try_join_all;
use tokio::sync::Mutex;

/// What the workers share.
struct Shared {
    upstream: String,
    one_at_a_time: Mutex<()>,
}

async fn fetch(
    client: &Client,
    shared: &Shared,
    path: String,
    timeout: Duration,
) -> Result<u16, SendRequestError> {
    let url = format!("{}{path}", shared.upstream);
    let mut answer = client.get(url).timeout(timeout).send().await?;
    let _ = answer.body().await;
    Ok(answer.status().as_u16())
}

async fn job(
    client: &Client,
    shared: &Shared,
    verb: &str,
    id: &str,
) -> Result<(), SendRequestError> {
    let call = |path: String| fetch(client, shared, path, Duration::from_secs(30));
    match verb {
        "work" => {
            call(format!("/leaf/{id}/1")).await?;
            rt::time::sleep(Duration::from_millis(3)).await;
        }
        "seq" => {
            call(format!("/leaf/{id}/1")).await?;
            rt::time::sleep(Duration::from_millis(3)).await;
            call(format!("/leaf/{id}/2")).await?;
        }
        "fan" => {
            try_join_all([1, 2, 3].map(|step| call(format!("/leaf/{id}/{step}")))).await?;
        }
        "lock" => {
            let _held = shared.one_at_a_time.lock().await;
            call(format!("/leaf/{id}/1")).await?;
        }
        "retry" => {
            if call(format!("/flaky/{id}/1")).await? == 503 {
                call(format!("/flaky/{id}/1")).await?;
            }
        }
        _ => {
            let path = format!("/slow/{id}/1");
            let _ = fetch(client, shared, path, Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

#[get("/{verb}/{id}")]
async fn handle(
    client: Data<Client>,
    shared: Data<Shared>,
    path: Path<(String, String)>,
) -> HttpResponse {
    match job(&client, &shared, &path.0, &path.1).await {
        Ok(()) => HttpResponse::Ok().body("done\n"),
        Err(error) => HttpResponse::BadGateway().body(format!("{error}\n")),
    }
}

/// Serves until it is killed.
pub fn serve(port: u16, upstream: String) -> std::io::Result<()> {
    let shared = Data::new(Shared {
        upstream,
        one_at_a_time: Mutex::new(()),
    });
    rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(Data::new(Client::default()))
                .app_data(shared.clone())
                .service(handle)
        })
        .workers(2)
        .bind_auto_h2c(("127.0.0.1", port))?;
        println!("listening on {port}");
        server.run().await
    })
}
