//! The pipeline: records in, finished traces out; a pure function of its input.
