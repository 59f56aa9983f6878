//! The links to the store, against real servers and broken networks.

#[path = "../support/mod.rs"]
mod support;

mod close;
mod faults;
mod fencing;
mod lanes;
mod outage;
mod reach;
mod refusal;
mod replies;
mod shared;
mod subscriber;
mod tls;
mod tracking;
