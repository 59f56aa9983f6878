//! Who writes down what is heard of changed keys.

use std::sync::{Arc, Mutex};

use node_red_cluster_core::connection::{Connection, Invalidations};
use node_red_cluster_core::error::{Code, Error};

use super::until;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Keys(Vec<String>),
    All,
    Established(u64),
    Lost,
    Unavailable(Code),
}

/// Writes down what it hears.
#[derive(Debug, Default)]
pub(crate) struct Ear(Mutex<Vec<Event>>);

impl Ear {
    pub(crate) fn on(connection: &Connection, prefixes: &[&str]) -> Arc<Self> {
        let ear = Arc::new(Self::default());
        let prefixes = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
        let listener = Arc::clone(&ear) as Arc<dyn Invalidations>;
        connection.track(prefixes, listener).expect("tracking");
        ear
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Option<Event> {
        self.events().pop()
    }

    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(crate) async fn until_last(&self, event: Event) {
        let what = format!("{event:?}");
        until(&what, async || self.last().as_ref() == Some(&event)).await;
    }

    fn hear(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Invalidations for Ear {
    fn invalidated(&self, keys: &[&[u8]]) {
        let text = |key: &&[u8]| String::from_utf8_lossy(key).into_owned();
        self.hear(Event::Keys(keys.iter().map(text).collect()));
    }

    fn all_invalidated(&self) {
        self.hear(Event::All);
    }

    fn established(&self, epoch: u64) {
        self.hear(Event::Established(epoch));
    }

    fn lost(&self) {
        self.hear(Event::Lost);
    }

    fn unavailable(&self, reason: &Error) {
        self.hear(Event::Unavailable(reason.code()));
    }
}

pub(crate) fn keys(key: &str) -> Event {
    Event::Keys(vec![key.to_owned()])
}
