//! weft: kernel **probes** emit **records**; records are reassembled into **streams**; a
//! **protocol** turns a stream into **exchanges** (request and answer); an exchange becomes a
//! **span**; spans are placed in a **trace**; **sampling** keeps some; **exporters** deliver.
//! **Discovery** (which processes) and **metadata** (service, container, host) come in from the
//! side. The modules stand in the order in which data flows.

pub mod export;
pub mod probe;
pub mod protocol;
pub mod record;
pub mod sampling;
pub mod span;
pub mod stream;
pub mod trace;

pub mod discovery;
pub mod metadata;

pub mod cli;
pub mod config;
pub mod daemon;
mod host;
pub mod pipeline;
pub mod semconv;
pub mod stats;
