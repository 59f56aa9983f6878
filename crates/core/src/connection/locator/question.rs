//! Questions to servers, each on a connection of its own.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, ProtocolVersion, RedisConnectionInfo, RedisError, Value,
};

use crate::config::{Endpoint, HostPort, Secret};
use crate::connection::stream::Connector;
use crate::error::{Code, Error, Result};

/// How long a server may take, from connecting to its answer: one that takes longer is of no use in a failover.
const LIMIT: Duration = Duration::from_secs(2);

/// Others may still answer for so long after the first.
const GRACE: Duration = Duration::from_millis(200);

/// What each server said, and why others said nothing.
pub(super) struct Answers<'places, T> {
    pub(super) given: Vec<(&'places HostPort, T)>,
    pub(super) failures: Vec<(&'places HostPort, Error)>,
}

impl<T> Answers<'_, T> {
    /// The failures in words, to be read after the name of what was looked for.
    pub(super) fn reasons(&self) -> Vec<String> {
        let reason = |(place, error): &(&HostPort, Error)| format!("{place}: {}", error.message());
        self.failures.iter().map(reason).collect()
    }

    /// Whether all who were reached refused to talk to us.
    pub(super) fn all_refused(&self) -> bool {
        let refusal = |error: &Error| error.code() == Code::StoreAuthentication;
        let mut failures = self.failures.iter();
        self.given.is_empty() && failures.all(|(_, error)| refusal(error))
    }
}

/// Asks all of these servers at once, and does not wait long for the last ones.
pub(super) async fn gather<'places, T, F>(
    places: &'places [HostPort],
    ask: impl Fn(&'places HostPort) -> F,
) -> Answers<'places, T>
where
    F: Future<Output = Result<T>>,
{
    let mut asked: FuturesUnordered<_> = places
        .iter()
        .map(|place| {
            let answer = ask(place);
            async move { (place, answer.await) }
        })
        .collect();
    let mut answers = Answers {
        given: Vec::new(),
        failures: Vec::new(),
    };
    let mut end = None;
    loop {
        let enough = async {
            match end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            answered = asked.next() => match answered {
                Some((place, Ok(answer))) => {
                    end.get_or_insert_with(|| tokio::time::Instant::now() + GRACE);
                    answers.given.push((place, answer));
                }
                Some((place, Err(error))) => answers.failures.push((place, error)),
                None => return answers,
            },
            () = enough => return answers,
        }
    }
}

/// Who asks: a login of servers of one kind.
pub(super) struct Asker {
    connector: Connector,
    identity: RedisConnectionInfo,
    /// The options of the login, for the operator.
    options: &'static str,
}

impl Asker {
    pub(super) fn new(
        connector: Connector,
        username: Option<&str>,
        password: Option<&Secret>,
        options: &'static str,
    ) -> Self {
        // The older protocol, which every server and sentinel speaks.
        let mut identity = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        if let Some(username) = username {
            identity = identity.set_username(username);
        }
        if let Some(password) = password {
            identity = identity.set_password(password.expose());
        }
        Self {
            connector,
            identity,
            options,
        }
    }

    pub(super) fn identity(&self) -> &RedisConnectionInfo {
        &self.identity
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The replies to some commands, those that are errors among them.
    ///
    /// # Errors
    /// Why there is no answer, without the place.
    pub(super) async fn ask(&self, place: &HostPort, commands: &[Cmd]) -> Result<Vec<Value>> {
        let answered = tokio::time::timeout(LIMIT, self.ask_unbounded(place, commands)).await;
        answered.unwrap_or_else(|_| {
            Err(Error::new(
                Code::StoreUnreachable,
                format!("no answer within {} ms", LIMIT.as_millis()),
            ))
        })
    }

    async fn ask_unbounded(&self, place: &HostPort, commands: &[Cmd]) -> Result<Vec<Value>> {
        let stream = self.connector.open(&Endpoint::Tcp(place.clone())).await?;
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let opened = MultiplexedConnection::new_with_config(&self.identity, stream, settings).await;
        let (mut connection, driver) = opened.map_err(|error| self.refusal(error))?;
        let answers = async {
            let mut answers = Vec::with_capacity(commands.len());
            for command in commands {
                answers.push(connection.send_packed_command(command).await?);
            }
            Ok::<_, RedisError>(answers)
        };
        tokio::select! {
            answers = answers => answers.map_err(|error| self.refusal(error)),
            () = driver => Err(Error::new(Code::StoreUnreachable, "it closed the connection")),
        }
    }

    /// What a refused login, or another error, means to the operator.
    pub(super) fn refusal(&self, error: RedisError) -> Error {
        let text = error.to_string();
        let refused = error.kind() == ErrorKind::AuthenticationFailed
            || ["WRONGPASS", "NOAUTH", "invalid username-password", "NOPERM"]
                .iter()
                .any(|word| text.contains(word));
        if refused {
            return Error::new(
                Code::StoreAuthentication,
                format!("it refused the login ({text}); check {}", self.options),
            );
        }
        Error::from(error)
    }
}
