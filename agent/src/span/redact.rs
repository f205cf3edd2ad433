//! Redaction of what may hold secrets.
