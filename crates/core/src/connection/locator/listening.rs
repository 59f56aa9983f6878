//! What sentinels say unasked: that the master of a group is another one.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use redis::aio::PubSub;

use super::sentinel;
use super::sentinels::Sentinels;
use crate::config::{Endpoint, HostPort};
use crate::connection::backoff::Backoff;
use crate::error::{Code, Error, Result};

/// As many sentinels are listened to. Each tells by itself, so with three of them one may be cut off.
const LISTENED_TO: usize = 3;

const SWITCH: &str = "+switch-master";

/// A PING goes out this often, because nothing else notices a half-open peer.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How long a sentinel may take to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Listens for ever. `news` is called when the master may be another one: told so, or after a gap.
pub(super) async fn listen(sentinels: &Sentinels, news: impl Fn()) {
    let news = &news;
    join_all((0..LISTENED_TO).map(|seat| async move {
        let mut backoff = Backoff::default();
        loop {
            // Those that are known change; a dead one leaves its place to one that was learnt.
            let known = sentinels.known();
            let turn = backoff.failures() * LISTENED_TO;
            let place = (seat < known.len()).then(|| known[(seat + turn) % known.len()].clone());
            if let Some(place) = place {
                let mut settled = false;
                let Err(error) = hear(sentinels, &place, news, &mut settled).await;
                tracing::debug!("sentinel {place} is no longer heard: {error}");
                if settled {
                    backoff.reset();
                }
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
    }))
    .await;
}

/// Listens to one sentinel until it is lost.
async fn hear(
    sentinels: &Sentinels,
    place: &HostPort,
    news: impl Fn(),
    settled: &mut bool,
) -> Result<std::convert::Infallible> {
    let asker = &sentinels.asker;
    let subscribing = async {
        let endpoint = Endpoint::Tcp(place.clone());
        let stream = asker.connector().open(&endpoint).await?;
        let mut session = PubSub::new(asker.identity(), stream)
            .await
            .map_err(|error| asker.refusal(error))?;
        session
            .subscribe(SWITCH)
            .await
            .map_err(|error| asker.refusal(error))?;
        Ok::<_, Error>(session)
    };
    let session = tokio::time::timeout(LIMIT, subscribing).await;
    let (mut sink, mut messages) = session.map_err(|_| silent())??.split();
    // Whatever it said before is lost.
    news();
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else {
                    return Err(Error::new(Code::StoreUnreachable, "it closed the connection"));
                };
                if sentinel::is_switch_of(message.get_payload_bytes(), &sentinels.group) {
                    news();
                }
            }
            () = tokio::time::sleep(HEARTBEAT) => {
                let answer = tokio::time::timeout(LIMIT, sink.ping::<redis::Value>()).await;
                answer.map_err(|_| silent())??;
                *settled = true;
            }
        }
    }
}

fn silent() -> Error {
    Error::new(
        Code::StoreUnreachable,
        format!("no answer within {} ms", LIMIT.as_millis()),
    )
}
