//! One request: waits for the link, sends, waits for the reply, repeats what may be repeated.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, RedisResult, Script, Value};
use tokio::time::Instant;

use super::link::{Doubt, Link, Open, is_of_the_link};
use super::redirection::{self, Redirection};
use super::session::Session;
use crate::config::Endpoint;
use crate::error::{Code, Error, Result};

/// Between two attempts at a store that is there but not ready.
const NOT_READY_PAUSE: Duration = Duration::from_millis(100);

/// What is sent.
#[derive(Debug)]
pub enum Request {
    /// One command.
    Command(Cmd),
    /// A transaction, all or nothing.
    Transaction(Pipeline),
    /// A Lua script with its keys and arguments, sent by hash and loaded where the server lacks it.
    Script {
        /// The script's text.
        script: &'static str,
        /// `KEYS`.
        keys: Vec<String>,
        /// `ARGV`.
        arguments: Vec<Vec<u8>>,
    },
}

/// Whether a request may be sent a second time when its reply was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Doing it twice is the same as doing it once.
    Safe,
    /// The caller must learn that the outcome is unknown.
    Never,
}

/// The limits of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For the link to come up, each time that it is down, and for a store that is not ready.
    pub(super) link: Duration,
    /// For one reply.
    pub(super) reply: Duration,
    /// For the last attempt to begin.
    pub(super) attempts: Duration,
}

enum Failure {
    /// Our keys are elsewhere; nothing was done.
    Redirected(Redirection),
    /// The server said no without doing anything, and may say yes soon.
    NotYet(Error),
    /// The reply was lost.
    Interrupted(Error),
    /// Final.
    Final(Error),
}

pub(super) async fn carry_out(
    link: &Link,
    request: &Request,
    repeat: Repeat,
    limits: Limits,
) -> Result<Value> {
    let begin = Instant::now();
    // Of a connection that is not to be used again.
    let mut past_epoch = 0;
    let mut answered = None;
    loop {
        let left = limits.attempts.saturating_sub(begin.elapsed());
        let connected = link.connected(left.min(limits.link), past_epoch).await;
        let open = connected.map_err(|error| match answered.take() {
            // The link is only being renewed: what the server said tells more.
            Some(said) if error.code() == Code::StoreUnreachable => said,
            _ => error,
        })?;
        let epoch = open.epoch;
        let failure = match attempt(link, open, request, limits.reply).await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        match failure {
            Failure::Final(error) => return Err(error),
            Failure::Redirected(to) => {
                let error = moving(&to);
                if follow(link, epoch, to).await {
                    past_epoch = epoch;
                }
                answered = Some(error.clone());
                if begin.elapsed() >= limits.link {
                    return Err(error);
                }
            }
            Failure::NotYet(error) => {
                if error.code() == Code::StoreReadOnly {
                    link.distrust(epoch, Doubt::NotMaster);
                    past_epoch = epoch;
                }
                answered = Some(error.clone());
                if begin.elapsed() >= limits.link {
                    return Err(error);
                }
                tokio::time::sleep(NOT_READY_PAUSE).await;
            }
            Failure::Interrupted(error) => {
                link.distrust(epoch, Doubt::Silent);
                past_epoch = epoch;
                answered = None;
                if repeat == Repeat::Never {
                    return Err(unknown(&error));
                }
                if begin.elapsed() >= limits.attempts {
                    return Err(error);
                }
            }
        }
    }
}

/// Carries out a request in this session, or not at all, and without repeating anything.
pub(super) async fn carry_out_on(
    link: &Link,
    session: &Session,
    request: &Request,
    limit: Duration,
) -> Result<Value> {
    let open = match link.session() {
        Some((open, current)) if current == *session => open,
        _ => return Err(link.ended(session)),
    };
    let place = open.place.clone();
    // The connection is that of one socket, it does not come back.
    match send_within(limit, open.connection, false, request).await {
        Ok(value) => Ok(value),
        Err(error) => match sort(link, error, limit, &place) {
            Failure::Redirected(to) => {
                let error = moving(&to);
                follow(link, session.epoch, to).await;
                Err(error)
            }
            Failure::Final(error) => Err(error),
            Failure::NotYet(error) => {
                if error.code() == Code::StoreReadOnly {
                    link.distrust(session.epoch, Doubt::NotMaster);
                }
                Err(error)
            }
            Failure::Interrupted(error) => {
                link.distrust(session.epoch, Doubt::Silent);
                Err(unknown(&error))
            }
        },
    }
}

/// Where keys have moved for good, the link of this epoch is to go there too. Returns whether it does.
async fn follow(link: &Link, epoch: u64, to: Redirection) -> bool {
    match to {
        Redirection::Moved(to) => {
            link.route.locator.redirected(to);
            link.distrust(epoch, Doubt::Moved);
            link.detour.close().await;
            true
        }
        Redirection::Ask(_) => {
            link.slot_is_under_way();
            false
        }
    }
}

fn moving(to: &Redirection) -> Error {
    let (Redirection::Moved(to) | Redirection::Ask(to)) = to;
    Error::new(
        Code::StoreNotReady,
        format!("the keys are moving to the node at {to}"),
    )
}

fn unknown(error: &Error) -> Error {
    Error::new(
        Code::OutcomeUnknown,
        format!(
            "the link was lost before the store replied, the request may or may not have been carried out ({})",
            error.message()
        ),
    )
}

/// Sends a request, to another node where the server says so for this once.
async fn attempt(
    link: &Link,
    open: Open,
    request: &Request,
    limit: Duration,
) -> std::result::Result<Value, Failure> {
    let place = open.place;
    let error = match send_within(limit, open.connection, false, request).await {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let failure = sort(link, error, limit, &place);
    let Failure::Redirected(Redirection::Ask(to)) = &failure else {
        return Err(failure);
    };
    // Before its answer is known to anybody.
    link.slot_is_under_way();
    if matches!(request, Request::Transaction(_)) {
        // ASKING counts for one command, and a transaction is several.
        return Err(Failure::NotYet(moving(&Redirection::Ask(to.clone()))));
    }
    let there = link.detour.to(to, limit).await.map_err(Failure::NotYet)?;
    match send_within(limit, there, true, request).await {
        Ok(value) => Ok(value),
        Err(error) => {
            let failure = sort(link, error, limit, &Endpoint::Tcp(to.clone()));
            if !matches!(failure, Failure::Final(_) | Failure::NotYet(_)) {
                link.detour.close().await;
            }
            Err(match failure {
                // The slot did not go there after all, or has gone on: the server of the link knows.
                Failure::Redirected(to) => Failure::NotYet(moving(&to)),
                other => other,
            })
        }
    }
}

/// Sends a request and waits for its reply; none where it did not come within `limit`.
async fn send_within(
    limit: Duration,
    connection: MultiplexedConnection,
    asking: bool,
    request: &Request,
) -> std::result::Result<Value, Option<RedisError>> {
    match tokio::time::timeout(limit, send(connection, asking, request)).await {
        Ok(reply) => reply.map_err(Some),
        Err(_) => Err(None),
    }
}

async fn send(
    mut connection: MultiplexedConnection,
    asking: bool,
    request: &Request,
) -> RedisResult<Value> {
    match request {
        Request::Command(command) => reply_to(&mut connection, asking, command).await,
        Request::Transaction(pipeline) => pipeline.query_async::<Value>(&mut connection).await,
        Request::Script {
            script,
            keys,
            arguments,
        } => evaluate(&mut connection, asking, script, keys, arguments).await,
    }
}

async fn evaluate(
    connection: &mut MultiplexedConnection,
    asking: bool,
    text: &'static str,
    keys: &[String],
    arguments: &[Vec<u8>],
) -> RedisResult<Value> {
    let script = Script::new(text);
    let mut by_hash = redis::cmd("EVALSHA");
    by_hash.arg(script.get_hash()).arg(keys.len()).arg(keys);
    for argument in arguments {
        by_hash.arg(argument.as_slice());
    }
    match reply_to(connection, asking, &by_hash).await {
        Err(error) if error.code() == Some("NOSCRIPT") => {}
        other => return other,
    }
    // With the text itself rather than SCRIPT LOAD: a failover between the two would lose the script.
    let mut by_text = redis::cmd("EVAL");
    by_text.arg(text).arg(keys.len()).arg(keys);
    for argument in arguments {
        by_text.arg(argument.as_slice());
    }
    reply_to(connection, asking, &by_text).await
}

/// At this level of redis-rs an error of the server is a value like others. `asking`: the server takes it although
/// the slot is only on its way there.
async fn reply_to(
    connection: &mut MultiplexedConnection,
    asking: bool,
    command: &Cmd,
) -> RedisResult<Value> {
    if !asking {
        let reply = connection.req_packed_command(command).await;
        return reply.and_then(Value::extract_error);
    }
    let mut both = redis::pipe();
    both.cmd("ASKING").add_command(command.clone());
    let replies = connection.send_packed_commands(&both, 0, 2).await?;
    let reply = replies.into_iter().nth(1).unwrap_or(Value::Nil);
    reply.extract_error()
}

/// What the lack of a good reply means; without an error there was none within `limit`.
fn sort(link: &Link, error: Option<RedisError>, limit: Duration, place: &Endpoint) -> Failure {
    let Some(error) = error else {
        return Failure::Interrupted(Error::new(
            Code::StoreUnreachable,
            format!("the store did not answer within {} ms", limit.as_millis()),
        ));
    };
    let lost = is_of_the_link(&error);
    let error = cause(error);
    if link.route.locator.has_slots()
        && let Some(redirection) = redirection::read(&error, place)
    {
        return Failure::Redirected(redirection);
    }
    let mapped = Error::from(error);
    match mapped.code() {
        Code::StoreNotReady | Code::StoreReadOnly => Failure::NotYet(mapped),
        Code::StoreUnreachable if lost => Failure::Interrupted(mapped),
        _ => Failure::Final(mapped),
    }
}

/// What is behind an error that wraps another one.
fn cause(error: RedisError) -> RedisError {
    let detail = error.detail().unwrap_or_default();
    // Forbidden to a script: the words of Valkey and newer Redis, and those of Redis up to 7.0.
    if detail.starts_with("ACL failure in script")
        || detail.contains("The user executing the script can't ")
    {
        return redis::make_extension_error("NOPERM".to_owned(), Some(detail.to_owned()));
    }
    if let Some((code, words)) = raised_in_script(detail) {
        return redis::make_extension_error(code.to_owned(), Some(words.to_owned()));
    }
    if error.code() != Some("EXECABORT") {
        return error;
    }
    // A transaction that was not carried out: why its first command was refused.
    let refused = error.clone().into_server_errors();
    match refused.as_deref().and_then(<[_]>::first) {
        Some((_, first)) => {
            redis::make_extension_error(first.code().to_owned(), first.details().map(str::to_owned))
        }
        None => error,
    }
}

/// What a command in a script was refused with, which Redis before 7.0 hands on within an error of its own:
/// `Error running script (call to ...): @user_script:1: @user_script: 1: -OOM command not allowed ...`.
fn raised_in_script(detail: &str) -> Option<(&str, &str)> {
    let refusal = detail
        .strip_prefix("Error running script")?
        .split_once(": -")?
        .1;
    let (code, words) = refusal.split_once(' ')?;
    let is_code = code.bytes().all(|byte| byte.is_ascii_uppercase());
    is_code.then_some((code, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_in_a_script_was_refused_with_is_read_out_of_the_error_around_it() {
        let full = "Error running script (call to f_6aff): @user_script:1: @user_script: 1: \
                    -OOM command not allowed when used memory > 'maxmemory'.";
        let (code, words) = raised_in_script(full).expect("a refusal");
        assert_eq!(code, "OOM");
        assert_eq!(words, "command not allowed when used memory > 'maxmemory'.");
        for other in [
            "Error running script (call to f_6aff): @user_script:1: user_script:1: attempt to index nil",
            "value is not an integer: -OOM or out of range",
        ] {
            assert_eq!(raised_in_script(other), None, "{other}");
        }
    }
}
