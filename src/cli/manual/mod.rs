//! Manual pages: all made from the arguments as clap knows them and from the configuration file that ships, so
//! that none can say less than the programs do.
//!
//! | page | made by |
//! |---|---|
//! | team-agentctl(1), team-agentd(8) | `command.rs`, from the arguments |
//! | team-agentd.toml(5) | `configuration.rs`, from the comments of `config/team-agentd.toml` |

mod command;
mod configuration;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use roff::Roff;

use super::args::{Cli, Page};
use super::daemon_args::DaemonArgs;
use super::failure::Failure;

const PAGES: [Page; 3] = [Page::Client, Page::Daemon, Page::Configuration];

impl Page {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "team-agentctl",
            Self::Daemon => "team-agentd",
            Self::Configuration => "team-agentd.toml",
        }
    }

    /// The section of the manual.
    fn section(self) -> &'static str {
        match self {
            Self::Client => "1",
            Self::Daemon => "8",
            Self::Configuration => "5",
        }
    }

    /// Where it stands below a directory of manual pages.
    fn file(self) -> PathBuf {
        let (name, section) = (self.name(), self.section());
        PathBuf::from(format!("man{section}/{name}.{section}"))
    }
}

/// The source of a page, for man(1) to set.
pub(super) fn page(page: Page) -> String {
    let mut roff = Roff::new();
    let version = concat!("team-agentd ", env!("CARGO_PKG_VERSION"));
    let title = page.name().to_uppercase();
    // Without a date: the same source gives the same page.
    roff.control("TH", [&*title, page.section(), "", version, "team-agentd"]);
    match page {
        Page::Client => command::describe(&mut roff, Cli::command(), CLIENT_SEE_ALSO),
        Page::Daemon => command::describe(&mut roff, DaemonArgs::command(), DAEMON_SEE_ALSO),
        Page::Configuration => configuration::describe(&mut roff),
    }
    roff.render()
}

/// Writes all pages below `directory`: where they are.
pub(super) fn write_all(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut written = Vec::new();
    for name in PAGES {
        let path = directory.join(name.file());
        let folder = path.parent().unwrap_or(directory);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, page(name)))
            .map_err(|error| Failure::unwritable(&path, &error))?;
        written.push(path);
    }
    Ok(written)
}

const CLIENT_SEE_ALSO: &str = "team-agentd(8), team-agentd.toml(5)";
const DAEMON_SEE_ALSO: &str = "team-agentctl(1), team-agentd.toml(5), systemd.unit(5)";
