//! What must hold whatever comes in, tried with any bytes: a function for each way in.
//!
//! `tests/fuzz` drives them with libFuzzer; the tests below try every input that was found worth
//! keeping. What is private is tried next to where it lives.

pub use crate::cli::render::fuzzed::{config, text};
pub use crate::control::fuzzed::protocol;
pub use crate::event_log::fuzzed::events;
pub use crate::orphan::coordinator::fuzzed::{argv, workspace};

/// A file of `/proc`, whichever it is taken for.
#[cfg(target_os = "linux")]
pub fn proc(data: &[u8]) {
    use crate::os::evidence::fuzzed::{mounts, pid_file};
    use crate::os::facts::fuzzed::{argv, stat, status, unit};
    let text = String::from_utf8_lossy(data);
    stat(data);
    status(&text);
    argv(data);
    unit(&text);
    mounts(data);
    pid_file(data);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    fn replay(target: &str, property: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
        let mut tried = 0;
        for entry in fs::read_dir(corpus.join(target)).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            // Which one it is, if it fails.
            println!("{}", path.display());
            property(&input);
            tried += 1;
        }
        assert!(tried > 5, "{target} has no corpus");
    }

    #[test]
    fn every_argv_that_was_kept() {
        replay("argv", super::argv);
    }

    #[test]
    fn every_workspace_that_was_kept() {
        replay("workspace", super::workspace);
    }

    #[test]
    fn every_protocol_line_that_was_kept() {
        replay("protocol", super::protocol);
    }

    #[test]
    fn every_configuration_that_was_kept() {
        replay("config", super::config);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn every_file_of_proc_that_was_kept() {
        replay("proc", super::proc);
    }

    #[test]
    fn every_text_that_was_kept() {
        replay("text", super::text);
    }

    #[test]
    fn every_event_log_that_was_kept() {
        replay("events", super::events);
    }
}
