//! The daemon's life: scans, requests and terminations, under one owner of all state.
//!
//! [`dispatcher`] decides, synchronously; `engine` performs what it decided; [`run`] is the only place
//! that waits for more than one thing. The client's embedded engine is this same room without a
//! clock and without a socket.

pub mod checkup;
pub mod dispatcher;
mod engine;
pub mod event;
pub mod feed;
pub mod journal;
mod reporting;
pub mod request;
pub mod run;
pub mod scan;
pub mod selection;
pub mod settings;
pub mod steering_file;
pub mod termination;
mod turns;
pub mod vital;
mod watching;
mod ways;
