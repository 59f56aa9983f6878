//! Development only: real Valkey or Redis servers and a fault proxy for integration tests.
//!
//! Nothing here imitates a server. A [`Server`] is a `valkey-server` or `redis-server` process of
//! its own, in a temporary directory, on free ports; a [`Proxy`] stands between it and the code
//! under test and does what networks do at their worst. Tests look at the store from outside,
//! through the testkit's own [`Client`] over the unix socket, never through the code under test.
//!
//! ```no_run
//! # async fn example() -> node_red_cluster_testkit::Result<()> {
//! use node_red_cluster_testkit::{Direction, Proxy, Server};
//!
//! let server = Server::builder().password("secret").start().await?;
//! let proxy = Proxy::start(server.address()).await?;
//! let url = server.url_through(&proxy); // for the code under test
//!
//! proxy.blackhole(Direction::Both); // the link falls silent, without a reset
//! server.command(&["SET", "nodered:flows", "[]"]).await?; // seen from outside
//! proxy.heal().await?;
//! # drop(url);
//! # Ok(())
//! # }
//! ```
//!
//! A [`SentinelGroup`] is a primary with replicas under the watch of Sentinels, a [`StoreCluster`]
//! shares its data among primaries: of the same servers, with everything that happens to them in
//! operation.
//!
//! Unix only: it uses signals and unix sockets. Servers need ACLs, so Valkey, or Redis 6.0 and
//! later.
//!
//! # Layout
//! - [`server`]: [`Server`] and [`ServerBuilder`], one server process and its life.
//! - [`sentinel_group`]: [`SentinelGroup`], a primary, its replicas and their Sentinels.
//! - [`store_cluster`]: [`StoreCluster`], primaries that share the slots, with their replicas.
//! - [`release`]: [`Release`], which server and version the tests run.
//! - [`proxy`]: [`Proxy`], a TCP proxy that cuts, refuses, withholds and delays.
//! - [`client`]: [`Client`], a minimal RESP2 client over a unix socket.
//! - [`resp`]: [`Value`] and the RESP2 encoding, without any IO.
//! - [`certificates`]: [`Certificates`], a certificate authority made for one server.
//! - [`program`]: [`Program`], a program under test as a process of its own.
//! - [`clock`]: [`WallClock`], the time of day as a test wants a process to see it.
//! - [`wait`]: [`eventually`], waits for a condition with a deadline.
//! - [`error`]: [`Error`], everything that can fail here.
//! - `tls_front`: ends TLS in front of servers that were built without it.
//! - `store_binary`: finds the server binary.
//! - `ports`: free TCP ports that stay free while a server is down.

pub mod certificates;
pub mod client;
pub mod clock;
pub mod error;
pub mod program;
pub mod proxy;
pub mod release;
pub mod resp;
pub mod sentinel_group;
pub mod server;
pub mod store_cluster;
pub mod wait;

mod ports;
mod store_binary;
mod tls_front;

pub use certificates::{Certificates, Identity, Pem};
pub use client::Client;
pub use clock::{Clocks, Shift, WallClock};
pub use error::{Error, Result};
pub use program::{Lines, Program};
pub use proxy::{Direction, Proxy};
pub use release::{Family, Release};
pub use resp::Value;
pub use sentinel_group::{SentinelGroup, SentinelGroupBuilder};
pub use server::{SavedData, Server, ServerBuilder};
pub use store_cluster::{SlotMove, StoreCluster, StoreClusterBuilder};
pub use wait::eventually;
