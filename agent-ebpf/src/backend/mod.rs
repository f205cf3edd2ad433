//! How we were called: each function only unpacks its context for a body in `probes`.
//!
//! All candidates live in this one object; user space loads the chosen ones. One backend per
//! subject is active at a time, else events would double.

pub mod go;
pub mod go_sql;
pub mod java;
pub mod lifecycle;
pub mod node;
pub mod process;
pub mod ruby;
pub mod runtime;
pub mod rustls;
pub mod sock_length;
pub mod sys_exit;
pub mod syscalls;
pub mod tls;
pub mod tokio;
