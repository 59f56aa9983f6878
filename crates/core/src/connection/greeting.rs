//! An open stream becomes a session: who logs in, in which protocol, and why that was refused; what the
//! server is; and how the session before is ended for good.
//!
//! **Fencing.** A request whose reply was lost is repeated on the next session, if repeating is safe. But a
//! server that was frozen, or a network that was slow, may still hold the first copy unread in the socket
//! of the old session, and carry it out *after* the repeat and whatever followed: a newer value would be
//! replaced by an older one. So each new session, before anybody may use it, ends the old one with
//! `CLIENT KILL`. Guaranteed where the server permits this and is still the same process: once a session is
//! announced, nothing of the sessions before it is carried out any more; what was, was before it. Not
//! guaranteed: where access rules forbid `CLIENT KILL` (then the order is what the network makes of it), and
//! at another server, say a master that froze and was failed over: what it still holds ends with it, or
//! is lost when it comes back as a replica.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError,
    Value,
};

use super::clock::StoreClock;
use super::locator::Locator;
use super::redirection::{self, Redirection};
use super::route::{Route, described};
use super::server::{self, Facts};
use super::stream::ByteStream;
use super::tracked::{Ability, Tracked};
use super::tracking::{SessionNumber, Tracker};
use crate::config::{ConnectionConfig, Endpoint};
use crate::error::{Code, Error, Result};

/// Commands queued in front of the socket; redis-rs defaults to 50.
const PIPELINE_BUFFER: usize = 1024;

/// Moves the bytes of one connection; ends with it.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// As often another server is tried at once because one says that our slot is there.
const MOST_HOPS: u32 = 4;

/// Why there is no session.
enum Failure {
    /// Our keys are at another server, of which the locator knows.
    Elsewhere(Error),
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// A session that is ready for use.
pub(super) struct Greeting {
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: Driver,
    /// The server at the other end.
    pub(super) place: Endpoint,
    /// On the link that tracks.
    pub(super) tracked: Option<Tracked>,
    pub(super) facts: Facts,
}

/// What a link does besides carrying requests.
#[derive(Debug, Clone)]
pub(super) struct Duties {
    /// Hears of changed keys.
    pub(super) tracker: Arc<Tracker>,
    /// Is set by each greeting.
    pub(super) clock: Arc<StoreClock>,
}

/// Connects and logs in, as often as it is asked.
pub(super) struct Greeter {
    route: Arc<Route>,
    config: ConnectionConfig,
    /// For `CLIENT LIST`.
    name: String,
    duties: Option<Duties>,
    /// What the server was found to speak.
    protocol: ProtocolVersion,
    /// The newest session, which the next one has to end.
    last: Option<Facts>,
}

impl Greeter {
    pub(super) fn new(
        route: Arc<Route>,
        config: ConnectionConfig,
        name: String,
        duties: Option<Duties>,
    ) -> Self {
        Self {
            route,
            config,
            name,
            duties,
            protocol: ProtocolVersion::RESP3,
            last: None,
        }
    }

    /// The next session leaves the newest one alone.
    pub(super) fn spare_last(&mut self) {
        self.last = None;
    }

    /// A session that has answered. `epoch` is the one that it will have.
    ///
    /// # Errors
    /// `ConfigInvalid` and `StoreAuthentication` where another attempt will end the same; else what
    /// the network or the store said.
    pub(super) async fn connect(&mut self, epoch: u64) -> Result<Greeting> {
        let mut hops = 0;
        let greeting = loop {
            match self.connect_once(epoch).await {
                Ok(greeting) => break greeting,
                // The next server is known already.
                Err(Failure::Elsewhere(_)) if hops < MOST_HOPS => hops += 1,
                Err(Failure::Elsewhere(error) | Failure::Other(error)) => return Err(error),
            }
        };
        self.last = Some(greeting.facts.clone());
        Ok(greeting)
    }

    async fn connect_once(&mut self, epoch: u64) -> std::result::Result<Greeting, Failure> {
        match self.greet_in_time(self.protocol, epoch).await {
            Err(Failure::Other(error))
                if self.protocol == ProtocolVersion::RESP3 && may_lack_resp3(&error) =>
            {
                let Ok(greeted) = self.greet_in_time(ProtocolVersion::RESP2, epoch).await else {
                    return Err(error.into());
                };
                tracing::info!("the store does not offer RESP3, using RESP2 ({error})");
                self.protocol = ProtocolVersion::RESP2;
                Ok(greeted)
            }
            other => other,
        }
    }

    async fn greet_in_time(
        &self,
        protocol: ProtocolVersion,
        epoch: u64,
    ) -> std::result::Result<Greeting, Failure> {
        let limit = self.config.connect_timeout;
        let begin = Instant::now();
        let (place, stream) = self.route.open(&self.config).await?;
        let left = limit.saturating_sub(begin.elapsed());
        let greeted = self.greet(protocol, epoch, &place, stream);
        let greeted = match tokio::time::timeout(left, greeted).await {
            Ok(greeted) => greeted,
            Err(_) => Err(Failure::Other(Error::new(
                Code::StoreUnreachable,
                format!(
                    "the store at {} accepts connections but does not answer within {} ms",
                    described(&self.config, &place),
                    limit.as_millis()
                ),
            ))),
        };
        if let Err(Failure::Other(_)) = &greeted {
            self.route.locator.failed(&place);
        }
        greeted
    }

    async fn greet(
        &self,
        protocol: ProtocolVersion,
        epoch: u64,
        place: &Endpoint,
        stream: Pin<Box<dyn ByteStream>>,
    ) -> std::result::Result<Greeting, Failure> {
        let mut settings = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_BUFFER);
        let mut session = None;
        if let Some(duties) = &self.duties {
            let number = duties.tracker.begin(epoch);
            session = Some((duties, number));
            if protocol == ProtocolVersion::RESP3 {
                let tracker = Arc::clone(&duties.tracker);
                // Called from within the driver, in the order of the stream.
                settings = settings.set_push_sender(move |push: PushInfo| {
                    tracker.push(number, &push);
                    Ok::<(), std::convert::Infallible>(())
                });
            }
        }
        let identity = identity(&self.config, protocol);
        let opened = MultiplexedConnection::new_with_config(&identity, stream, settings).await;
        let (connection, driver) =
            opened.map_err(|error| Failure::Other(greeting_error(&self.config, error)))?;
        // The driver must run for the next commands to be answered.
        let mut driver: Driver = Box::pin(driver);
        let (facts, tracked) = tokio::select! {
            made = self.make_ready(connection.clone(), session, protocol, place) => made?,
            () = &mut driver => return Err(Failure::Other(Error::new(
                Code::StoreUnreachable,
                format!("the store at {} closed the connection at once", described(&self.config, place)),
            ))),
        };
        Ok(Greeting {
            connection,
            driver,
            place: place.clone(),
            tracked,
            facts,
        })
    }

    /// Learns what the server is, ends the session before, turns tracking on.
    async fn make_ready(
        &self,
        mut connection: MultiplexedConnection,
        session: Option<(&Duties, SessionNumber)>,
        protocol: ProtocolVersion,
        place: &Endpoint,
    ) -> std::result::Result<(Facts, Option<Tracked>), Failure> {
        let said = |error| Failure::Other(greeting_error(&self.config, error));
        let clock = session.map(|(duties, _)| &*duties.clock);
        let (facts, ours) = self.probe(&mut connection, clock).await.map_err(said)?;
        self.is_right(&facts, ours, place)?;
        self.fence(&mut connection, &facts).await.map_err(said)?;
        let Some((duties, session)) = session else {
            return Ok((facts, None));
        };
        let ability = match protocol {
            ProtocolVersion::RESP2 => Ability::None,
            _ if facts.tells_apart_own_writes() => Ability::ForeignWrites,
            _ => Ability::AllWrites,
        };
        let tracker = Arc::clone(&duties.tracker);
        let locator = Arc::clone(&self.route.locator);
        let tracked = Tracked::start(
            tracker,
            session,
            connection,
            ability,
            locator,
            place.clone(),
        );
        Ok((facts, Some(tracked.await.map_err(said)?)))
    }

    async fn probe(
        &self,
        connection: &mut MultiplexedConnection,
        clock: Option<&StoreClock>,
    ) -> std::result::Result<(Facts, Value), RedisError> {
        let mut questions = redis::pipe();
        // A name is a courtesy to whoever reads CLIENT LIST. That, and everything up to PING, access
        // rules may forbid, and older servers may lack.
        questions.cmd("CLIENT").arg("SETNAME").arg(&self.name);
        questions.cmd("CLIENT").arg("ID");
        questions.cmd("CLIENT").arg("INFO");
        questions.cmd("INFO").arg("server");
        questions.cmd("INFO").arg("replication");
        // Without arguments it changes nothing, and it tells the mode where INFO is forbidden.
        questions.cmd("HELLO");
        questions.cmd("TIME");
        questions.cmd("PING");
        questions.add_command(self.route.locator.probe());
        let asked = Instant::now();
        let replies = connection.send_packed_commands(&questions, 0, 9).await?;
        let answered = Instant::now();
        let [_, id, client, server, replication, hello, time, ping, ours]: [Value; 9] =
            replies.try_into().map_err(|_| unexpected_greeting())?;
        ping.extract_error()?;
        if let (Some(clock), Some(time)) = (clock, server::time(&time)) {
            clock.calibrate(time, asked, answered);
        }
        let facts = Facts::read(&id, &client, &server, &replication, &hello);
        Ok((facts, ours))
    }

    /// Whether this is the server that we look for, where it could be another one. `ours` is its reply to the
    /// question about our slot.
    fn is_right(
        &self,
        facts: &Facts,
        ours: Value,
        place: &Endpoint,
    ) -> std::result::Result<(), Failure> {
        let locator: &Locator = &self.route.locator;
        if let Err(error) = ours.extract_error()
            && let Some(Redirection::Moved(to)) = redirection::read(&error, place)
        {
            let error = Error::new(
                Code::StoreNotReady,
                format!("the node at {place} says that our keys are at {to}"),
            );
            locator.redirected(to);
            return Err(Failure::Elsewhere(error));
        }
        if locator.may_move() && facts.replica == Some(true) {
            locator.failed(place);
            return Err(Failure::Other(Error::new(
                Code::StoreNotReady,
                format!(
                    "the server at {} is a replica, waiting for one that takes writes",
                    described(&self.config, place)
                ),
            )));
        }
        Ok(())
    }

    /// Ends the newest session at the server, see the head of this file.
    async fn fence(
        &self,
        connection: &mut MultiplexedConnection,
        facts: &Facts,
    ) -> std::result::Result<(), RedisError> {
        let Some(kill) = self.last.as_ref().and_then(|last| last.fence(facts)) else {
            return Ok(());
        };
        // Mostly it is gone already, which is no error in this form of the command.
        let reply = connection.send_packed_command(&kill).await?;
        if let Err(refused) = reply.extract_error() {
            tracing::debug!("the session before cannot be ended at the store: {refused}");
        }
        Ok(())
    }
}

fn unexpected_greeting() -> RedisError {
    RedisError::from((
        ErrorKind::UnexpectedReturnType,
        "the store answered a greeting with another number of replies",
    ))
}

/// Who this connection is, for the greeting.
pub(super) fn identity(
    config: &ConnectionConfig,
    protocol: ProtocolVersion,
) -> RedisConnectionInfo {
    let mut identity = RedisConnectionInfo::default()
        .set_db(config.database)
        .set_protocol(protocol)
        .set_lib_name("node-red-cluster", env!("CARGO_PKG_VERSION"));
    if let Some(username) = &config.username {
        identity = identity.set_username(username);
    }
    if let Some(password) = &config.password {
        identity = identity.set_password(password.expose());
    }
    identity
}

/// The error of a refused greeting, which names the option to look at.
pub(super) fn greeting_error(config: &ConnectionConfig, error: redis::RedisError) -> Error {
    let text = error.to_string();
    if text.contains("refused to switch database") || text.contains("DB index is out of range") {
        return Error::new(
            Code::ConfigInvalid,
            format!(
                "the store at {} has no database {}; lower `db` or raise the server's `databases`",
                config.describe(),
                config.database
            ),
        );
    }
    if error.kind() == ErrorKind::AuthenticationFailed || is_refusal(&text) {
        return Error::new(
            Code::StoreAuthentication,
            format!(
                "the store at {} refused the user name or the password ({text}); check `username` and `password`",
                config.describe()
            ),
        );
    }
    if error.kind() == ErrorKind::RESP3NotSupported {
        return Error::new(Code::StoreReply, text);
    }
    Error::from(error)
}

fn is_refusal(text: &str) -> bool {
    [
        "WRONGPASS",
        "NOAUTH",
        "invalid username-password",
        "Authentication required",
    ]
    .iter()
    .any(|word| text.contains(word))
}

/// A server or proxy from before RESP3 answers HELLO with an error of its own. Whether that was the
/// reason shows when the older protocol is tried.
fn may_lack_resp3(error: &Error) -> bool {
    // Some servers tell a stranger nothing of the commands that they lack, only that it has to log in.
    error.code() == Code::StoreReply || error.message().contains("NOAUTH")
}
