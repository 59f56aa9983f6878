//! What happens to the store, its data and its clock.

use fastrand::Rng;
use node_red_cluster_testkit::{Direction, Server};
use tokio::time::{Duration, sleep};

use super::{World, shift};

/// Makes of a lock what a store has that went back to a moment at which the lock was released, in an earlier
/// run of the server. Such a moment is too short for a copy of the data to meet it.
const RELEASED: &str = r"
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('HINCRBY', KEYS[2], 'token', -1)
  redis.call('HSET', KEYS[2], 'state', 'released', 'beat', '0', 'run', string.rep('0', 40))
  redis.call('DEL', KEYS[1])
end";

impl World {
    pub(super) async fn store(&self, fault: &str, random: &mut Rng) -> bool {
        let mut server = self.server.lock().await;
        let chronicle = &self.chronicle;
        if self.saved.lock().await.is_none() || random.f64() < 0.3 {
            *self.saved.lock().await = Some(server.save_data().expect("a copy of the data"));
        }
        let span = self.span(random);
        match fault {
            "store paused" => {
                chronicle.note(format!("{fault} for {span:?}"));
                server.pause().expect("it runs");
                sleep(span).await;
                server.resume().expect("it runs");
                chronicle.note("store goes on");
            }
            "store rolled back a moment" => self.back_a_moment(&mut server, random).await,
            "store emptied" => {
                chronicle.note_loss(fault);
                server.command(&["FLUSHALL"]).await.expect("an answer");
                chronicle.note_loss("store is empty");
            }
            "store's clock set" => {
                let Some(clock) = &self.wall_clock else {
                    return false;
                };
                let (shift, ahead) = shift(random);
                let what = format!("store's clock is {ahead} ms ahead");
                chronicle.note_clock(what.clone(), ahead);
                clock.set(shift).expect("a clock");
                // It looks at its clock only now and then.
                sleep(Duration::from_millis(10)).await;
                chronicle.note_clock(what, ahead);
            }
            _ => {
                let forgets = !fault.ends_with("with its data");
                let note = |what: &str| match forgets {
                    true => chronicle.note_loss(what),
                    false => chronicle.note(what),
                };
                note(&format!("{fault}, down for {span:?}"));
                // Or somebody who still leads would never meet it.
                let span = if fault.ends_with("locks") {
                    span / 10
                } else {
                    span
                };
                if fault.contains("stopped") {
                    server.stop().await.expect("it ends");
                } else {
                    server.kill().await.expect("it ends");
                }
                sleep(span).await;
                let saved = self.saved.lock().await;
                match fault {
                    "store rolled back" => {
                        let data = saved.as_ref().expect("saved above");
                        server.start_with(data).await.expect("it starts");
                    }
                    "store rolled back to released locks" => {
                        server.start().await.expect("it starts");
                        for lock in &self.locks {
                            let record = format!("{lock}:election");
                            let words = ["EVAL", RELEASED, "2", lock, &record];
                            server.command(&words).await.expect("an answer");
                        }
                    }
                    "store lost its data" => server.start_empty().await.expect("it starts"),
                    _ => server.start().await.expect("it starts"),
                }
                note("store is back");
            }
        }
        true
    }

    /// Takes the store back to what its followers saw last, while they hear nothing and somebody leads on, and
    /// keeps the leader from telling the store again.
    async fn back_a_moment(&self, server: &mut Server, random: &mut Rng) {
        let leader = self.victim(random);
        self.chronicle.note(format!("all but p{leader} are deaf"));
        for (index, proxy) in self.proxies.iter().enumerate() {
            if index != leader {
                proxy.blackhole(Direction::Both);
            }
        }
        let saved = server.save_data().expect("a copy of the data");
        sleep(self.ttl.mul_f64(0.7)).await;
        self.chronicle.note_loss("store goes back a moment");
        self.proxies[leader].refuse().await;
        server.kill().await.expect("it ends");
        server.start_with(&saved).await.expect("it starts");
        self.chronicle.note_loss("store is back");
        for (index, proxy) in self.proxies.iter().enumerate() {
            if index != leader {
                proxy.heal().await.expect("the proxy's port");
            }
        }
        sleep(self.ttl.mul_f64(0.6)).await;
        self.proxies[leader].heal().await.expect("the proxy's port");
        self.chronicle
            .note(format!("p{leader} can tell the store again"));
    }
}
