//! Probes: the kernel edge.
//!
//! In: nothing but the running kernel. Out: bytes of records, in the order of the ring buffer.
//! Not here: what the records mean (`record` decodes them).

pub mod attach;
pub mod btf;
pub mod hooks;
pub mod lease;
pub mod mappings;
pub mod misses;
pub mod multi;
pub mod object;
pub mod offsets;
pub mod ring;
pub mod runtime;
pub mod site;
pub mod tls;
pub mod uprobes;
