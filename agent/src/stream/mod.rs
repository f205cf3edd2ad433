//! Streams: records in, contiguous bytes of each connection out.
