//! File and flags in, a checked [`Config`] out; nothing is checked again later.
