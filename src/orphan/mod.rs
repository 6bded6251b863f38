//! The pure core: what a coordinator is, when it is an orphan, who dies with it and how.
//!
//! Values in, values out. Nothing in this room knows tokio, nix, rustix, sysinfo, files or a clock:
//! whoever calls brings the facts and the time. Everything here can be walked through exhaustively.

pub mod checkup;
pub mod clock;
pub mod coordinator;
pub mod ephemeral;
pub mod escalation;
pub mod event;
pub mod evidence;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod judge;
pub mod memory;
pub mod policy;
pub mod process;
mod python;
pub mod registry;
pub mod steering;
pub mod termination;
pub mod verdict;
pub mod victims;
pub mod view;
