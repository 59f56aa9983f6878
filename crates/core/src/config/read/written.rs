//! The connection options of one source, each right by itself, and how sources are laid over each
//! other.

use std::path::PathBuf;
use std::time::Duration;

use super::address::{SENTINEL_PORT, SERVER_PORT, read_addresses, read_host, read_port};
use super::source::{LONGEST_MILLISECONDS, Source};
use super::tls::read_tls;
use super::value::Given;
use crate::config::{ConfigError, Family, HostPort, Secret, TlsConfig};

/// `tls` or `sentinelTLS` as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WrittenTls {
    /// `false`
    Off,
    /// `true`: TLS without anything said about certificates.
    On,
    /// An object.
    With(TlsConfig),
}

/// Connection options as far as one source has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) path: Option<PathBuf>,
    pub(super) sentinels: Option<Vec<HostPort>>,
    pub(super) group: Option<String>,
    pub(super) cluster: Option<Vec<HostPort>>,
    pub(super) username: Option<Secret>,
    pub(super) password: Option<Secret>,
    pub(super) sentinel_username: Option<Secret>,
    pub(super) sentinel_password: Option<Secret>,
    pub(super) database: Option<i64>,
    pub(super) tls: Option<WrittenTls>,
    pub(super) sentinel_tls: Option<WrittenTls>,
    pub(super) tls_in_sentinel_mode: Option<bool>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) command_timeout: Option<Duration>,
    /// Zero for the default.
    pub(super) keep_alive: Option<Duration>,
    pub(super) connection_name: Option<String>,
    pub(super) family: Option<Family>,
}

impl Written {
    /// Reads every connection option of a source except `url`.
    pub(super) fn read(
        source: &Source<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            host: read_host(source)?,
            port: read_port(source)?,
            path: source.text("path")?.map(PathBuf::from),
            sentinels: read_addresses(source, "sentinels", SENTINEL_PORT, warnings)?,
            group: source.text("name")?.map(str::to_owned),
            cluster: read_addresses(source, "cluster", SERVER_PORT, warnings)?,
            username: source.credential("username", warnings)?,
            password: source.credential("password", warnings)?,
            sentinel_username: source.credential("sentinelUsername", warnings)?,
            sentinel_password: source.credential("sentinelPassword", warnings)?,
            database: source.whole_number("db", 0..=i64::from(i32::MAX), "")?,
            tls: tls(source, "tls", warnings)?,
            sentinel_tls: tls(source, "sentinelTLS", warnings)?,
            tls_in_sentinel_mode: source.boolean("enableTLSForSentinelMode")?,
            connect_timeout: source.milliseconds("connectTimeout")?,
            command_timeout: source.milliseconds("commandTimeout")?,
            keep_alive: keep_alive(source)?,
            connection_name: connection_name(source)?,
            family: family(source)?,
        })
    }

    /// Whether this source says where the store is.
    pub(super) fn has_address(&self) -> bool {
        self.host.is_some()
            || self.path.is_some()
            || self.sentinels.is_some()
            || self.cluster.is_some()
    }

    /// Whether this source says anything about where the store is or who logs in there.
    pub(super) fn has_address_or_login(&self) -> bool {
        let login = [
            &self.username,
            &self.password,
            &self.sentinel_username,
            &self.sentinel_password,
        ];
        self.has_address()
            || self.port.is_some()
            || self.group.is_some()
            || self.database.is_some()
            || login.iter().any(|option| option.is_some())
    }

    /// Whether this source names a place of its own, if only by a port of this machine.
    pub(super) fn names_place(&self) -> bool {
        self.has_address() || self.port.is_some()
    }

    /// Only what says how this process likes to connect, to whatever server.
    pub(super) fn habits(self) -> Self {
        Self {
            connect_timeout: self.connect_timeout,
            command_timeout: self.command_timeout,
            keep_alive: self.keep_alive,
            connection_name: self.connection_name,
            family: self.family,
            ..Self::default()
        }
    }

    /// These options, and those of `base` where there are none. An address of another kind replaces
    /// the address in `base` as a whole.
    pub(super) fn over(self, base: Self) -> Self {
        let keep_base_address = !self.has_address();
        let keep_base_port = keep_base_address || self.host.is_some() && base.host.is_some();
        Self {
            host: self.host.or(base.host.filter(|_| keep_base_address)),
            port: self.port.or(base.port.filter(|_| keep_base_port)),
            path: self.path.or(base.path.filter(|_| keep_base_address)),
            group: self.group.or(base
                .group
                .filter(|_| keep_base_address || self.sentinels.is_some())),
            sentinels: self
                .sentinels
                .or(base.sentinels.filter(|_| keep_base_address)),
            cluster: self.cluster.or(base.cluster.filter(|_| keep_base_address)),
            username: self.username.or(base.username),
            password: self.password.or(base.password),
            sentinel_username: self.sentinel_username.or(base.sentinel_username),
            sentinel_password: self.sentinel_password.or(base.sentinel_password),
            database: self.database.or(base.database),
            tls: self.tls.or(base.tls),
            sentinel_tls: self.sentinel_tls.or(base.sentinel_tls),
            tls_in_sentinel_mode: self.tls_in_sentinel_mode.or(base.tls_in_sentinel_mode),
            connect_timeout: self.connect_timeout.or(base.connect_timeout),
            command_timeout: self.command_timeout.or(base.command_timeout),
            keep_alive: self.keep_alive.or(base.keep_alive),
            connection_name: self.connection_name.or(base.connection_name),
            family: self.family.or(base.family),
        }
    }
}

fn tls(
    source: &Source<'_>,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<WrittenTls>, ConfigError> {
    match source.given(name) {
        Given::Nothing => Ok(None),
        Given::Boolean(true) => Ok(Some(WrittenTls::On)),
        Given::Boolean(false) => Ok(Some(WrittenTls::Off)),
        Given::Object(values) => Ok(Some(WrittenTls::With(read_tls(
            source, name, values, warnings,
        )?))),
        _ => Err(source.refuse(name, "give true, false or an object such as {ca}")),
    }
}

fn keep_alive(source: &Source<'_>) -> Result<Option<Duration>, ConfigError> {
    let number = source.whole_number("keepAlive", 0..=LONGEST_MILLISECONDS, " of milliseconds")?;
    Ok(number.map(|number| Duration::from_millis(number.unsigned_abs())))
}

/// A name that `CLIENT SETNAME` takes: printable ASCII without spaces. Empty counts as not given.
fn connection_name(source: &Source<'_>) -> Result<Option<String>, ConfigError> {
    if let Given::Text("") = source.given("connectionName") {
        return Ok(None);
    }
    let Some(name) = source.text("connectionName")? else {
        return Ok(None);
    };
    if name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Some(name.to_owned()));
    }
    Err(source.refuse(
        "connectionName",
        "give letters, digits and punctuation without spaces",
    ))
}

fn family(source: &Source<'_>) -> Result<Option<Family>, ConfigError> {
    let word = match source.given("family") {
        Given::Nothing => return Ok(None),
        Given::Number(number) => number.to_string(),
        Given::Text(text) => text.trim().to_ascii_lowercase(),
        _ => String::new(),
    };
    match word.as_str() {
        "0" => Ok(Some(Family::Any)),
        "4" | "ipv4" => Ok(Some(Family::V4)),
        "6" | "ipv6" => Ok(Some(Family::V6)),
        _ => Err(source.refuse("family", "give 4, 6, or 0 for any")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str) -> HostPort {
        HostPort {
            host: host.to_owned(),
            port: 1,
        }
    }

    #[test]
    fn an_address_of_another_kind_replaces_the_one_below() {
        let server = Written {
            host: Some("h".into()),
            port: Some(5),
            ..Written::default()
        };
        let socket = Written {
            path: Some("/s".into()),
            ..Written::default()
        };
        let sentinels = Written {
            sentinels: Some(vec![address("s")]),
            group: Some("g".into()),
            ..Written::default()
        };
        let cluster = Written {
            cluster: Some(vec![address("c")]),
            ..Written::default()
        };
        let kinds = [server, socket, sentinels, cluster];
        for (above, upper) in kinds.iter().enumerate() {
            for (below, lower) in kinds.iter().enumerate() {
                let laid = upper.clone().over(lower.clone());
                assert_eq!(laid, *upper, "{above} over {below}");
            }
            assert_eq!(Written::default().over(upper.clone()), *upper);
        }
    }

    #[test]
    fn parts_of_an_address_are_completed_from_below() {
        let below = Written {
            host: Some("below".into()),
            port: Some(5),
            ..Written::default()
        };
        let host = Written {
            host: Some("above".into()),
            ..Written::default()
        };
        assert_eq!(host.over(below.clone()).port, Some(5));
        let port = Written {
            port: Some(6),
            ..Written::default()
        };
        assert_eq!(port.clone().over(below).host.as_deref(), Some("below"));
        assert_eq!(port.over(Written::default()).port, Some(6));
    }
}
