//! Which runtime a process is.
