//! The ways to the store, one for each instance, and what networks do at their worst.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use node_red_cluster_testkit::{Direction, Proxy};
use tokio::time::sleep;

use super::names::{NAME, Names};
use crate::failure::Result;
use crate::schedule::{Fault, Step};

/// Where the store's name may point.
const HOMES: [Ipv4Addr; 2] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];

/// All ways to the store.
pub(crate) struct Network {
    /// Of each instance, the proxies at each of the addresses.
    ways: Vec<Vec<Proxy>>,
    names: Option<Names>,
    /// The address at which the store is reached.
    home: usize,
}

impl Network {
    /// Opens the ways to a store for so many instances.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) async fn start(
        store: SocketAddr,
        instances: usize,
        names: Option<Names>,
    ) -> Result<Self> {
        let mut ways = Vec::new();
        for _ in 0..instances {
            let mut way = vec![Proxy::start(store).await?];
            if names.is_some() {
                let address = SocketAddr::from((HOMES[1], way[0].port()));
                let other = Proxy::start_at(address, store).await?;
                other.refuse().await;
                way.push(other);
            }
            ways.push(way);
        }
        if let Some(names) = &names {
            names.point(IpAddr::V4(HOMES[0]))?;
        }
        Ok(Self {
            ways,
            names,
            home: 0,
        })
    }

    /// What stands before the subject's command.
    pub(crate) fn command(&self) -> Vec<String> {
        self.names.as_ref().map(Names::command).unwrap_or_default()
    }

    /// How the subject is to name the store.
    pub(crate) fn host(&self) -> String {
        match self.names {
            Some(_) => NAME.to_owned(),
            None => HOMES[0].to_string(),
        }
    }

    /// The port of each instance's way.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.ways.iter().map(|way| way[0].port()).collect()
    }

    fn way(&self, instance: usize) -> &Proxy {
        &self.ways[instance][self.home]
    }

    fn all(&self) -> impl Iterator<Item = &Proxy> {
        self.ways.iter().map(|way| &way[self.home])
    }

    /// Makes one fault and heals it. False where it cannot be made here.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) async fn suffer(&mut self, step: &Step) -> Result<bool> {
        if step.fault == Fault::NameMoved {
            return self.move_name(step.span).await;
        }
        let way = self.way(step.victim);
        match step.fault {
            Fault::LinkReset => way.cut().await,
            Fault::AllLinksReset => drop(join_all(self.all().map(Proxy::cut)).await),
            Fault::LinkRefused => {
                way.refuse().await;
                sleep(step.span).await;
            }
            Fault::LinkSilent => {
                way.blackhole(Direction::Both);
                sleep(step.span).await;
            }
            Fault::LinkSilentToStore => {
                way.blackhole(Direction::ToServer);
                sleep(step.span).await;
            }
            Fault::LinkSilentToInstance => {
                way.blackhole(Direction::ToClient);
                sleep(step.span).await;
            }
            Fault::LinkSilentThenReset => {
                way.blackhole(Direction::Both);
                sleep(step.span).await;
                way.cut().await;
            }
            Fault::LinksSlow => {
                for way in self.all() {
                    way.delay_between(Duration::from_millis(20), Duration::from_millis(200));
                }
                sleep(step.span).await;
            }
            other => unreachable!("{other:?} is none of the network's"),
        }
        for way in self.all() {
            way.heal().await?;
        }
        Ok(true)
    }

    /// The old address falls silent at once, and the name leads to the new one a moment later.
    async fn move_name(&mut self, span: Duration) -> Result<bool> {
        let Some(names) = &self.names else {
            return Ok(false);
        };
        join_all(self.all().map(Proxy::refuse)).await;
        sleep(span).await;
        self.home = 1 - self.home;
        names.point(IpAddr::V4(HOMES[self.home]))?;
        for way in self.all() {
            way.heal().await?;
        }
        Ok(true)
    }
}
