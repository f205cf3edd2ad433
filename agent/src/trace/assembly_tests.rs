//! Requests and answers in, trees out, in words: `child<parent:evidence`.

use super::*;
use crate::protocol::exchange::{Carried, Moment, Operation, Outcome};
use crate::record::{Allocator, Task};
use crate::trace::streams::Of;
use Role::{Client, Server};

const LIMITS: Limits = Limits {
    nodes: 64,
    settle: 100,
    hold: 1000,
};
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b8-00";

/// One end of a request: its name is the number of its connection.
#[derive(Clone, Copy)]
struct End {
    conn: u64,
    role: Role,
    /// The port of its client names the wire.
    wire: u16,
    tid: u32,
    /// The runtime's task.
    fiber: u64,
    stream: Option<u32>,
    header: Option<&'static str>,
}

fn server(conn: u64, wire: u16, tid: u32) -> End {
    End {
        conn,
        role: Server,
        wire,
        tid,
        fiber: 0,
        stream: None,
        header: None,
    }
}

fn client(conn: u64, wire: u16, tid: u32) -> End {
    End {
        conn,
        role: Client,
        wire,
        tid,
        fiber: 0,
        stream: None,
        header: None,
    }
}

impl End {
    fn with(self, header: &'static str) -> Self {
        Self {
            header: Some(header),
            ..self
        }
    }

    fn on(self, fiber: u64) -> Self {
        Self { fiber, ..self }
    }

    /// The process is the thread's hundreds.
    fn handler(self) -> Handler {
        Handler {
            task: Task {
                tgid: self.tid / 100,
                tid: self.tid,
            },
            fiber: self.fiber,
        }
    }

    fn info(self) -> Arc<Opened> {
        let ends = [(5000 + self.wire, 1), (80, 2)];
        let (own, other) = if self.role == Client { (0, 1) } else { (1, 0) };
        let end = |i: usize| Endpoint::Inet([127, 0, 0, 1].into(), ends[i].0);
        Arc::new(Opened {
            conn: ConnId(self.conn),
            at: 0,
            inode: 1,
            local: end(own),
            remote: end(other),
            client: self.role == Client,
            fresh: true,
            plain: None,
            netns: 1,
            offsets: [0; 2],
            path: None,
        })
    }
}

#[derive(Clone, Copy)]
enum Step {
    /// A request begins.
    Ask(End),
    /// The same on a process of that kind.
    In(Threading, End),
    /// Its answer ends.
    Answer(u64),
    /// Its answer, written by this task.
    By(u64, u64),
    /// Its answer, written by this virtual thread to the end.
    Wrote(u64, u64),
    /// A thread of process 1 allocates from the first place to the second.
    Allocates(u64, u64, Allocator),
    /// The first of these tasks of process 1 was made by the second.
    Made(u64, u64),
    /// The first of these tasks of process 1 waited, and the second woke it.
    Gave(u64, u64),
    /// The first of these threads of process 1 was made by the second.
    Born(u32, u32),
    /// A thread of process 1 ended.
    Left(u32),
    /// A probe told this of a task of process 1.
    Told(Of, u64),
    /// A thread of the runtime of process 1, which is called so among its tasks, ended.
    Over(u64),
    /// A task of process 1 received bytes on a connection.
    Heard(u64, u64),
    /// Trees that are due by then leave.
    Due(Nanos),
    /// A thread's records wait.
    Doubt(u32),
    Exit(u32),
    /// Records were lost.
    Lost,
}
use Step::{
    Answer as Answered, Ask, Born, By, Doubt, Due, Exit, Gave, Heard, In, Left, Lost, Made, Over,
    Told, Wrote,
};

struct World {
    assembly: Assembly,
    names: HashMap<SpanId, u64>,
    told: Vec<String>,
}

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            assembly: Assembly::new(limits, Ids::seeded(1)),
            names: HashMap::new(),
            told: Vec::new(),
        }
    }

    fn step(&mut self, at: Nanos, step: Step) {
        match step {
            Ask(end) => self.ask(at, Threading::Bound, end),
            In(threading, end) => self.ask(at, threading, end),
            Answered(conn) => self.assembly.answered(ConnId(conn), answer(at)),
            By(conn, fiber) => {
                let mut answer = answer(at);
                let Handler { task, fiber } = server(0, 0, 100).on(fiber).handler();
                answer.first = Some(Moment {
                    task,
                    fiber,
                    ..answer.end
                });
                self.assembly.answered(ConnId(conn), answer);
            }
            Wrote(conn, fiber) => {
                let mut answer = answer(at);
                answer.end.fiber = fiber;
                self.assembly.answered(ConnId(conn), answer);
            }
            Step::Allocates(from, to, by) => {
                let thread = server(0, 0, 100).handler().task;
                self.assembly.allocates(thread, (from, to), by, at);
            }
            Made(fiber, maker) => self.assembly.made(1, fiber, maker, at),
            Gave(fiber, by) => self.assembly.handed(1, fiber, by),
            Born(child, maker) => {
                let [child, maker] = [child, maker].map(|tid| server(0, 0, tid).handler().task);
                self.assembly.thread_made(maker, child, at);
            }
            Left(tid) => self.assembly.thread_ended(server(0, 0, tid).handler()),
            Over(fiber) => {
                let thread = server(0, 0, 100).on(fiber).handler();
                self.assembly.thread_ended(thread);
            }
            Told(of, fiber) => {
                let Handler { task, fiber } = server(0, 0, 100).on(fiber).handler();
                self.assembly.told(task, fiber, of, at);
            }
            Heard(conn, fiber) => {
                let handler = server(0, 0, 100).on(fiber).handler();
                self.assembly.heard(ConnId(conn), handler, at);
            }
            Due(now) => {
                let mut batches = Vec::new();
                self.assembly.due(now, &mut |batch| batches.push(batch));
                batches.into_iter().for_each(|batch| self.tell(batch));
            }
            Doubt(tid) => self.assembly.doubt(server(0, 0, tid).handler()),
            Exit(tgid) => self.assembly.exited(tgid),
            Lost => self.assembly.lost(at),
        }
    }

    fn ask(&mut self, at: Nanos, threading: Threading, end: End) {
        self.ask_over(&end.info(), at, threading, end);
    }

    fn ask_over(&mut self, info: &Arc<Opened>, at: Nanos, threading: Threading, end: End) {
        let Handler { task, fiber } = end.handler();
        let request = Request {
            number: 0,
            role: end.role,
            stream: end.stream,
            start: Moment {
                at,
                task,
                fiber,
                offset: 10,
            },
            operation: Operation::default(),
            carried: Carried {
                traceparent: end.header.map(str::to_owned),
                tracestate: None,
            },
        };
        let reader = (end.handler(), at);
        self.assembly
            .asked(info, Box::new(request), reader, threading);
    }

    fn tell(&mut self, batch: Batch) {
        for node in &batch.nodes {
            self.names.insert(node.id, node.info.conn.0);
        }
        let nodes = batch.nodes.iter().map(|node| {
            let parent = node.parent.map(|(id, evidence, remote)| {
                let name = self.names.get(&id).map_or(format!("{id}"), u64::to_string);
                let far = if remote { "!" } else { "" };
                format!("<{name}{far}:{}", evidence.as_str())
            });
            format!("{}{}", node.info.conn.0, parent.unwrap_or_default())
        });
        let nodes = nodes.collect::<Vec<_>>().join(" ");
        let part = if batch.complete { "" } else { "..." };
        self.told.push(format!("[{nodes}{part}]"));
    }
}

fn answer(at: Nanos) -> Box<Answer> {
    Box::new(Answer {
        number: 0,
        first: None,
        end: Moment {
            at,
            ..Moment::default()
        },
        outcome: Outcome::Ok,
        attributes: Vec::new(),
        cut: false,
    })
}

fn check(steps: &[Step], expected: &str) -> Counts {
    let mut world = World::new(LIMITS);
    for (at, step) in steps.iter().enumerate() {
        world.step(at as Nanos, *step);
    }
    assert_eq!(world.told.join(" "), expected);
    world.assembly.counts.clone()
}

#[test]
fn a_call_belongs_to_what_its_thread_handles() {
    let steps = [
        Ask(server(1, 1, 100)),
        Ask(server(2, 2, 101)),
        Ask(client(3, 3, 101)),
        Ask(client(4, 4, 102)),
        Answered(3),
        Answered(2),
        Answered(4),
        Answered(1),
        Due(5000),
    ];
    check(&steps, "[2 3<2:thread] [4] [1]");
}

#[test]
fn after_a_loss_no_thread_is_believed() {
    let steps = [
        Ask(server(1, 1, 100)),
        Lost,
        Ask(client(2, 2, 100)),
        Answered(2),
        Answered(1),
        Due(5000),
    ];
    let counts = check(&steps, "[2] [1]");
    assert_eq!(counts.refused[5], 1);
}

#[test]
fn both_ends_meet_in_either_order() {
    for (first, second) in [
        (client(1, 1, 100), server(2, 1, 200)),
        (server(2, 1, 200), client(1, 1, 100)),
    ] {
        let steps = [Ask(first), Ask(second), Answered(2), Answered(1), Due(4)];
        let mut world = World::new(LIMITS);
        for (at, step) in steps.iter().enumerate() {
            world.step(at as Nanos, *step);
        }
        let told = world.told.join(" ");
        assert!(
            told == "[1 2<1:socket_pair]" || told == "[2<1:socket_pair 1]",
            "{told}"
        );
    }
}

#[test]
fn a_chain_leaves_as_one_tree_at_once() {
    let steps = [
        Ask(client(1, 1, 100)),
        Ask(server(2, 1, 200)),
        Ask(client(3, 2, 200)),
        Ask(server(4, 2, 300)),
        Answered(4),
        Answered(3),
        Answered(2),
        Due(6),
        Answered(1),
        Due(8),
    ];
    check(&steps, "[1 2<1:socket_pair 3<2:thread 4<3:socket_pair]");
}

#[test]
fn an_end_without_its_other_end_waits_a_while() {
    let steps = [
        Ask(server(1, 1, 100)),
        Answered(1),
        Due(50),
        Ask(client(2, 1, 200)),
        Answered(2),
        Due(60),
    ];
    check(&steps, "[1<2:socket_pair 2]");
    let late = [
        Ask(server(1, 1, 100)),
        Answered(1),
        Due(101),
        Ask(client(2, 1, 200)),
        Answered(2),
        Due(200),
    ];
    check(&late, "[1] [2]");
}

#[test]
fn headers_name_parents_unless_a_nearer_one_is_seen() {
    let far = "00f067aa0ba902b7";
    let alone = [Ask(server(1, 1, 100).with(TRACE)), Answered(1), Due(500)];
    check(&alone, &format!("[1<{far}!:header]"));
    let pair = [
        Ask(client(1, 1, 100).with(TRACE)),
        Ask(server(2, 1, 200).with(TRACE)),
        Answered(2),
        Answered(1),
        Due(5),
    ];
    check(&pair, &format!("[1<{far}!:header 2<1:socket_pair]"));
}

#[test]
fn a_proxy_hands_a_header_on_and_a_library_makes_its_own() {
    let far = "00f067aa0ba902b7";
    let proxy = [
        Ask(server(1, 1, 100).with(TRACE)),
        Ask(client(2, 2, 100).with(TRACE)),
        Answered(2),
        Answered(1),
        Due(500),
    ];
    check(&proxy, &format!("[1<{far}!:header 2<1:thread]"));
    let library = [
        Ask(server(1, 1, 100)),
        Ask(client(2, 2, 100).with(OTHER)),
        Answered(2),
        Answered(1),
        Due(500),
    ];
    check(&library, "[2<00f067aa0ba902b8!:header] [1]");
}

#[test]
fn two_traces_are_never_joined() {
    let steps = [
        Ask(client(1, 1, 100).with(TRACE)),
        Ask(server(2, 1, 200).with(OTHER)),
        Answered(2),
        Answered(1),
        Due(5),
    ];
    let counts = check(
        &steps,
        "[2<00f067aa0ba902b8!:header] [1<00f067aa0ba902b7!:header]",
    );
    // What the two ends of one wire carry differs: refused, and told.
    assert_eq!(counts.refused[4], 1);
}

#[test]
fn what_is_ambiguous_is_refused_by_cause() {
    use Threading::{Migrating, Unknown};
    for (refusal, threading, other) in [
        (0, Threading::Bound, 100),
        (2, Migrating, 100),
        (3, Unknown, 100),
    ] {
        let mut world = World::new(LIMITS);
        world.step(0, In(threading, server(1, 1, 100)));
        if refusal == 0 {
            world.step(1, Ask(server(9, 9, 100)));
        }
        world.step(2, In(threading, client(2, 2, other)));
        assert_eq!(world.assembly.counts.refused[refusal], 1, "{refusal}");
        assert_eq!(world.assembly.counts.joined, [0; 4]);
    }
}

#[test]
fn a_task_is_known_wherever_it_runs() {
    let steps = [
        Ask(server(1, 1, 101).on(1)),
        Ask(server(2, 2, 102).on(2)),
        // Task 2 on another thread.
        Ask(client(3, 3, 101).on(2)),
        Answered(3),
        Answered(2),
        Answered(1),
        Due(500),
    ];
    check(&steps, "[2 3<2:task] [1]");
}

/// A loop reads requests in one task of each connection, and handles them in others.
#[test]
fn who_answers_was_handling_the_request() {
    let steps = [
        Ask(server(1, 1, 100).on(1)),
        Ask(server(2, 2, 100).on(2)),
        Ask(client(3, 3, 100).on(30)),
        Made(40, 30),
        Ask(client(4, 4, 100).on(40)),
        Answered(3),
        Answered(4),
        // Nothing is due while an answer may tell.
        Due(400),
        By(1, 20),
        By(2, 30),
        Due(500),
    ];
    check(&steps, "[1] [2 3<2:task 4<2:task]");
}

#[test]
fn a_call_that_nobody_claims_has_no_parent() {
    let steps = [
        Ask(server(1, 1, 100).on(1)),
        Ask(client(3, 3, 100).on(30)),
        Ask(server(2, 2, 100).on(2)),
        Answered(3),
        By(1, 20),
        Due(500),
        // It was not open when the call was made.
        By(2, 30),
        Due(900),
    ];
    assert_eq!(check(&steps, "[3] [1] [2]").refused[1], 1);
}

/// The writer of a request's answer made a task for an earlier request; it calls only now.
#[test]
fn a_task_that_outlives_its_request_still_works_for_it() {
    let steps = [
        Ask(server(1, 1, 100).on(1)),
        Made(40, 30),
        By(1, 30),
        Ask(server(2, 2, 100).on(1)),
        Ask(client(3, 3, 100).on(40)),
        Answered(3),
        By(2, 30),
        Due(900),
    ];
    check(&steps, "[1 3<1:task] [2]");
}

/// A task's identity came to another one while its call waited.
#[test]
fn the_heir_of_an_identity_inherits_no_calls() {
    let steps = [
        Ask(server(1, 1, 100).on(1)),
        Ask(server(2, 2, 100).on(2)),
        Made(40, 30),
        Ask(client(3, 3, 100).on(40)),
        Answered(3),
        Made(40, 50),
        By(2, 40),
        By(1, 30),
        Due(900),
    ];
    check(&steps, "[2] [1 3<1:task]");
}

/// The request whose task made it has left, and its node is another's.
#[test]
fn a_task_that_outlives_its_trace_still_belongs_to_it() {
    let steps = [
        Ask(server(1, 1, 100).on(1)),
        Made(40, 1),
        Answered(1),
        Due(500),
        Ask(client(2, 2, 100).on(40)),
        Answered(2),
        Due(900),
    ];
    check(&steps, "[1] [2<1:task]");
}

/// The address of its context may be another's once its request is over.
#[test]
fn an_identity_for_one_request_ends_with_it() {
    let context = agent_common::runtime::WHILE_OPEN | 0xc000_1000;
    let steps = [
        Ask(server(1, 1, 100).on(1)),
        Made(context, 1),
        Ask(client(2, 2, 100).on(context)),
        Answered(2),
        Answered(1),
        Ask(client(3, 3, 100).on(context)),
        Answered(3),
        Due(900),
    ];
    assert_eq!(check(&steps, "[1 2<1:task] [3]").refused[4], 1);
}

/// A task that reads several requests at once is a loop, whatever it answers.
#[test]
fn a_loop_claims_nothing_by_its_answers() {
    let steps = [
        Ask(server(1, 1, 100).on(1)),
        Ask(server(2, 2, 100).on(1)),
        Ask(client(3, 3, 100).on(1)),
        Answered(3),
        By(1, 1),
        By(2, 1),
        Due(900),
    ];
    assert_eq!(check(&steps, "[3] [1] [2]").refused[0], 1);
}

#[test]
fn what_follows_an_answer_is_for_the_request_that_asked() {
    let steps = [
        Ask(server(1, 1, 100).on(1)),
        Ask(server(2, 2, 100).on(2)),
        Ask(client(3, 3, 100).on(2)),
        // The loop reads the answer in a task of its own, which goes on.
        Heard(3, 50),
        Answered(3),
        Ask(client(4, 4, 100).on(50)),
        Answered(4),
        Answered(1),
        Answered(2),
        Due(900),
    ];
    check(&steps, "[1] [2 3<2:task 4<2:task]");
}

#[test]
fn a_call_that_comes_late_is_not_given_to_the_next_request() {
    let mut world = World::new(LIMITS);
    world.step(10, Ask(server(1, 1, 100)));
    // Made at 5, before that request was read; the table held it back.
    world.step(5, Ask(client(2, 2, 100)));
    assert_eq!(world.assembly.counts.refused[0], 1);
    assert_eq!(world.assembly.counts.joined, [0; 4]);
}

#[test]
fn doubted_requests_are_nobodys_parents() {
    let steps = [
        Ask(server(1, 1, 100)),
        Doubt(100),
        Ask(client(2, 2, 100)),
        Answered(1),
        Answered(2),
        Due(500),
    ];
    assert_eq!(check(&steps, "[1] [2]").refused[0], 1);
    let answered = [
        Ask(client(1, 1, 200)),
        Ask(server(2, 1, 100)),
        // The server's own answer was lost.
        Answered(1),
        Ask(client(3, 3, 100)),
        Answered(3),
        Due(500),
    ];
    assert_eq!(check(&answered, "[3]").refused[0], 1);
}

#[test]
fn what_is_finished_leaves_a_long_trace_in_parts() {
    let steps = [
        Ask(server(1, 1, 100)),
        Ask(client(2, 2, 100)),
        Answered(2),
        Due(1001),
        Due(1002),
        Answered(1),
        Due(3000),
    ];
    check(
        &steps,
        "[2<1...] [1]".replace("<1", &parent_unknown()).as_str(),
    );
}

/// The parent of a span that left before its parent has no name yet: its id is told.
fn parent_unknown() -> String {
    let mut ids = Ids::seeded(1);
    format!("<{}:thread", ids.span())
}

#[test]
fn the_oldest_gives_way() {
    let mut world = World::new(Limits { nodes: 2, ..LIMITS });
    for conn in 1..=3 {
        world.step(conn, Ask(server(conn, conn as u16, 100)));
    }
    assert_eq!(
        (world.assembly.len(), world.assembly.counts.evicted),
        (2, 1)
    );
    world.step(4, Answered(1));
    assert_eq!(world.assembly.counts.orphans, 1);
    world.step(5, Answered(2));
    world.step(6, Answered(3));
    world.step(7, Due(500));
    assert_eq!(world.told.join(" "), "[2] [3]");
}

#[test]
fn what_is_finished_leaves_before_anything_is_dropped() {
    let mut world = World::new(Limits { nodes: 3, ..LIMITS });
    // The oldest is open, the next two are finished and wait for it.
    world.step(1, Ask(server(1, 1, 100)));
    world.step(2, Ask(client(2, 2, 100)));
    world.step(3, Answered(2));
    world.step(4, Ask(client(3, 3, 100)));
    world.step(5, Answered(3));
    world.step(6, Ask(server(4, 4, 101)));
    assert_eq!(world.assembly.counts.hurried, 2);
    assert_eq!(world.assembly.counts.evicted, 0);
    world.step(7, Answered(4));
    world.step(8, Answered(1));
    world.step(9, Due(500));
    let told = world.told.join(" ");
    assert_eq!(
        told,
        "[2<1 3<1...] [4] [1]".replace("<1", &parent_unknown())
    );
    // What lost a part is never called whole.
    let mut world = World::new(Limits { nodes: 2, ..LIMITS });
    for (at, step) in [
        Ask(server(1, 1, 100)),
        Ask(client(2, 2, 100)),
        Ask(server(3, 3, 101)),
        Answered(2),
        Answered(3),
        Due(500),
    ]
    .into_iter()
    .enumerate()
    {
        world.step(at as Nanos, step);
    }
    assert_eq!(world.assembly.counts.evicted, 1);
    let told = world.told.join(" ");
    assert_eq!(told, "[2<1...] [3]".replace("<1", &parent_unknown()));
}

#[test]
fn what_waits_to_leave_is_bounded() {
    let mut world = World::new(Limits { nodes: 2, ..LIMITS });
    for conn in 1..=9 {
        world.step(conn, Ask(server(conn, conn as u16, 100)));
        world.step(conn, Answered(conn));
    }
    let Counts {
        hurried, evicted, ..
    } = world.assembly.counts;
    assert_eq!((hurried, evicted, world.assembly.len()), (2, 5, 2));
    world.step(10, Due(500));
    assert_eq!(world.told.join(" "), "[1...] [2...] [8] [9]");
}

/// A small generator, so that every run of the test is the same.
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn nothing_is_left_when_everything_has_ended() {
    for seed in 1..200u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut world = World::new(Limits {
            nodes: 16,
            ..LIMITS
        });
        let mut open = Vec::new();
        let mut at = 0;
        for conn in 1..300 {
            let draw = noise(&mut state);
            at += draw % 50;
            let wire = (draw >> 8) as u16 % 40;
            let tid = 100 + (draw >> 24) as u32 % 3 + 100 * ((draw >> 32) as u32 % 2);
            let end = if draw & 1 == 0 {
                server(conn, wire, tid)
            } else {
                client(conn, wire, tid)
            };
            let end = if draw & 14 == 0 { end.with(TRACE) } else { end };
            let end = end.on((draw >> 40) % 4);
            let migrating = [Threading::Bound, Threading::Migrating][(draw >> 44) as usize % 2];
            world.step(at, In(migrating, end));
            open.push(conn);
            while open.len() > (draw >> 48) as usize % 12 {
                let next = open.remove(noise(&mut state) as usize % open.len());
                world.step(at, By(next, draw >> 12 & 3));
            }
            match draw >> 56 {
                0..=20 => world.step(at, Due(at)),
                21..=24 => world.step(at, Exit(1)),
                25..=30 => world.step(at, Doubt(tid)),
                31..=60 => world.step(at, Made(draw >> 16 & 3, draw >> 18 & 3)),
                61..=90 => world.step(at, Heard(conn, draw >> 16 & 3)),
                _ => {}
            }
            for (name, size) in world.assembly.sizes() {
                assert!(size <= 2 * 16 + 66, "{name}: {size} with seed {seed}");
            }
        }
        for conn in open {
            world.step(at, Answered(conn));
        }
        world.step(at, Due(at + 5000));
        world.step(at, Exit(1));
        world.step(at, Exit(2));
        for (name, size) in world.assembly.sizes() {
            assert!(
                size == 0 || name == "order",
                "{name}: {size} left with seed {seed}"
            );
        }
        assert!(world.assembly.handlers.is_clear());
    }
}

#[path = "carried_tests.rs"]
mod carried;

#[path = "event_tests.rs"]
mod events;

#[path = "assembly_given_tests.rs"]
mod given;
#[path = "heard_tests.rs"]
mod heard;

#[path = "outlived_tests.rs"]
mod outlived;
#[path = "shared_tests.rs"]
mod shared;

#[path = "times_tests.rs"]
mod times;
