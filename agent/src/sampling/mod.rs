//! Sampling: which traces are kept.
