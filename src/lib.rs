//! team-agentd finds and ends orphaned `team-agent` coordinators.
//!
//! The rooms, in reading order:
//!
//! | room | what lives there |
//! |---|---|
//! | [`orphan`] | the pure core: what a coordinator is, its verdict, who dies with it, how it is ended |
//! | [`os`] | the edge: what the kernel and the disk say; one exact process, signalled by its handle |
//! | [`supervisor`] | one owner of all state: scans, requests, terminations |
//! | [`event_log`] | records on disk, rotated |
//! | [`wire`] | internal values → the JSON that scripts rely on |
//! | [`control`] | the socket: protocol, both ends of the line, the embedded engine |
//! | [`config`] | the configuration file |
//! | [`cli`] | arguments and rendering |
//! | [`text`] | names that are not ours, made safe to show; every room may use it |
//!
//! Invariants of the house:
//!
//! - No code can signal a bare pid: signals go through [`os::handle::ProcessHandle`], which pins one
//!   process before anything is read about it.
//! - Before each signal everything is checked again under that handle, and the record of the signal
//!   is on disk.
//! - An error, a time-out or a doubt is a [`orphan::verdict::Verdict::Unknown`], and only an orphan is
//!   ever signalled.
//! - [`orphan`] knows nobody; nothing below knows what is above it.

pub mod cli;
pub mod config;
pub mod control;
pub mod event_log;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod logging;
pub mod orphan;
pub mod os;
pub mod supervisor;
pub mod text;
pub mod wire;
