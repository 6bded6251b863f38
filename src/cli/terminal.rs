//! What is known of the place that standard output leads to. Looked at once; renderings get the value.

use std::io::IsTerminal;

/// As wide as a terminal is taken to be that does not say.
const USUAL_WIDTH: usize = 80;

/// Where the output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Whether people look at it as it comes: they get tables and colours, a pipe gets plain lines.
    pub is_terminal: bool,
    /// How many columns fit in a line.
    pub width: usize,
}

impl Terminal {
    /// Looks at standard output, once; `columns` is the width that the system gives for it.
    #[must_use]
    pub fn detect(columns: Option<u16>) -> Self {
        Self {
            is_terminal: std::io::stdout().is_terminal(),
            // A terminal without a size (of a serial line, of some containers) says 0.
            width: columns
                .filter(|columns| *columns > 0)
                .map_or(USUAL_WIDTH, usize::from),
        }
    }
}
