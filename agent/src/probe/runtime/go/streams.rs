//! Go: which goroutine handles, or asks for, which stream of an HTTP/2 connection.
//!
//! In: a program. Out: where that is told. Readers and writers of such connections serve all
//! streams and say nothing. `net/http` and `golang.org/x/net/http2` handle each stream in a
//! goroutine of its own and write each request in one, too; `google.golang.org/grpc` handles
//! streams in goroutines of their own or of a pool, and numbers a stream in the goroutine that asks
//! for it, while another one writes.

use super::{Parts, Program, word_of};
use crate::probe::site;
use agent_common::runtime::go;
use iced_x86::Register;

/// In the net/http of Go, where it is a package of its own there, and in the module.
const RUN_HANDLER: [&str; 3] = [
    "net/http.(*http2serverConn).runHandler",
    "net/http/internal/http2.(*serverConn).runHandler",
    "golang.org/x/net/http2.(*serverConn).runHandler",
];
const DO_REQUEST: [&str; 3] = [
    "net/http.(*http2clientStream).doRequest",
    "net/http/internal/http2.(*clientStream).doRequest",
    "golang.org/x/net/http2.(*clientStream).doRequest",
];
const HANDLE_STREAM: &str = "google.golang.org/grpc.(*Server).handleStream";
const ASSIGN: &str = "runtime.mapassign_fast32";
/// Function literals of `NewStream`: one of them numbers the stream.
const NEW_STREAM: [&str; 8] = [
    "google.golang.org/grpc/internal/transport.(*http2Client).NewStream.func1",
    "google.golang.org/grpc/internal/transport.(*http2Client).NewStream.func2",
    "google.golang.org/grpc/internal/transport.(*http2Client).NewStream.func3",
    "google.golang.org/grpc/internal/transport.(*http2Client).NewStream.func4",
    "google.golang.org/grpc/internal/transport.(*http2Client).NewStream.func5",
    "google.golang.org/grpc/internal/transport.(*http2Client).NewStream.func6",
    "google.golang.org/grpc/internal/transport.(*http2Client).NewStream.func7",
    "google.golang.org/grpc/internal/transport.(*http2Client).NewStream.func8",
];

/// What is asked for.
pub(super) const FUNCTIONS: &[&str] = &[
    RUN_HANDLER[0],
    RUN_HANDLER[1],
    RUN_HANDLER[2],
    DO_REQUEST[0],
    DO_REQUEST[1],
    DO_REQUEST[2],
    HANDLE_STREAM,
    ASSIGN,
    NEW_STREAM[0],
    NEW_STREAM[1],
    NEW_STREAM[2],
    NEW_STREAM[3],
    NEW_STREAM[4],
    NEW_STREAM[5],
    NEW_STREAM[6],
    NEW_STREAM[7],
];

pub(super) fn look(program: &Program<'_>) -> Parts {
    let mut parts = Parts::default();
    for name in RUN_HANDLER {
        parts
            .sites
            .extend(program.at_entry(name, "go_h2_run_handler"));
    }
    for name in DO_REQUEST {
        parts
            .sites
            .extend(program.at_entry(name, "go_h2_do_request"));
    }
    let server = program.function(HANDLE_STREAM).is_some();
    let client = NEW_STREAM
        .iter()
        .any(|name| program.function(name).is_some());
    if server && parts.add(served(program)).is_none() {
        parts.lacks = Some(
            "google.golang.org/grpc: this version's server does not show which goroutine handles \
             a call, so what it asks of others has no parent",
        );
    }
    if client && parts.add(asked(program)).is_none() {
        parts.lacks = Some(
            "google.golang.org/grpc: this version's client does not show who makes a call, so \
             calls have no parent",
        );
    }
    parts
}

impl Parts {
    fn add(&mut self, found: Option<Self>) -> Option<()> {
        let found = found?;
        self.at.extend(found.at);
        self.sites.extend(found.sites);
        Some(())
    }
}

/// Before 1.69 client and server share the type of a stream.
const STREAMS: [&str; 2] = ["*transport.Stream", "*transport.ServerStream"];

fn served(program: &Program<'_>) -> Option<Parts> {
    let types = program.types.as_ref()?;
    let (server, conn) = types.find("*transport.http2Server", &["conn", "activeStreams"])?;
    let (_, stream) = types.find(STREAMS[0], &["id", "method"])?;
    let id = *stream.first()?;
    // A `ServerStream` begins with its `Stream`, or with a pointer to it.
    let id = match types
        .find(STREAMS[1], &["Stream", "st"])
        .map(|found| found.1)
    {
        Some(offsets) => match offsets.as_slice() {
            [0, 8] => go::BEHIND | id,
            [0, behind] if *behind > id => id,
            _ => return None,
        },
        None => id,
    };
    Some(Parts {
        at: vec![
            (go::GRPC_SERVER, server.address),
            (go::GRPC_SERVER_CONN, *conn.first()?),
            (go::GRPC_STREAM, id),
        ],
        sites: vec![program.at_entry(HANDLE_STREAM, "go_grpc_handle_stream")?],
        lacks: None,
    })
}

/// Where a stream is entered among those of its client, with the client in a register.
fn asked(program: &Program<'_>) -> Option<Parts> {
    let types = program.types.as_ref()?;
    let fields = ["conn", "activeStreams"];
    let (_, offsets) = types.find("*transport.http2Client", &fields)?;
    let [conn, streams] = offsets.as_slice() else {
        return None;
    };
    let assign = program.function(ASSIGN)?;
    NEW_STREAM.iter().find_map(|name| {
        let (code, at) = program.code(name)?;
        // The map is the second argument, the number the third.
        let place = || {
            let map = site::call_with_field(&code, at.address, assign.address, Register::RBX)?;
            let register = word_of(map.register)?;
            (map.field == *streams).then_some((map.call, register))
        };
        // Before 1.69 the number takes the client's register. The kernel side compares the map.
        let on_stack = || {
            let (address, assign) = (at.address, assign.address);
            let found =
                site::call_with_field_of_stack(&code, address, assign, Register::RBX, *streams);
            found.map(|(call, place)| (call, go::ON_STACK | place))
        };
        let (call, place) = place().or_else(on_stack)?;
        Some(Parts {
            at: vec![
                (go::GRPC_CLIENT_CONN, *conn),
                (go::GRPC_CLIENT_REGISTER, place),
                (go::GRPC_CLIENT_STREAMS, *streams),
            ],
            sites: vec![program.within(at, call, "go_grpc_new_stream")?],
            lacks: None,
        })
    })
}
