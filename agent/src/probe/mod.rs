//! Probes: the kernel edge.
