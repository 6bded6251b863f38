//! The table of verdicts.
