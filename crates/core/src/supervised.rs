//! Tasks that outlive a fault of this program: where a panic ends one, it begins anew.

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use crate::fault;

/// Before a task begins anew for the first time: others wait for what it does.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause: a fault that comes back at once is neither to fill the log nor to keep a core busy.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A task that ran for so long has got over the fault before.
const STEADY: Duration = Duration::from_secs(60);

/// Runs the future that `task` makes until it ends by itself. Where it panics, `task` is asked for another one,
/// after a pause that grows with each panic in a row; where this future is dropped, the one under way ends too.
pub(crate) async fn supervised<T>(name: &'static str, task: impl Fn() -> T)
where
    T: Future<Output = ()> + Send + 'static,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let running = AbortOnDrop(tokio::spawn(fault::named(name, task())));
        match running.wait().await {
            // The line with the place has been logged where it happened.
            Err(error) if error.is_panic() => {}
            _ => return,
        }
        if begun.elapsed() >= STEADY {
            pause = FIRST_PAUSE;
        }
        tracing::info!(
            "{name} of this instance begins anew in {} ms",
            pause.as_millis()
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop(JoinHandle<()>);

impl AbortOnDrop {
    async fn wait(mut self) -> Result<(), JoinError> {
        (&mut self.0).await
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_begins_anew_and_one_that_ends_does_not() {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        supervised("the task of a test", move || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move { assert_eq!(number, 2, "asked for by the test") }
        })
        .await;
        assert_eq!(begun.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn the_pause_grows_with_each_panic_in_a_row() {
        let begun = Arc::new(std::sync::Mutex::new(Vec::new()));
        let times = Arc::clone(&begun);
        supervised("the task of a test", move || {
            let mut times = times.lock().expect("no panic under this lock");
            times.push(Instant::now());
            let ended = times.len() == 4;
            async move { assert!(ended, "asked for by the test") }
        })
        .await;
        let begun = begun.lock().expect("no panic under this lock");
        for (nth, pair) in begun.windows(2).enumerate() {
            assert!(pair[1] - pair[0] >= FIRST_PAUSE * 2_u32.pow(nth as u32));
        }
    }

    #[tokio::test]
    async fn a_task_ends_with_its_supervision() {
        struct Bell(Arc<Notify>);
        impl Drop for Bell {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let (running, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, ends) = (Arc::clone(&running), Arc::clone(&ended));
        let outer = tokio::spawn(supervised("the task of a test", move || {
            let (begins, bell) = (Arc::clone(&begins), Bell(Arc::clone(&ends)));
            async move {
                let _bell = bell;
                begins.notify_one();
                std::future::pending::<()>().await;
            }
        }));
        running.notified().await;
        outer.abort();
        tokio::time::timeout(Duration::from_secs(10), ended.notified())
            .await
            .expect("the task under way is dropped");
    }
}
