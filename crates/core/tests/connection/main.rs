//! The links to the store, against real servers and broken networks.

#[path = "../support/mod.rs"]
mod support;

mod close;
mod events;
mod faults;
mod fencing;
mod lanes;
mod outage;
mod reach;
mod refusal;
mod replies;
mod session;
mod shared;
mod subscriber;
mod subscriptions;
mod tls;
mod tracking;
