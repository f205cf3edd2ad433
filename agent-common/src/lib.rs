//! The contract between the kernel programs and user space.
//!
//! - [`record`]: what the kernel writes to the ring buffer and user space decodes.
//! - [`conn`]: names of connections, directions, addresses.
//! - [`watch`]: what user space tells the kernel about processes and connections.
//! - [`runtime`]: how to name the runtime's task that makes a call.
//! - [`settings`]: read-only values fixed when the programs are loaded.
//! - [`loss`]: every reason why bytes or records were not seen, as counters.
//!
//! Both sides are built from the same commit and shipped in one binary, so there is no wire
//! version. Saved record logs outlive a build: `record::LAYOUT` changes with any layout.
//! Nothing here has behaviour beyond views of bytes.
#![no_std]

pub mod conn;
pub mod loss;
#[cfg(feature = "user")]
mod pod;
pub mod record;
pub mod runtime;
pub mod settings;
pub mod watch;
