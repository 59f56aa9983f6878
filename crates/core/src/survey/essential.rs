//! The commands without which nothing can be promised.

use super::LIMIT;
use crate::connection::{Connection, Lane, Repeat, Request};
use crate::error::{Code, Error, Result};

/// All commands that are sent, or called by a script, and that nothing stands in for. A test compares this
/// with the sources.
pub const ESSENTIAL: &[&str] = &[
    "DEL",
    "EVAL",
    "EVALSHA",
    "EXEC",
    "EXISTS",
    "GET",
    "GETRANGE",
    "HDEL",
    "HEXISTS",
    "HGET",
    "HGETALL",
    "HKEYS",
    "HLEN",
    "HMGET",
    "HSET",
    "HSETNX",
    "HSTRLEN",
    "MGET",
    "MSET",
    "MULTI",
    "PING",
    "PTTL",
    "PUBLISH",
    "RENAME",
    "SADD",
    "SET",
    "SETRANGE",
    "SISMEMBER",
    "SMEMBERS",
    "SRANDMEMBER",
    "SREM",
    "STRLEN",
    "TYPE",
    "UNLINK",
    "ZADD",
    "ZCARD",
    "ZRANGE",
    "ZREM",
    "ZSCORE",
];

/// Asks the store whether it has every command that is needed. One that access rules forbid is there all
/// the same, and names itself when it is refused.
///
/// # Errors
/// `StoreReply` with the names of those that are missing; nothing where the store does not tell.
pub(crate) async fn check(connection: &Connection) -> Result<()> {
    let mut question = redis::cmd("COMMAND");
    question.arg("INFO").arg(ESSENTIAL);
    let request = Request::Command(question);
    let asked = connection.run::<Vec<redis::Value>>(Lane::Commands, &request, Repeat::Safe);
    // A store that cannot be asked is not asked: what is missing then shows at its use.
    let Ok(Ok(known)) = tokio::time::timeout(LIMIT, asked).await else {
        return Ok(());
    };
    let missing = missing(&known);
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Code::StoreReply,
        format!(
            "the store at {} has no {} (renamed, or never there), without which nothing works; see \"What a store must allow\" in docs/operations.md",
            connection.describe(),
            missing.join(", ")
        ),
    ))
}

fn missing(known: &[redis::Value]) -> Vec<&'static str> {
    if known.len() != ESSENTIAL.len() {
        return Vec::new();
    }
    let pairs = ESSENTIAL.iter().zip(known);
    pairs
        .filter(|(_, value)| matches!(value, redis::Value::Nil))
        .map(|(name, _)| *name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_does_not_know_is_missing() {
        let mut known = vec![redis::Value::Array(Vec::new()); ESSENTIAL.len()];
        assert_eq!(missing(&known), Vec::<&str>::new());
        known[1] = redis::Value::Nil;
        assert_eq!(missing(&known), ["EVAL"]);
        assert_eq!(
            missing(&known[1..]),
            Vec::<&str>::new(),
            "another shape tells nothing"
        );
    }
}
