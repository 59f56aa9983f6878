//! Flows: revisions, not messages.
//!
//! A deploy is a revision in the store, saved in one atomic step that compares what the saver had
//! seen. The message on the update channel only wakes followers; each compares revisions on a
//! message, on a reconnect and on a slow poll, so that nothing is ever missed.
//!
//! - [`revision`]: what a revision is
//! - [`content`]: flows and credentials as text, archives, slices
//! - [`store`]: revisions in the store
//! - [`last_good`]: the last good revision on this instance's disk
//! - [`follower`]: the pure state machine that decides what to do next
//! - [`service`]: all of it together, for one instance
//! - [`boot`]: what an instance starts with
//! - [`publish`]: an admin saves
//! - `seal`: what is signed of a revision; `guard`: what an instance with a signing key believes
//! - [`follow`]: an instance is told what to do next

mod boot;
pub mod content;
mod follow;
mod follower;
mod guard;
pub mod last_good;
mod publish;
pub mod revision;
mod seal;
pub mod service;
pub mod store;

pub use boot::{Boot, Source};
pub use follow::{Apply, Done, Job};
pub use publish::{Credentials, Deploy, Patience};
pub use service::{Flows, Status};
