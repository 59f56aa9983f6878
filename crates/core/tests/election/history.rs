//! What processes say of themselves, and what became of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A moment on the clock that all processes of the machine share, in nanoseconds.
pub(crate) type Nanos = u64;

/// One thing that an elector process says, a line of JSON on its standard output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Said {
    /// It takes orders from now on.
    Ready,
    /// It was told that it leads.
    Began {
        at: Nanos,
        lock: String,
        token: u64,
        until: Nanos,
    },
    /// It was told that its lease ends at another moment.
    Moved {
        at: Nanos,
        lock: String,
        token: u64,
        until: Nanos,
    },
    /// It was told that it leads no more.
    Ended { at: Nanos, lock: String, token: u64 },
    /// What it saw when it asked whether it leads.
    Saw(Vec<Sample>),
    /// It knows of a leader with this token.
    Knows { at: Nanos, lock: String, token: u64 },
    /// It stands no more for a lock.
    Left { at: Nanos, lock: String },
    /// Its event loop answers nobody from now on.
    Blocked { at: Nanos },
    /// Its event loop answers again.
    Unblocked { at: Nanos },
    /// It gave up a lock, or had none to give up.
    Released { at: Nanos, lock: String, led: bool },
    /// It has given up everything in good order.
    Closed,
}

/// Whether it leads, asked at some moment between `before` and `after`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) lock: String,
    pub(crate) before: Nanos,
    pub(crate) after: Nanos,
    pub(crate) token: Option<u64>,
}

/// One process from its start to its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    pub(crate) name: String,
    /// When it was killed, at the earliest.
    pub(crate) killed: Option<Nanos>,
    pub(crate) said: Vec<Said>,
}

/// Something that was done to the world.
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    pub(crate) at: Nanos,
    pub(crate) what: String,
    /// After it the store may know less than before.
    pub(crate) forgets: bool,
    /// What the store's wall clock is ahead from now on, in milliseconds.
    pub(crate) clock: Option<i64>,
}

/// The token that the store was seen to have for a lock.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) at: Nanos,
    pub(crate) lock: String,
    pub(crate) token: u64,
}

/// All that is known of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) lives: Vec<Life>,
    pub(crate) deeds: Vec<Deed>,
    pub(crate) recorded: Vec<Recorded>,
}

/// A time during which one process believed that it leads.
#[derive(Debug, Clone)]
pub(crate) struct Interval {
    /// Index of its life.
    pub(crate) life: usize,
    pub(crate) token: u64,
    pub(crate) began: Nanos,
    /// Not in it any more.
    pub(crate) ended: Nanos,
}

impl History {
    /// Whether the store may have come to know less in this time.
    pub(crate) fn forgot(&self, from: Nanos, to: Nanos) -> bool {
        let mut deeds = self.deeds.iter().filter(|deed| deed.forgets);
        deeds.any(|deed| (from..=to).contains(&deed.at))
    }

    /// The intervals of each lock, in the order of their beginnings. Empty ones are left out.
    pub(crate) fn intervals(&self) -> BTreeMap<String, Vec<Interval>> {
        let mut all: BTreeMap<String, Vec<Interval>> = BTreeMap::new();
        for (index, life) in self.lives.iter().enumerate() {
            for (lock, intervals) in life.intervals(index) {
                all.entry(lock).or_default().extend(intervals);
            }
        }
        for intervals in all.values_mut() {
            intervals.retain(|interval| interval.began < interval.ended);
            intervals.sort_by_key(|interval| interval.began);
        }
        all
    }
}

impl Life {
    fn intervals(&self, life: usize) -> BTreeMap<String, Vec<Interval>> {
        let mut all: BTreeMap<String, Vec<Interval>> = BTreeMap::new();
        for said in &self.said {
            match said {
                Said::Began {
                    at,
                    lock,
                    token,
                    until,
                } => {
                    all.entry(lock.clone()).or_default().push(Interval {
                        life,
                        token: *token,
                        began: *at,
                        ended: *until,
                    });
                }
                Said::Moved {
                    at,
                    lock,
                    token,
                    until,
                } => {
                    let intervals = all.entry(lock.clone()).or_default();
                    match intervals.last_mut() {
                        Some(last) if last.token == *token && *at < last.ended => {
                            last.ended = *until;
                        }
                        // It had ended meanwhile by the clock.
                        _ => intervals.push(Interval {
                            life,
                            token: *token,
                            began: *at,
                            ended: *until,
                        }),
                    }
                }
                Said::Ended { at, lock, token } => {
                    let intervals = all.entry(lock.clone()).or_default();
                    if let Some(last) = intervals.last_mut()
                        && last.token == *token
                    {
                        last.ended = last.ended.min(*at);
                    }
                }
                _ => {}
            }
        }
        if let Some(killed) = self.killed {
            for interval in all.values_mut().flatten() {
                interval.ended = interval.ended.min(killed);
            }
        }
        all
    }

    /// Whether it knew of a leader with this token or a later one at a moment.
    pub(crate) fn knew(&self, lock: &str, token: u64, moment: Nanos) -> bool {
        self.said.iter().any(|said| match said {
            Said::Knows {
                at,
                lock: of,
                token: known,
            }
            | Said::Began {
                at,
                lock: of,
                token: known,
                ..
            } => of == lock && *at < moment && *known >= token,
            _ => false,
        })
    }

    /// When its event loop answered nobody; without an end where it was killed meanwhile.
    pub(crate) fn blocks(&self) -> Vec<(Nanos, Nanos)> {
        let mut blocks = Vec::new();
        let mut open = None;
        for said in &self.said {
            match said {
                Said::Blocked { at } => open = Some(*at),
                Said::Unblocked { at } => blocks.extend(open.take().map(|began| (began, *at))),
                _ => {}
            }
        }
        blocks.extend(open.map(|began| (began, Nanos::MAX)));
        blocks
    }

    /// What it saw when it asked whether it leads.
    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.said
            .iter()
            .filter_map(|said| match said {
                Said::Saw(samples) => Some(samples),
                _ => None,
            })
            .flatten()
    }
}
