//! Which processes are watched, and why.
