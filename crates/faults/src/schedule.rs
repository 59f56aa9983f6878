//! Which fault comes when: drawn from a seed, and the same for the same seed. Pure.

use std::time::Duration;

use fastrand::Rng;

/// Faults in a round, of each lane. Few enough that the round's end, where everything has to come right, is
/// reached often.
const STORE_FAULTS: usize = 4;
const LINK_FAULTS: usize = 3;

/// Something that goes wrong, and comes right again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// SIGSTOP, then SIGCONT.
    StoreFrozen,
    /// SIGKILL, then started with its data.
    StoreKilled,
    /// SIGTERM, then started with its data.
    StoreRestarted,
    /// Started again without its data.
    StoreLostItsData,
    /// `FLUSHALL` by an operator.
    StoreEmptied,
    /// `maxmemory` reached with `noeviction`: writes are refused with OOM.
    OutOfMemory,
    /// `maxmemory` reached with `allkeys-random`: keys vanish.
    KeysEvicted,
    /// Another server becomes the master, and this one its replica: writes are refused with READONLY.
    Demoted,
    /// The data are loaded again: everything is refused with LOADING.
    Loading,
    /// `CLIENT KILL` of all connections for commands.
    ConnectionsKilled,
    /// `CLIENT KILL` of all connections that listen.
    ListenersKilled,
    /// A message larger than the output buffer that a listener may have: the store cuts it off.
    OutputBufferFull,
    /// All connections are lost, and `maxclients` keeps most from coming back.
    TooManyClients,
    /// The store's time of day jumps.
    StoreClockSet,
    /// The time of day of the instances jumps.
    InstanceClockSet,
    /// The connections of one instance are reset.
    LinkReset,
    /// The connections of all instances are reset.
    AllLinksReset,
    /// One instance is refused by the network.
    LinkRefused,
    /// The packets of one instance vanish, without a reset: half-open.
    LinkSilent,
    /// What one instance sends vanishes, what it is sent arrives.
    LinkSilentToStore,
    /// What one instance is sent vanishes, what it sends arrives.
    LinkSilentToInstance,
    /// Half-open, and reset afterwards.
    LinkSilentThenReset,
    /// All links are slow and jump in their delay.
    LinksSlow,
    /// The store's name gets another address, and nothing answers at the old one.
    NameMoved,
}

/// Faults of one lane come one after the other, those of the two lanes at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Store,
    Links,
}

const STORE: [Fault; 15] = [
    Fault::StoreFrozen,
    Fault::StoreKilled,
    Fault::StoreRestarted,
    Fault::StoreLostItsData,
    Fault::StoreEmptied,
    Fault::OutOfMemory,
    Fault::KeysEvicted,
    Fault::Demoted,
    Fault::Loading,
    Fault::ConnectionsKilled,
    Fault::ListenersKilled,
    Fault::OutputBufferFull,
    Fault::TooManyClients,
    Fault::StoreClockSet,
    Fault::InstanceClockSet,
];

const LINKS: [Fault; 9] = [
    Fault::LinkReset,
    Fault::AllLinksReset,
    Fault::LinkRefused,
    Fault::LinkSilent,
    Fault::LinkSilentToStore,
    Fault::LinkSilentToInstance,
    Fault::LinkSilentThenReset,
    Fault::LinksSlow,
    Fault::NameMoved,
];

impl Fault {
    /// The name under which reports speak of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::StoreFrozen => "store frozen",
            Self::StoreKilled => "store killed, started with its data",
            Self::StoreRestarted => "store restarted with its data",
            Self::StoreLostItsData => "store restarted without its data",
            Self::StoreEmptied => "FLUSHALL",
            Self::OutOfMemory => "store out of memory",
            Self::KeysEvicted => "keys evicted",
            Self::Demoted => "store made a replica",
            Self::Loading => "store loading",
            Self::ConnectionsKilled => "connections killed",
            Self::ListenersKilled => "listeners killed",
            Self::OutputBufferFull => "output buffer limit",
            Self::TooManyClients => "maxclients",
            Self::StoreClockSet => "store's clock set",
            Self::InstanceClockSet => "instances' clock set",
            Self::LinkReset => "link reset",
            Self::AllLinksReset => "all links reset",
            Self::LinkRefused => "link refused",
            Self::LinkSilent => "link half-open",
            Self::LinkSilentToStore => "link silent to the store",
            Self::LinkSilentToInstance => "link silent to the instance",
            Self::LinkSilentThenReset => "link half-open, then reset",
            Self::LinksSlow => "links slow",
            Self::NameMoved => "name moved",
        }
    }

    /// Whether the store itself loses data that it had acknowledged.
    pub(crate) fn loses_data(self) -> bool {
        matches!(
            self,
            Self::StoreLostItsData | Self::StoreEmptied | Self::KeysEvicted
        )
    }
}

impl Lane {
    fn faults(self) -> &'static [Fault] {
        match self {
            Self::Store => &STORE,
            Self::Links => &LINKS,
        }
    }
}

/// One fault at its place in a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    pub(crate) fault: Fault,
    /// Index of the instance that it befalls, where it befalls one.
    pub(crate) victim: usize,
    /// Quiet time before it.
    pub(crate) after: Duration,
    /// How long it lasts.
    pub(crate) span: Duration,
    /// What a clock is set forward by, in milliseconds; below 0 back.
    pub(crate) shift: i64,
}

/// What happens between two moments at which everything has to be right.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Round {
    pub(crate) store: Vec<Step>,
    pub(crate) links: Vec<Step>,
}

/// The rounds that follow from a seed, without end.
#[derive(Debug)]
pub(crate) struct Schedule {
    random: Rng,
    instances: usize,
    store: Vec<Fault>,
    links: Vec<Fault>,
}

impl Schedule {
    pub(crate) fn new(seed: u64, instances: usize) -> Self {
        Self {
            random: Rng::with_seed(seed),
            instances,
            store: Vec::new(),
            links: Vec::new(),
        }
    }

    fn steps(&mut self, lane: Lane, count: usize) -> Vec<Step> {
        (0..count).map(|_| self.step(lane)).collect()
    }

    fn step(&mut self, lane: Lane) -> Step {
        let left = match lane {
            Lane::Store => &mut self.store,
            Lane::Links => &mut self.links,
        };
        if left.is_empty() {
            // Each fault comes once before one comes again.
            left.extend(lane.faults());
            self.random.shuffle(left);
        }
        let fault = left.pop().expect("there are some again");
        let random = &mut self.random;
        // Mostly short, sometimes longer than a lease or what a half-open link is noticed by.
        let span = if random.f64() < 0.75 {
            random.u64(100..1_500)
        } else {
            random.u64(1_500..5_000)
        };
        let most = if random.bool() { 5_000 } else { 3_600_000 };
        Step {
            fault,
            victim: random.usize(..self.instances),
            after: Duration::from_millis(random.u64(..500)),
            span: Duration::from_millis(span),
            shift: random.i64(-most..most),
        }
    }
}

impl Iterator for Schedule {
    type Item = Round;

    fn next(&mut self) -> Option<Round> {
        Some(Round {
            store: self.steps(Lane::Store, STORE_FAULTS),
            links: self.steps(Lane::Links, LINK_FAULTS),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_rounds_and_another_gives_others() {
        let rounds = |seed| Schedule::new(seed, 5).take(20).collect::<Vec<_>>();
        assert_eq!(rounds(7), rounds(7));
        assert_ne!(rounds(7), rounds(8));
    }

    #[test]
    fn four_rounds_have_every_fault_of_the_store_and_three_every_fault_of_the_links() {
        for seed in 0..50 {
            let rounds: Vec<Round> = Schedule::new(seed, 3).take(4).collect();
            let of = |steps: &mut dyn Iterator<Item = &Step>| -> BTreeSet<Fault> {
                steps.map(|step| step.fault).collect()
            };
            let store = of(&mut rounds.iter().flat_map(|round| &round.store));
            assert_eq!(store, STORE.into_iter().collect());
            let links = of(&mut rounds[..3].iter().flat_map(|round| &round.links));
            assert_eq!(links, LINKS.into_iter().collect());
        }
    }

    #[test]
    fn names_are_unique_and_victims_exist() {
        let names: BTreeSet<&str> = STORE
            .iter()
            .chain(&LINKS)
            .map(|fault| fault.name())
            .collect();
        assert_eq!(names.len(), STORE.len() + LINKS.len());
        let rounds = Schedule::new(1, 3).take(20);
        let steps = rounds.flat_map(|round| [round.store, round.links].concat());
        assert!(steps.map(|step| step.victim).all(|victim| victim < 3));
    }
}
