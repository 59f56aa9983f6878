//! What the server is asked for, and who hears what.

use super::*;
use crate::error::Code;

type Heard = Arc<Mutex<Vec<String>>>;

fn listen(subscriptions: &Subscriptions, holder: Holder, channels: &[&str]) -> Heard {
    let heard = Heard::default();
    let (messages, resumed) = (Arc::clone(&heard), Arc::clone(&heard));
    let listener = Listener::new(
        move |message| messages.lock().unwrap().push(message.channel),
        move || resumed.lock().unwrap().push("resumed".to_owned()),
    );
    subscriptions.add(holder, names(channels), listener);
    heard
}

fn names(channels: &[&str]) -> Vec<String> {
    channels.iter().map(|&name| name.to_owned()).collect()
}

/// Does what the server is asked for, and tells who has to be told.
fn comply(subscriptions: &Subscriptions) -> Step {
    let step = subscriptions.step();
    if let Step::Subscribe(channels) = &step {
        subscriptions.subscribed(channels.clone());
    }
    for listener in subscriptions.resume() {
        listener.resumed();
    }
    step
}

fn publish(subscriptions: &Subscriptions, channel: &str) {
    for listener in subscriptions.listeners(channel) {
        let (channel, payload) = (channel.to_owned(), Vec::new());
        listener.receive(Message { channel, payload });
    }
}

fn take(heard: &Heard) -> Vec<String> {
    std::mem::take(&mut heard.lock().unwrap())
}

#[test]
fn everyone_hears_of_his_own_channels_from_the_moment_that_he_is_told_so() {
    let subscriptions = Subscriptions::default();
    let left = listen(&subscriptions, 1, &["a", "b"]);
    let right = listen(&subscriptions, 2, &["b", "c"]);
    subscriptions.begin();
    publish(&subscriptions, "a");
    let all = Step::Subscribe(names(&["a", "b", "c"]));
    assert_eq!(comply(&subscriptions), all);
    assert_eq!(comply(&subscriptions), Step::Keep);
    for channel in ["a", "b", "c", "d"] {
        publish(&subscriptions, channel);
    }
    assert_eq!(take(&left), ["resumed", "a", "b"]);
    assert_eq!(take(&right), ["resumed", "b", "c"]);

    subscriptions.begin();
    publish(&subscriptions, "a");
    assert_eq!(comply(&subscriptions), all);
    publish(&subscriptions, "a");
    assert_eq!(take(&left), ["resumed", "a"]);
    assert_eq!(take(&right), ["resumed"]);
}

#[test]
fn only_a_listener_that_comes_late_is_told_and_only_what_lacks_is_asked_for() {
    let subscriptions = Subscriptions::default();
    let first = listen(&subscriptions, 1, &["a"]);
    subscriptions.begin();
    comply(&subscriptions);
    take(&first);
    let same = listen(&subscriptions, 2, &["a"]);
    assert_eq!(comply(&subscriptions), Step::Keep);
    let more = listen(&subscriptions, 3, &["a", "b"]);
    assert_eq!(comply(&subscriptions), Step::Subscribe(names(&["b"])));
    assert_eq!(take(&same), ["resumed"]);
    assert_eq!(take(&more), ["resumed"]);
    assert!(take(&first).is_empty());
}

#[test]
fn what_nobody_listens_to_any_more_is_given_up() {
    let subscriptions = Subscriptions::default();
    let stays = listen(&subscriptions, 1, &["a", "b"]);
    let goes = listen(&subscriptions, 2, &["b", "c"]);
    subscriptions.begin();
    comply(&subscriptions);
    take(&stays);
    take(&goes);
    subscriptions.remove(2);
    assert_eq!(Arc::strong_count(&goes), 1, "what it owns is freed");
    assert_eq!(
        subscriptions.step(),
        Step::Unsubscribe(names(&["c"])),
        "the other one needs b"
    );
    publish(&subscriptions, "b");
    assert_eq!((take(&stays), take(&goes)), (names(&["b"]), names(&[])));

    // Wanted again while the server is being told: it is asked for anew.
    let late = listen(&subscriptions, 3, &["c"]);
    assert!(subscriptions.resume().is_empty());
    assert_eq!(comply(&subscriptions), Step::Subscribe(names(&["c"])));
    assert_eq!(take(&late), ["resumed"]);
    subscriptions.remove(1);
    subscriptions.remove(3);
    assert!(!subscriptions.are_wanted());
}

#[test]
fn a_refused_channel_keeps_only_those_waiting_who_want_it() {
    let subscriptions = Subscriptions::default();
    let waits = listen(&subscriptions, 1, &["a", "secret"]);
    let hears = listen(&subscriptions, 2, &["a"]);
    subscriptions.begin();
    let reason = Error::new(Code::StorePermission, "no");
    subscriptions.subscribed(names(&["a"]));
    subscriptions.refused("secret".to_owned(), &reason);
    assert_eq!(comply(&subscriptions), Step::Keep);
    publish(&subscriptions, "a");
    assert_eq!(take(&hears), ["resumed", "a"]);
    assert!(take(&waits).is_empty());
    subscriptions.retry_refused();
    assert_eq!(comply(&subscriptions), Step::Subscribe(names(&["secret"])));
    assert_eq!(take(&waits), ["resumed"]);
}

#[test]
fn a_listener_that_owns_another_holder_can_be_removed() {
    struct Owner(Arc<Subscriptions>, Holder);
    impl Drop for Owner {
        fn drop(&mut self) {
            self.0.remove(self.1);
        }
    }
    let subscriptions = Arc::new(Subscriptions::default());
    let other = listen(&subscriptions, 2, &["a"]);
    let owner = Owner(Arc::clone(&subscriptions), 2);
    let listener = Listener::new(
        |_| (),
        move || {
            let _ = &owner;
        },
    );
    subscriptions.add(1, names(&["a"]), listener);
    subscriptions.remove(1);
    assert!(!subscriptions.are_wanted());
    assert_eq!(Arc::strong_count(&other), 1);
}

#[test]
fn nobody_is_taken_in_after_the_end() {
    let subscriptions = Subscriptions::default();
    let before = listen(&subscriptions, 1, &["a"]);
    subscriptions.close();
    let after = listen(&subscriptions, 2, &["a"]);
    assert!(!subscriptions.are_wanted());
    assert_eq!(
        (Arc::strong_count(&before), Arc::strong_count(&after)),
        (1, 1)
    );
}
