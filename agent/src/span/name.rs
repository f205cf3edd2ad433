//! Low-cardinality span names.
