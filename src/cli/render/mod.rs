//! Results as text for people. Pure: a JSON value and a [`View`] in, a text out.
//!
//! A result may come from another version of the daemon: what is missing is shown as `?`, what has
//! another shape than expected as it is. Everything from a result goes through [`super::safe_text`].
//!
//! A pipe gets plain lines, those of the original tool where it had any; a terminal gets tables and
//! colours. Must not print, nor ask for the time, nor look at the terminal.

mod company;
mod config;
mod doctor;
mod events;
mod evidence;
mod explain;
mod failure;
mod field;
mod fix;
mod fold;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod gate;
mod paint;
mod refusal;
mod report;
mod scan;
mod service;
mod status;
mod steering;
mod table;
#[cfg(test)]
mod tests;
mod words;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::terminal::Terminal;

pub(super) use field::{counted, memory, shown, shown_or_unknown, span, text, time};
pub(super) use fix::how_it_ended;
pub(super) use paint::{ALARM, ASIDE, DOUBT, HEADING, WELL};
pub(super) use table::shorten_middle;

pub use config::config;
pub use doctor::doctor;
pub use events::{event, events};
pub use explain::explain;
pub use failure::failure;
pub use fix::{endings, fix, remarks};
pub use gate::{GATE_FIX, gate};
pub use refusal::{Preview, refusal};
pub use scan::{Asked as ScanAsked, scan};
pub use service::service;
pub use status::{policy, reloaded, status};
pub use steering::{kept, paused, resumed};

/// What a rendering has to know beside the result.
#[derive(Clone, Debug)]
pub struct View {
    /// Where it is shown.
    pub terminal: Terminal,
    /// The present time.
    pub now: Timestamp,
    /// In which times of day are given.
    pub zone: TimeZone,
    /// How this program is called again, to ask whom it asked now.
    pub program: String,
}

/// How this program is called, as it stands in a command that is to be typed.
pub const PROGRAM: &str = "team-agentctl";

impl View {
    /// A command of this program, to be typed, as it asks whom this one has asked.
    #[must_use]
    pub fn to_type(&self, command: &str) -> String {
        command.replacen(PROGRAM, &self.program, 1)
    }
}
