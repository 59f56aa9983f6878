//! Members: every instance, admins included, shows that it is there and what it is doing.
//!
//! A member has a place with a number, `<hostname>-<n>`, the smallest that is free on its host, and a
//! record there that lives for a few heartbeats. The place is the instance's as long as its record
//! stands, and again afterwards unless somebody else took it.
//!
//! - [`record`]: what a record says
//! - [`identity`]: what never changes about an instance
//! - [`presence`]: taking a place, keeping it, giving it up
//! - [`heartbeat`]: the task that does all this in time
//! - [`list`](list()): everybody's records

pub mod heartbeat;
pub mod identity;
mod listing;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use listing::fuzz;
pub mod presence;
pub mod record;

pub use heartbeat::Heartbeat;
pub use identity::Identity;
pub use listing::list;
pub use presence::{Presence, Publication};
pub use record::{Failure, Packages, PackagesState, Record, Revisions, Source, State, Status};
