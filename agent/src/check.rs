//! What this host allows.
