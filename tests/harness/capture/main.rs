//! Records the traffic of one connection: a TCP proxy on loopback between a real client and a
//! real server that writes a `.traffic` file.
//!
//! `capture FILE LISTEN UPSTREAM KEEP SHOWS SERVER CLIENT COMMAND`: listens, runs COMMAND in a
//! shell, and writes what went over the first connection. Of each call at most KEEP bytes are
//! kept, the rest becomes a gap. Each call of the file is one read of the proxy, so calls that
//! follow each other at once may be joined.

use anyhow::{Context, Result};
use harness::traffic::{Event, Traffic, Way, What};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long the connection may stay open after the client's command ended.
const PATIENCE: Duration = Duration::from_secs(2);

struct Arguments {
    file: String,
    listen: String,
    upstream: String,
    keep: usize,
    provenance: Vec<(String, String)>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut next = |name: &str| words.next().with_context(|| format!("{name} is missing"));
        Ok(Self {
            file: next("FILE")?,
            listen: next("LISTEN")?,
            upstream: next("UPSTREAM")?,
            keep: next("KEEP")?.parse().context("KEEP is no number")?,
            provenance: ["shows", "server", "client", "command"]
                .into_iter()
                .map(|key| Ok((key.to_owned(), next(key)?)))
                .collect::<Result<_>>()?,
        })
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))
        .context("usage: capture FILE LISTEN UPSTREAM KEEP SHOWS SERVER CLIENT COMMAND")?;
    let listener = TcpListener::bind(&arguments.listen)
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let upstream = arguments.upstream.clone();
    let (sender, receiver) = sync_channel(4096);
    thread::spawn(move || accept(&listener, &upstream, &sender));
    let command = arguments
        .provenance
        .last()
        .map_or("", |(_, text)| text.as_str());
    // The exit status is no matter: some clients are meant to fail.
    Command::new("sh")
        .args(["-c", command])
        .status()
        .context("cannot run the client")?;
    let mut events = collect(&receiver);
    anyhow::ensure!(!events.is_empty(), "nothing came over {}", arguments.listen);
    let start = events.first().map_or(0, |event| event.at);
    for event in &mut events {
        event.at -= start;
    }
    let traffic = Traffic {
        provenance: arguments.provenance,
        events: events
            .into_iter()
            .flat_map(|event| shorten(event, arguments.keep))
            .collect(),
    };
    std::fs::write(&arguments.file, traffic.print())
        .with_context(|| format!("cannot write {}", arguments.file))
}

/// Passes on every connection and records the first.
fn accept(listener: &TcpListener, upstream: &str, sender: &SyncSender<Event>) {
    let clock = Instant::now();
    let mut recorder = Some(sender.clone());
    for client in listener.incoming().flatten() {
        let Ok(server) = TcpStream::connect(upstream) else {
            continue;
        };
        let recorder = recorder.take();
        for (way, from, to) in [
            (Way::Request, &client, &server),
            (Way::Answer, &server, &client),
        ] {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                continue;
            };
            let recorder = recorder.clone();
            thread::spawn(move || pass(way, from, to, clock, recorder.as_ref()));
        }
    }
}

fn pass(
    way: Way,
    mut from: TcpStream,
    mut to: TcpStream,
    clock: Instant,
    sender: Option<&SyncSender<Event>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let len = from.read(&mut buffer).unwrap_or(0);
        let bytes = buffer.get(..len).unwrap_or(&[]);
        let what = if bytes.is_empty() {
            What::Close
        } else {
            What::Bytes(bytes.to_vec())
        };
        if let Some(sender) = sender {
            let at = u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX);
            // The file is already being written: too late for this call.
            let _ = sender.send(Event { at, way, what });
        }
        if bytes.is_empty() || to.write_all(bytes).is_err() {
            // The other side learns of it; it may be gone already.
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
    }
}

/// Everything until both directions are closed or nothing comes any more.
fn collect(receiver: &Receiver<Event>) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut closed = 0;
    while let Ok(event) = receiver.recv_timeout(PATIENCE) {
        closed += usize::from(event.what == What::Close);
        events.push(event);
        if closed == 2 {
            break;
        }
    }
    events.sort_by_key(|event| event.at);
    events
}

/// Keeps the head of a call.
fn shorten(event: Event, keep: usize) -> Vec<Event> {
    let Event { at, way, what } = event;
    let part = |what| Event { at, way, what };
    match what {
        What::Bytes(mut bytes) if bytes.len() > keep => {
            let rest = bytes.split_off(keep);
            vec![part(What::Bytes(bytes)), part(What::Gap(rest.len() as u64))]
        }
        what => vec![part(what)],
    }
}
