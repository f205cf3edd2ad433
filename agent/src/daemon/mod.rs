//! The running agent: the only place that starts threads and tasks, opens channels and orders
//! the shutdown.

pub mod capture;
pub mod discover;
pub mod replay;
