//! Processes of the host.
