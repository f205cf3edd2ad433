//! What happened: bodies that all backends share. They never know how they were reached.

pub mod connection;
pub mod fiber;
pub mod file;
pub mod go;
pub mod go_sql;
pub mod java;
pub mod lifecycle;
pub mod native;
pub mod node;
pub mod node_streams;
pub mod plain;
pub mod process;
pub mod proxied;
pub mod python;
pub mod ruby;
pub mod rustls;
pub mod socket_io;
pub mod storage;
pub mod tls;
pub mod tokio;
