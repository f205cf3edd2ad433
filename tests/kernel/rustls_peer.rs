//! Both ends of TLS connections by rustls, one connection a version, in one process: a question and an
//! answer, twice, and where TLS has it other keys between them.
//!
//! Waits for a line on stdin, then prints the inodes of the clients' and the servers' sockets.

use anyhow::{Context, Result, anyhow};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::{fs, thread};

const QUESTION: &[u8] = b"a question";
/// More than two records hold, in more pieces than are looked at.
const PIECE: &[u8] = &[b'p'; 3000];
const PIECES: usize = 12;
const TIMES: usize = 2;

fn main() -> Result<()> {
    println!("ready");
    io::stdin().read_line(&mut String::new())?;
    for version in [&TLS13, &TLS12] {
        speak(version)?;
    }
    println!("done");
    Ok(())
}

fn speak(version: &'static SupportedProtocolVersion) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
    let key = key.map_err(|error| anyhow!(error))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let server = ServerConfig::builder_with_protocol_versions(&[version])
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let client = ClientConfig::builder_with_protocol_versions(&[version])
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = UnixStream::pair()?;
    let inodes = (inode(&near)?, inode(&far)?);
    let server = thread::spawn(move || serve(far, server));
    ask(near, client, version == &TLS13)?;
    server
        .join()
        .map_err(|_| anyhow!("the server panicked"))??;
    println!(r#"{{"client": {}, "server": {}}}"#, inodes.0, inodes.1);
    Ok(())
}

fn inode(end: &UnixStream) -> Result<u64> {
    let link = fs::read_link(format!("/proc/self/fd/{}", end.as_raw_fd()))?;
    let link = link.to_string_lossy();
    let number = link.trim_start_matches("socket:[").trim_end_matches(']');
    number.parse().with_context(|| link.clone().into_owned())
}

fn serve(end: UnixStream, config: ServerConfig) -> Result<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config))?, end);
    for _ in 0..TIMES {
        let mut question = [0; QUESTION.len()];
        stream.read_exact(&mut question)?;
        let mut pieces = [IoSlice::new(PIECE); PIECES];
        let mut left = &mut pieces[..];
        while !left.is_empty() {
            let written = stream.write_vectored(left)?;
            IoSlice::advance_slices(&mut left, written);
        }
        stream.flush()?;
    }
    Ok(())
}

fn ask(end: UnixStream, config: ClientConfig, other_keys: bool) -> Result<()> {
    let name = ServerName::try_from("localhost")?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, end);
    for time in 0..TIMES {
        if time > 0 && other_keys {
            stream.conn.refresh_traffic_keys()?;
        }
        stream.write_all(QUESTION)?;
        let mut answer = vec![0; PIECES * PIECE.len()];
        stream.read_exact(&mut answer)?;
    }
    Ok(())
}
