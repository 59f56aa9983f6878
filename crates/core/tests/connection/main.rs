//! The links to the store, against real servers and broken networks.

#[path = "../support/mod.rs"]
mod support;

mod close;
mod faults;
mod lanes;
mod outage;
mod reach;
mod refusal;
mod replies;
mod subscriber;
mod tls;
