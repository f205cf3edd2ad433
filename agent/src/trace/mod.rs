//! Traces: which span is whose parent.
