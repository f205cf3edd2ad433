//! Status and `error.type` of a span.
