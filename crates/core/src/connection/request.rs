//! One request: waits for the link, sends, waits for the reply, repeats what may be repeated.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, RedisResult, Script, Value};
use tokio::time::Instant;

use super::link::{Doubt, Link, is_of_the_link};
use super::session::Session;
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
        let (connection, epoch) = connected.map_err(|error| match answered.take() {
            // The link is only being renewed: what the server said tells more.
            Some(said) if error.code() == Code::StoreUnreachable => said,
            _ => error,
        })?;
        let failure = match attempt(connection, request, limits.reply).await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        match failure {
            Failure::Final(error) => return Err(error),
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
    let connection = match link.session() {
        Some((connection, current)) if current == *session => connection,
        _ => return Err(link.ended(session)),
    };
    // The connection is that of one socket, it does not come back.
    match attempt(connection, request, limit).await {
        Ok(value) => Ok(value),
        Err(Failure::Final(error)) => Err(error),
        Err(Failure::NotYet(error)) => {
            if error.code() == Code::StoreReadOnly {
                link.distrust(session.epoch, Doubt::NotMaster);
            }
            Err(error)
        }
        Err(Failure::Interrupted(error)) => {
            link.distrust(session.epoch, Doubt::Silent);
            Err(unknown(&error))
        }
    }
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

async fn attempt(
    mut connection: MultiplexedConnection,
    request: &Request,
    limit: Duration,
) -> std::result::Result<Value, Failure> {
    let reply = async {
        match request {
            Request::Command(command) => command.query_async::<Value>(&mut connection).await,
            Request::Transaction(pipeline) => pipeline.query_async::<Value>(&mut connection).await,
            Request::Script {
                script,
                keys,
                arguments,
            } => evaluate(&mut connection, script, keys, arguments).await,
        }
    };
    match tokio::time::timeout(limit, reply).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(sort(error)),
        Err(_) => Err(Failure::Interrupted(Error::new(
            Code::StoreUnreachable,
            format!("the store did not answer within {} ms", limit.as_millis()),
        ))),
    }
}

async fn evaluate(
    connection: &mut MultiplexedConnection,
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
    match reply_to(connection, &by_hash).await {
        Err(error) if error.code() == Some("NOSCRIPT") => {}
        other => return other,
    }
    // With the text itself rather than SCRIPT LOAD: a failover between the two would lose the script.
    let mut by_text = redis::cmd("EVAL");
    by_text.arg(text).arg(keys.len()).arg(keys);
    for argument in arguments {
        by_text.arg(argument.as_slice());
    }
    reply_to(connection, &by_text).await
}

/// At this level of redis-rs an error of the server is a value like others.
async fn reply_to(connection: &mut MultiplexedConnection, command: &Cmd) -> RedisResult<Value> {
    connection
        .req_packed_command(command)
        .await
        .and_then(Value::extract_error)
}

fn sort(error: RedisError) -> Failure {
    let lost = is_of_the_link(&error);
    let mapped = Error::from(cause(error));
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
