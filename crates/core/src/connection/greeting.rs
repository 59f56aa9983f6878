//! An open stream becomes a session: who logs in, in which protocol, and why that was refused.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, RedisConnectionInfo};

use super::stream::{ByteStream, Connector};
use crate::config::ConnectionConfig;
use crate::error::{Code, Error, Result};

/// Commands queued in front of the socket; redis-rs defaults to 50.
const PIPELINE_BUFFER: usize = 1024;

/// Moves the bytes of one connection; ends with it.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Connects and logs in, as often as it is asked.
pub(super) struct Greeter {
    connector: Arc<Connector>,
    config: ConnectionConfig,
    /// For `CLIENT LIST`.
    name: String,
    /// What the server was found to speak.
    protocol: ProtocolVersion,
}

impl Greeter {
    pub(super) fn new(connector: Arc<Connector>, config: ConnectionConfig, name: String) -> Self {
        Self {
            connector,
            config,
            name,
            protocol: ProtocolVersion::RESP3,
        }
    }

    /// A connection that has answered, and its driver.
    ///
    /// # Errors
    /// `ConfigInvalid` and `StoreAuthentication` where another attempt will end the same; else what
    /// the network or the store said.
    pub(super) async fn connect(&mut self) -> Result<(MultiplexedConnection, Driver)> {
        match self.greet_in_time(self.protocol).await {
            Err(error) if self.protocol == ProtocolVersion::RESP3 && may_lack_resp3(&error) => {
                let Ok(greeted) = self.greet_in_time(ProtocolVersion::RESP2).await else {
                    return Err(error);
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
    ) -> Result<(MultiplexedConnection, Driver)> {
        let limit = self.config.connect_timeout;
        let begin = Instant::now();
        let stream = self.connector.open().await?;
        let left = limit.saturating_sub(begin.elapsed());
        let greeted = tokio::time::timeout(left, self.greet(protocol, stream)).await;
        greeted.unwrap_or_else(|_| {
            Err(Error::new(
                Code::StoreUnreachable,
                format!(
                    "the store at {} accepts connections but does not answer within {} ms",
                    self.config.describe(),
                    limit.as_millis()
                ),
            ))
        })
    }

    async fn greet(
        &self,
        protocol: ProtocolVersion,
        stream: Pin<Box<dyn ByteStream>>,
    ) -> Result<(MultiplexedConnection, Driver)> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_BUFFER);
        let (connection, driver) = MultiplexedConnection::new_with_config(
            &identity(&self.config, protocol),
            stream,
            settings,
        )
        .await
        .map_err(|error| greeting_error(&self.config, error))?;
        // The driver must run for the next commands to be answered.
        let mut driver: Driver = Box::pin(driver);
        let mut probe = connection.clone();
        let name = self.name.clone();
        let probed = async move {
            // A name is a courtesy to whoever reads CLIENT LIST; access rules may forbid it.
            let _ = redis::cmd("CLIENT")
                .arg("SETNAME")
                .arg(name)
                .exec_async(&mut probe)
                .await;
            redis::cmd("PING").exec_async(&mut probe).await
        };
        tokio::select! {
            answer = probed => answer.map_err(|error| greeting_error(&self.config, error))?,
            () = &mut driver => return Err(Error::new(
                Code::StoreUnreachable,
                format!("the store at {} closed the connection at once", self.config.describe()),
            )),
        }
        Ok((connection, driver))
    }
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
    error.code() == Code::StoreReply
}
