//! Traces: which span is whose parent.
//!
//! In: requests and answers with the connections and threads they were seen on. Out: trees of
//! spans. Each parent is a fact with its evidence, or there is none: what is ambiguous is refused
//! and counted. Time alone is never evidence. Not here: names and attributes (`span`).

pub mod answered;
pub mod assembly;
pub mod context;
pub mod departed;
pub mod events;
pub mod fibers;
pub mod handed;
pub mod handlers;
pub mod id;
pub mod objects;
pub mod open;
pub mod pairs;
pub mod parent;
pub mod secured;
pub mod streams;
pub mod supposed;
mod trees;
pub mod waiting;
