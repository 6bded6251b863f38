//! The contract's table of verdicts: its rows in order, and what the fates of witnesses make of them.

mod doubts;
mod ephemeral;
mod invariants;
mod life;
mod pid_file;
mod rows;
mod witnesses;
