//! The name people would give a process.
