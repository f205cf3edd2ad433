//! The record log: what `weft record` writes and `weft replay` reads.
