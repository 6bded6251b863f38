//! Arguments and rendering.

pub mod daemon_args;
