//! Which container a process runs in.
