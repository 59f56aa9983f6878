//! Packages: what is installed in the admin's palette is on every worker, exactly.
//!
//! The admin's palette is a revision too: a list by exact version, and the lock file that belongs to it, saved in
//! one atomic step that compares what the saver had seen. A message wakes; a follower compares. A worker lets npm
//! build what the lock file says in a folder of its own, checks it, and puts it in place by renaming: what is new is
//! there at once, what changes is there from the next start on, for which one worker at a time has a permit. What
//! the cluster did not install it does not touch.
//!
//! Everything here that comes from the store is untrusted, and checked before npm sees it.
//!
//! - [`name`], [`lock`], [`tarball`], [`list`]: what packages are, and what of that is believed
//! - [`snapshot`]: what an admin has
//! - [`store`], [`message`]: revisions in the store, tarballs, messages
//! - [`permit`]: one restart at a time
//! - [`tree`]: the packages on a worker's disk
//! - [`npm`]: runs npm
//! - `manifest`: the package.json of a user directory; `restore`: a lost one comes back
//! - `merge`: what an admin decides, pure
//! - `needs`: which packages flows need
//! - `follower`: the pure state machine of a worker
//! - `signed`: what is believed where there is a signing key
//! - `service`: all of it together, for one instance; `worker`, `build` and `restart`, `admin` and `admin_disk`
//! - [`jobs`]: what Node-RED's own process has to do

mod admin;
mod admin_disk;
mod build;
mod follower;
pub mod jobs;
pub mod list;
pub mod lock;
mod manifest;
mod merge;
pub mod message;
pub mod name;
pub(crate) mod needs;
pub mod npm;
pub mod permit;
mod restart;
mod restore;
mod service;
mod signed;
pub mod snapshot;
pub mod store;
pub mod tarball;
pub mod tree;
mod worker;

pub use admin::Palette;
pub use service::{AtStart, Options, Packages, State, Status};
pub use worker::{Choice, Starting};
