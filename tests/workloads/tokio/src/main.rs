//! An order service in five styles: axum with reqwest, axum with blocking calls by `spawn_blocking` of
//! reqwest's blocking client or of ureq, tonic with reqwest, actix-web with awc.

mod actix;
mod axum_style;
mod remote;

fn main() -> std::io::Result<()> {
    let port: u16 = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok())
        .unwrap_or(8080);
    let upstream = std::env::var("UPSTREAM").unwrap_or_default();
    match std::env::var("STYLE").as_deref() {
        Ok("actix") => actix::serve(port, upstream),
        Ok("tonic") => remote::serve(port, axum_style::Calls::asynchronous(upstream)),
        Ok("blocking") => axum_style::serve(port, axum_style::Calls::blocking(upstream)),
        Ok("ureq") => axum_style::serve(port, axum_style::Calls::by_ureq(upstream)),
        _ => axum_style::serve(port, axum_style::Calls::asynchronous(upstream)),
    }
}
