//! tonic on tokio's threads: `VERB/ID` is the name of a method, messages are empty.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response};
use axum::routing::post;
use axum::Router;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::Status;
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::axum_style::{job, Calls};

async fn handle(
    State(calls): State<Arc<Calls>>,
    Path((verb, id)): Path<(String, String)>,
    request: Request<Body>,
) -> Response<tonic::body::Body> {
    let one = move |_: tonic::Request<()>| {
        let (calls, verb, id) = (Arc::clone(&calls), verb.clone(), id.clone());
        async move {
            match job(&calls, &verb, &id).await {
                Ok(()) => Ok(tonic::Response::new(())),
                Err(error) => Err(Status::unavailable(error.to_string())),
            }
        }
    };
    let mut grpc = tonic::server::Grpc::new(ProstCodec::<(), ()>::default());
    grpc.unary(service_fn(one), request).await
}

/// Serves until it is killed.
pub fn serve(port: u16, calls: Calls) -> std::io::Result<()> {
    let router = Router::new()
        .route("/{verb}/{id}", post(handle))
        .with_state(Arc::new(calls));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        println!("listening on {port}");
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        Server::builder()
            .add_routes(Routes::from(router))
            .serve_with_incoming(incoming)
            .await
            .map_err(std::io::Error::other)
    })
}
