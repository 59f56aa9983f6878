//! The rules of the lease, one by one.

mod following;
mod handing_over;
mod leading;

use super::*;
use crate::election::memory::Intact;
use crate::election::view::Lock;

const TTL: Duration = Duration::from_secs(10);
const RUN: &str = "run1";
const INTACT: Option<Intact<'static>> = Some(Intact {
    mark: "mark",
    since: Moment::ZERO,
});

fn at(milliseconds: u64) -> Moment {
    Moment::default() + Duration::from_millis(milliseconds)
}

fn candidate(eligibility: Eligibility) -> Lease {
    let candidate = Candidate {
        id: "me".into(),
        ttl: TTL,
        eligibility,
        place: 0.0,
    };
    Lease::new(candidate, 0)
}

/// One that is connected, and whose event loop answers at once.
fn connected() -> Lease {
    let mut lease = candidate(Eligibility::Candidate);
    lease.connected(at(0), Some(RUN.into()));
    lease
}

fn record(token: u64, beat: &str, holder: &str) -> Record {
    Record {
        token,
        beat: beat.into(),
        released: false,
        holder: holder.into(),
        host: format!("host-of-{holder}"),
        ttl: 10_000,
        run: RUN.into(),
        reserve: false,
    }
}

fn view(record: Option<Record>) -> View {
    let lock = match &record {
        Some(record) if !record.released => Lock::Ours {
            token: record.token,
        },
        _ => Lock::Absent,
    };
    View { lock, record }
}

fn reply(verdict: Verdict, record: Option<Record>) -> Reply {
    Reply {
        verdict,
        view: view(record),
    }
}

fn released(token: u64, holder: &str) -> Record {
    Record {
        released: true,
        ..record(token, "ff", holder)
    }
}

fn written(record: &Record) -> Written {
    Written {
        lock: "lock".into(),
        token: record.token,
        beat: record.beat.clone(),
        state: if record.released { "released" } else { "held" }.into(),
        holder: record.holder.clone(),
        run: record.run.clone(),
    }
}

/// What it would send, if its event loop answers at once.
fn request(lease: &mut Lease, now: Moment) -> Option<Request> {
    match lease.next(now, None) {
        Step::Send(Request::Ask) => {
            lease.loop_answered(now);
            match lease.next(now, None) {
                Step::Send(request) => Some(request),
                Step::Wait(_) => None,
            }
        }
        Step::Send(request) => Some(request),
        Step::Wait(_) => None,
    }
}

fn exchange(lease: &mut Lease, sent: Moment, now: Moment, request: &Request, reply: Reply) {
    lease.begin(sent, request);
    lease.replied(now, sent, lease.candidate().ttl, request, reply);
}

fn acquire_now(watched: &str) -> Request {
    Request::Acquire {
        watched: watched.into(),
        memory: None,
    }
}

/// One that leads since it asked at 0, with token 7.
fn leader() -> Lease {
    let mut lease = connected();
    let won = reply(Verdict::Acquired, Some(record(7, "a1", "me")));
    exchange(&mut lease, at(0), at(5), &acquire_now(""), won);
    assert_eq!(lease.holding(at(5)).unwrap().token, 7);
    lease
}

/// One that has seen another leader at 0.
fn follower(record: Record) -> Lease {
    let mut lease = connected();
    let held = reply(Verdict::Held, Some(record));
    exchange(&mut lease, at(0), at(0), &acquire_now(""), held);
    lease
}
