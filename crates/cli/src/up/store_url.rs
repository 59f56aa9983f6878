//! The URL of a store: which are taken, how one is shown, and whether a store answers there.

use std::fmt;
use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, ServerErrorKind};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::Failure;

/// How long a store may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const DEFAULT_PORT: u16 = 6379;
const SCHEMES: [&str; 4] = ["redis", "rediss", "valkey", "valkeys"];

/// A URL that a store may be at. Its `Display` has no password.
#[derive(Clone, Debug)]
pub(super) struct StoreUrl {
    text: String,
    shown: String,
    /// Host and port, for a store behind TLS, where only the connection itself is tried.
    tls_endpoint: Option<(String, u16)>,
}

/// What came of asking the store.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// It takes commands.
    Ready,
    /// It is there, but not yet ready to take commands.
    Loading,
    /// It cannot be used, for this reason.
    Unusable(String),
}

impl StoreUrl {
    /// Takes what the operator typed.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let refused = |why: &str| {
            Failure::Refused(format!(
                "--url is no URL of a store ({why}). Write it as redis://[[user]:password@]host\
                 [:port][/database], or with rediss:// for TLS (valkey:// and valkeys:// mean \
                 the same)."
            ))
        };
        let url = redis::parse_redis_url(text)
            .filter(|url| SCHEMES.contains(&url.scheme()))
            .ok_or_else(|| refused("it does not begin with redis://, rediss://, valkey:// or valkeys://, or cannot be read"))?;
        let host = url
            .host_str()
            .ok_or_else(|| refused("the host is missing"))?;
        let tls = matches!(url.scheme(), "rediss" | "valkeys");
        let tls_endpoint = tls.then(|| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            (host.to_owned(), url.port().unwrap_or(DEFAULT_PORT))
        });
        if !tls {
            Client::open(text).map_err(|error| refused(&error.to_string()))?;
        }
        let mut shown = url.clone();
        if shown.password().is_some() {
            // Cannot fail: the URL has a host.
            shown.set_password(Some("***")).ok();
        }
        Ok(Self {
            text: text.to_owned(),
            shown: shown.to_string(),
            tls_endpoint,
        })
    }

    /// The URL of a store of our own.
    pub(super) fn of_own(port: u16) -> Self {
        let text = format!("redis://127.0.0.1:{port}");
        Self {
            shown: text.clone(),
            text,
            tls_endpoint: None,
        }
    }

    /// The URL with its password, for settings files only.
    pub(super) fn with_password(&self) -> &str {
        &self.text
    }

    /// Asks the store whether it takes commands; at most five seconds. Behind TLS only the
    /// connection is tried, because its certificates are known to the instances' settings alone.
    pub(super) async fn ask(&self) -> Answer {
        let asked = async {
            match &self.tls_endpoint {
                Some((host, port)) => match TcpStream::connect((host.as_str(), *port)).await {
                    Ok(_) => Answer::Ready,
                    Err(error) => Answer::Unusable(error.to_string()),
                },
                None => match self.ping().await {
                    Ok(()) => Answer::Ready,
                    Err(error)
                        if error.kind() == ErrorKind::Server(ServerErrorKind::BusyLoading) =>
                    {
                        Answer::Loading
                    }
                    Err(error) => Answer::Unusable(reason(&error)),
                },
            }
        };
        timeout(ANSWER_LIMIT, asked)
            .await
            .unwrap_or_else(|_| Answer::Unusable(format!("no answer within {ANSWER_LIMIT:?}")))
    }

    async fn ping(&self) -> redis::RedisResult<()> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_LIMIT))
            .set_response_timeout(Some(ANSWER_LIMIT));
        let mut connection = Client::open(self.text.as_str())?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        redis::cmd("PING").exec_async(&mut connection).await
    }
}

/// What a store or the connection to it complains of, as a part of a sentence.
fn reason(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    text.trim_end_matches('.').to_owned()
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let url = StoreUrl::parse("redis://app:s3cret@store:6380/1").expect("valid");
        assert_eq!(url.to_string(), "redis://app:***@store:6380/1");
        assert_eq!(url.with_password(), "redis://app:s3cret@store:6380/1");
    }

    #[test]
    fn what_is_no_store_is_refused() {
        for text in [
            "",
            "store:6379",
            "http://store",
            "redis://",
            "redis://store/x",
        ] {
            assert!(StoreUrl::parse(text).is_err(), "{text:?}");
        }
        for text in ["redis://store", "valkeys://store:6380", "rediss://[::1]/2"] {
            assert!(StoreUrl::parse(text).is_ok(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn nobody_listening_and_somebody_who_is_no_store_are_told_apart_from_a_store() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let stranger = tokio::spawn(async move {
            // Accepts and hangs up.
            while listener.accept().await.is_ok() {}
        });
        let url = StoreUrl::of_own(port);
        assert!(matches!(url.ask().await, Answer::Unusable(_)));
        stranger.abort();
        stranger.await.expect_err("aborted");
        let Answer::Unusable(why) = url.ask().await else {
            panic!("nobody listens on {url}");
        };
        assert!(why.contains("refused"), "{why}");
    }
}
