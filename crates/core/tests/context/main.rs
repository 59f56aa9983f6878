//! The shared context, against real servers and broken networks.

#[path = "../support/mod.rs"]
mod support;

mod clean;
mod faults;
mod process;
mod reads;
mod updates;
mod writes;
