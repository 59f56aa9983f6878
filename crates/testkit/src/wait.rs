//! Waits for a condition instead of sleeping for a guess.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{Error, Result};

/// Pause between two looks at a condition: short against every duration that tests measure.
pub(crate) const INTERVAL: Duration = Duration::from_millis(5);

/// Looks again and again until `probe` gives a value, and returns it.
///
/// `what` ends the sentence "waited 5s in vain for ...". The last look is made after the
/// deadline, so a slow machine does not fail a condition that holds.
///
/// # Errors
/// [`Error::Late`] when `limit` has passed and the probe still gives nothing.
///
/// ```no_run
/// # async fn example(server: node_red_cluster_testkit::Server) -> node_red_cluster_testkit::Result<()> {
/// use std::time::Duration;
/// use node_red_cluster_testkit::eventually;
///
/// let revision = eventually("the revision", Duration::from_secs(5), async || {
///     server.command(&["HGET", "nodered:revision", "number"]).await.ok()?.integer()
/// })
/// .await?;
/// # drop(revision);
/// # Ok(())
/// # }
/// ```
pub async fn eventually<T, P, F>(what: &str, limit: Duration, mut probe: P) -> Result<T>
where
    P: FnMut() -> F,
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + limit;
    loop {
        let last = Instant::now() >= deadline;
        if let Some(value) = probe().await {
            return Ok(value);
        }
        if last {
            return Err(Error::Late {
                what: what.to_owned(),
                limit,
            });
        }
        sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn gives_the_value_once_there_is_one() {
        let looks = Cell::new(0);
        let value = eventually("the third look", Duration::from_secs(5), async || {
            looks.set(looks.get() + 1);
            (looks.get() == 3).then_some("seen")
        })
        .await;
        assert_eq!(value.expect("in time"), "seen");
    }

    #[tokio::test]
    async fn says_what_it_waited_for() {
        let error = eventually("the impossible", Duration::from_millis(20), async || {
            None::<()>
        })
        .await
        .expect_err("must be late");
        assert_eq!(error.to_string(), "waited 20ms in vain for the impossible");
    }
}
