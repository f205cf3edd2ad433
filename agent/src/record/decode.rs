//! Bytes of a record to [`super::Record`].
