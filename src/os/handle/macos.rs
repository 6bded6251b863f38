//! The macOS half.
