//! The daemon as systemd runs it: the units that ship, in a real systemd, on a machine of its own.

mod hiding;
mod life;
mod service;
mod units;
