//! Internal values → the JSON that people's scripts rely on: entries, evidence, results, records.
//!
//! One direction only. Names here are the contract's; types elsewhere may change, these may not.

pub mod checkup;
pub mod company;
pub mod entry;
pub mod event;
pub mod evidence;
pub mod explain;
pub mod headline;
pub mod results;
pub mod status;
pub mod steering;
pub mod text;

#[cfg(test)]
mod tests;
