//! Tells what happened around a violation, for whoever looks for its cause.

use super::history::{History, Interval, Nanos, Said};

impl History {
    /// An interval in words.
    pub(crate) fn show(&self, interval: &Interval) -> String {
        let Interval {
            life,
            token,
            began,
            ended,
        } = interval;
        let name = &self.lives[*life].name;
        format!(
            "{name} with token {token} from {} to {}",
            seconds(*began),
            seconds(*ended)
        )
    }

    /// What happened around a moment, for whoever looks for the cause.
    pub(crate) fn around(&self, lock: &str, moment: Nanos) -> String {
        const BEFORE: Nanos = 4_000_000_000;
        const AFTER: Nanos = 1_500_000_000;
        let near = |at: &Nanos| moment.saturating_sub(BEFORE) <= *at && *at <= moment + AFTER;
        let mut lines: Vec<(Nanos, String)> = self
            .deeds
            .iter()
            .filter(|deed| near(&deed.at))
            .map(|deed| (deed.at, format!("** {}", deed.what)))
            .collect();
        for life in &self.lives {
            let mut samples = None;
            for said in &life.said {
                use Said::{Began, Blocked, Ended, Knows, Left, Moved, Released, Saw, Unblocked};
                let told = match said {
                    Began {
                        at,
                        lock,
                        token,
                        until,
                    } => Some((
                        *at,
                        lock.as_str(),
                        format!("leads with {token} until {}", seconds(*until)),
                    )),
                    Moved {
                        at,
                        lock,
                        token,
                        until,
                    } => Some((
                        *at,
                        lock.as_str(),
                        format!("leads on with {token} until {}", seconds(*until)),
                    )),
                    Ended { at, lock, token } => {
                        Some((*at, lock.as_str(), format!("leads no more with {token}")))
                    }
                    Knows { at, lock, token } => {
                        Some((*at, lock.as_str(), format!("knows of {token}")))
                    }
                    Released { at, lock, led } => {
                        Some((*at, lock.as_str(), format!("released (led: {led})")))
                    }
                    Left { at, lock } => Some((*at, lock.as_str(), "left".to_owned())),
                    Blocked { at } => Some((*at, lock, "event loop hangs".to_owned())),
                    Unblocked { at } => Some((*at, lock, "event loop goes on".to_owned())),
                    Saw(seen) => {
                        for sample in seen.iter().filter(|sample| sample.lock == lock) {
                            if samples != Some(sample.token) {
                                samples = Some(sample.token);
                                if near(&sample.before) {
                                    let text = format!("{} sees {:?}", life.name, sample.token);
                                    lines.push((sample.before, text));
                                }
                            }
                        }
                        None
                    }
                    _ => None,
                };
                if let Some((at, of, text)) = told
                    && of == lock
                    && near(&at)
                {
                    lines.push((at, format!("{} {text}", life.name)));
                }
            }
        }
        lines.sort();
        let lines = lines
            .iter()
            .map(|(at, text)| format!("  {} {text}\n", seconds(*at)));
        lines.collect()
    }
}

fn seconds(at: Nanos) -> String {
    format!("{}.{:03}", at / 1_000_000_000, at / 1_000_000 % 1_000)
}
