//! gRPC by tonic: every method has a number, messages are empty.

use crate::{each, read, variable, Failure};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use http::uri::PathAndQuery;
use std::convert::Infallible;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, StdError};
use tonic::server::NamedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{service_fn, Service};

/// More than are called at once.
const METHODS: usize = 100;

type Codec = ProstCodec<(), ()>;
type Items = BoxStream<'static, Result<(), Status>>;

/// Connects when it is first asked for something.
fn connect(url: &str) -> Result<Channel, Failure> {
    let mut endpoint = Channel::from_shared(url.to_owned())?;
    if url.starts_with("https") {
        let trusted = Certificate::from_pem(read("ca.pem")?);
        let tls = ClientTlsConfig::new().ca_certificate(trusted).domain_name("localhost");
        endpoint = endpoint.tls_config(tls)?;
    }
    Ok(endpoint.connect_lazy())
}

async fn unary(channel: Channel, path: String) -> Result<(), Status> {
    let path = PathAndQuery::try_from(path).map_err(|error| Status::internal(error.to_string()))?;
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    grpc.unary(Request::new(()), path, Codec::default()).await?;
    Ok(())
}

#[derive(Clone)]
struct Shop {
    stock: Option<Channel>,
}

impl NamedService for Shop {
    const NAME: &'static str = "shop.Shop";
}

impl<B> Service<http::Request<B>> for Shop
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let method = request.uri().path().trim_start_matches("/shop.Shop/").to_owned();
        let stock = self.stock.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Codec::default());
            let name = method.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
            let answer = match name.as_str() {
                "List" => {
                    let items = |_: Request<()>| async {
                        let three: Items = stream::iter([Ok(()), Ok(()), Ok(())]).boxed();
                        Ok::<_, Status>(Response::new(three))
                    };
                    grpc.server_streaming(service_fn(items), request).await
                }
                "Chat" => {
                    let echo = |request: Request<Streaming<()>>| async {
                        let same: Items = request.into_inner().boxed();
                        Ok::<_, Status>(Response::new(same))
                    };
                    grpc.streaming(service_fn(echo), request).await
                }
                _ => {
                    let number = method[name.len()..].to_owned();
                    let one = move |_: Request<()>| {
                        let (name, number, stock) = (name.clone(), number.clone(), stock.clone());
                        async move {
                            match (name.as_str(), stock) {
                                ("Find", _) => return Err(Status::not_found("no such item")),
                                ("Fail", _) => return Err(Status::internal("as asked")),
                                ("Call", Some(stock)) => {
                                    unary(stock, format!("/shop.Shop/Get{number}")).await?;
                                }
                                _ => {}
                            }
                            Ok(Response::new(()))
                        }
                    };
                    grpc.unary(service_fn(one), request).await
                }
            };
            Ok(answer)
        })
    }
}

pub async fn serve() -> Result<(), Failure> {
    let stock = match variable("UPSTREAM") {
        none if none.is_empty() => None,
        url => Some(connect(&url)?),
    };
    let mut server = Server::builder();
    if !variable("TLS").is_empty() {
        let own = Identity::from_pem(read("cert.pem")?, read("key.pem")?);
        server = server.tls_config(ServerTlsConfig::new().identity(own))?;
    }
    let listener = TcpListener::bind(format!("127.0.0.1:{}", variable("PORT"))).await?;
    println!("listening on {}", listener.local_addr()?);
    let incoming = TcpListenerStream::new(listener);
    server.add_service(Shop { stock }).serve_with_incoming(incoming).await?;
    Ok(())
}

async fn send(channel: Channel, name: &str, number: usize) -> Result<(), Status> {
    let path = format!("/shop.Shop/{name}{}", number % METHODS);
    if !matches!(name, "List" | "Chat") {
        return unary(channel, path).await;
    }
    let path = PathAndQuery::try_from(path).map_err(|error| Status::internal(error.to_string()))?;
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let answers = if name == "List" {
        grpc.server_streaming(Request::new(()), path, Codec::default()).await?
    } else {
        let two = Request::new(stream::iter([(), ()]));
        grpc.streaming(two, path, Codec::default()).await?
    };
    let mut answers = answers.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}

pub async fn ask(url: &str, count: usize, many: usize) -> Result<(), Failure> {
    let channel = connect(url)?;
    let last = if variable("CALLS").is_empty() { "Chat" } else { "Call" };
    let names = ["Get", "List", "Find", "Fail", last];
    each(count, many, move |number| {
        let channel = channel.clone();
        async move {
            match send(channel, names[number % 5], number).await {
                Err(status) if status.code() == Code::Unavailable => Err(status.into()),
                _ => Ok(()),
            }
        }
    })
    .await
}
