//! One leader, against real servers, broken networks and clocks that are set.
//!
//! - `checker`: several processes stand for the same locks while their links, the store, its clock and they
//!   themselves are disturbed at random; then their histories are verified
//! - `elector`: what such a process does; `life`: how it is started and heard
//! - `nemesis`: the disturbances; `hostile`: messages that lie
//! - `history`, `verify`: whether the promises were kept; `narrate`: what happened around a violation
//! - `leases`, `stores`, `foreign`, `servers`, `processes`: the single promises, one by one; `late`: the scripts
//!   where a request comes late
//! - `instance`: an elector in the process of the test

#[path = "../support/mod.rs"]
mod support;

mod checker;
mod elector;
mod foreign;
mod history;
mod hostile;
mod instance;
mod late;
mod leases;
mod life;
mod narrate;
mod nemesis;
mod processes;
mod servers;
mod stores;
mod verify;
mod verify_tests;
