//! The hooks: for each subject its candidates in the order in which they are tried.
//!
//! A candidate counts only when it attaches: a version or feature probe says yes to programs
//! that are refused later. Prototypes and kernels stand with each program in
//! `agent-ebpf/src/backend`; `cargo xtask hooks` makes docs/hooks.md of both.

/// What has to be observed, and the ways to do it.
#[derive(Debug)]
pub struct Subject {
    /// Name in settings and messages.
    pub name: &'static str,
    /// What is lost without it.
    pub purpose: &'static str,
    /// Whether weft is of use without it.
    pub required: bool,
    /// Best first.
    pub candidates: &'static [Candidate],
}

/// One way to observe a subject: all its programs attach, or it is refused.
#[derive(Debug)]
pub struct Candidate {
    /// Name in settings and messages.
    pub name: &'static str,
    /// Kernels that have it.
    pub since: &'static str,
    /// Its programs.
    pub programs: &'static [Program],
}

/// A program and where it attaches.
#[derive(Debug)]
pub struct Program {
    /// Name in the kernel object.
    pub name: &'static str,
    /// Where.
    pub target: Target,
}

/// Where a program attaches.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// A typed tracepoint.
    TypedTracepoint(&'static str),
    /// A raw tracepoint.
    RawTracepoint(&'static str),
    /// Plain tracepoints `category:prefix + suffix`; those a kernel lacks are left out, but one
    /// of them must attach.
    Tracepoints(&'static str, &'static str, &'static [&'static str]),
}

use Target::{RawTracepoint, Tracepoints, TypedTracepoint};

/// System calls that move bytes over sockets, for the plain tracepoints.
const CALLS: &[&str] = &[
    "read",
    "write",
    "readv",
    "writev",
    "recvfrom",
    "sendto",
    "recvmsg",
    "sendmsg",
    "recvmmsg",
    "sendmmsg",
    "sendfile64",
    "splice",
    "preadv2",
    "pwritev2",
];

/// Every subject.
pub static SUBJECTS: &[Subject] = &[
    Subject {
        name: "socket_io",
        purpose: "bytes sent and received",
        required: true,
        candidates: &[
            Candidate {
                name: "sock_length",
                since: "6.3",
                programs: &[
                    Program {
                        name: "sock_send_length",
                        target: TypedTracepoint("sock_send_length"),
                    },
                    Program {
                        name: "sock_recv_length",
                        target: TypedTracepoint("sock_recv_length"),
                    },
                ],
            },
            Candidate {
                name: "sys_exit",
                since: "5.5",
                programs: &[Program {
                    name: "sys_exit",
                    target: TypedTracepoint("sys_exit"),
                }],
            },
            Candidate {
                name: "syscalls",
                since: "5.8",
                programs: &[
                    Program {
                        name: "sys_enter_call",
                        target: Tracepoints("syscalls", "sys_enter_", CALLS),
                    },
                    Program {
                        name: "sys_exit_call",
                        target: Tracepoints("syscalls", "sys_exit_", CALLS),
                    },
                ],
            },
        ],
    },
    Subject {
        name: "connection_life",
        purpose: "ends of connections, who opened them",
        required: false,
        candidates: &[
            Candidate {
                name: "raw_tracepoint",
                since: "4.17",
                programs: &[Program {
                    name: "inet_sock_set_state",
                    target: RawTracepoint("inet_sock_set_state"),
                }],
            },
            Candidate {
                name: "tracepoint",
                since: "4.16",
                programs: &[Program {
                    name: "inet_sock_set_state_event",
                    target: Tracepoints("sock", "", &["inet_sock_set_state"]),
                }],
            },
        ],
    },
    Subject {
        name: "process_life",
        purpose: "processes that start after the agent",
        required: false,
        candidates: &[Candidate {
            name: "raw_tracepoint",
            since: "4.17",
            programs: &[
                Program {
                    name: "sched_process_fork",
                    target: RawTracepoint("sched_process_fork"),
                },
                Program {
                    name: "sched_process_exec",
                    target: RawTracepoint("sched_process_exec"),
                },
                Program {
                    name: "sched_process_exit",
                    target: RawTracepoint("sched_process_exit"),
                },
            ],
        }],
    },
];
