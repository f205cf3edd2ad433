//! HTTP/1: from bytes to reports, over recorded traffic and a plain request.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harness::feeder::converse;
use harness::traffic::{Traffic, folder};
use std::hint::black_box;
use weft::protocol::exchange::{Moment, Report, Role};
use weft::protocol::http1::Http1;
use weft::protocol::{Conversation, Limits, Progress, Protocol};
use weft::record::{Direction, Task};

const REQUEST: &[u8] = b"GET /api/v1/users/42?fields=name,mail HTTP/1.1\r\n\
Host: shop.example:8080\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: application/json\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Connection: keep-alive\r\n\
traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
Server: nginx/1.22.1\r\n\
Date: Sat, 01 Jan 2022 00:00:00 GMT\r\n\
Content-Type: application/json; charset=utf-8\r\n\
Content-Length: 33\r\n\
Connection: keep-alive\r\n\r\n\
{\"id\":42,\"name\":\"a\",\"mail\":\"b@c\"}";

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\n\
Content-Type: text/plain\r\n\
Transfer-Encoding: chunked\r\n\r\n\
10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";

/// Feeds one call to its end.
fn feed(
    conversation: &mut dyn Conversation,
    direction: Direction,
    mut bytes: &[u8],
    offset: &mut u64,
    out: &mut Vec<Report>,
) {
    while !bytes.is_empty() {
        let moment = Moment {
            at: 1,
            task: Task::default(),
            fiber: 0,
            offset: *offset,
        };
        match conversation.feed(direction, bytes, moment, moment, out) {
            Progress::Took(len) => {
                bytes = bytes.get(len..).unwrap_or(b"");
                *offset += len as u64;
            }
            other => panic!("the bench's traffic is sound, but: {other:?}"),
        }
    }
}

fn exchange(bench: &mut Criterion, name: &str, answer: &[u8]) {
    let mut group = bench.benchmark_group("http1");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| {
        let mut conversation = Http1.open(Role::Server, Limits::default());
        let mut offsets = [0; 2];
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            let [received, sent] = &mut offsets;
            let conversation = conversation.as_mut();
            feed(
                conversation,
                Direction::Received,
                black_box(REQUEST),
                received,
                &mut out,
            );
            feed(
                conversation,
                Direction::Sent,
                black_box(answer),
                sent,
                &mut out,
            );
            assert_eq!(out.len(), 2);
        });
    });
    group.finish();
}

fn benches(bench: &mut Criterion) {
    exchange(bench, "exchange", ANSWER);
    exchange(bench, "exchange_chunked", CHUNKED);
    bench.bench_function("http1/probe", |bencher| {
        bencher.iter(|| Http1.probe(Direction::Received, black_box(REQUEST)));
    });
}

/// Every recorded connection, driven by the tests' feeder, which also checks what it is told.
fn fixtures(bench: &mut Criterion) {
    let files = Traffic::files(&folder("http1")).expect("the folder of traffic is there");
    let traffic: Vec<_> = files
        .iter()
        .map(|file| Traffic::read(file).expect("a fixture is sound").events)
        .collect();
    let run = |events| converse(&Http1, Role::Server, Limits::default(), events);
    let is_asked = |report: &&Report| matches!(report, Report::Asked(_));
    let requests = traffic
        .iter()
        .flat_map(|events| run(events).conversations.concat())
        .filter(|report| is_asked(&report))
        .count();
    let mut group = bench.benchmark_group("http1");
    group.throughput(Throughput::Elements(requests as u64));
    group.bench_function("fixtures", |bencher| {
        bencher.iter(|| {
            traffic
                .iter()
                .map(|events| run(black_box(events)).lost)
                .sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(group, benches, fixtures);
criterion_main!(group);
