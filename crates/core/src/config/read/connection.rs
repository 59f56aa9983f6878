//! Reads where the store is and how it is reached, from all sources together.

use std::time::Duration;

use serde_json::{Map, Value};

use super::address::SERVER_PORT;
use super::environment::{Environment, Lookup};
use super::prefix::DEFAULT_KEY_PREFIX;
use super::source::{Origin, Source};
use super::url::{read_url, shown_url};
use super::value::Given;
use super::written::{Written, WrittenTls};
use crate::config::{
    ClusterConfig, ConfigError, ConnectionConfig, Endpoint, HostPort, Secret, SentinelConfig,
    TlsConfig, Topology,
};

/// Host where none is given.
const DEFAULT_HOST: &str = "localhost";
/// `connectTimeout` where none is given.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The connection that the options of `source` describe, or the environment where they are silent.
pub(super) fn read_connection(
    source: &Source<'_>,
    lookup: Lookup<'_>,
    warnings: &mut Vec<String>,
) -> Result<ConnectionConfig, ConfigError> {
    let written = written_in_block(source, warnings)?;
    complete(&[source], written, lookup, warnings)
}

/// The connection that the options of `upper` describe, `lower` giving what they leave open, or the
/// environment where both are silent. An address in `upper` stands alone: what `lower` says of the
/// server at its own address, its password above all, is not for another server.
pub(super) fn read_layered(
    upper: &Source<'_>,
    lower: &Source<'_>,
    lookup: Lookup<'_>,
    warnings: &mut Vec<String>,
) -> Result<ConnectionConfig, ConfigError> {
    let above = written_in_block(upper, warnings)?;
    let below = written_in_block(lower, warnings)?;
    if above.has_url || above.given.names_place() {
        let above = Block {
            given: above.given.over(below.given.habits()),
            has_url: above.has_url,
        };
        return complete(&[upper, lower], above, lookup, warnings);
    }
    let both = Block {
        given: above.given.over(below.given),
        has_url: below.has_url,
    };
    complete(&[upper, lower], both, lookup, warnings)
}

/// The connection options of a block, those in its URL among them.
struct Block {
    given: Written,
    has_url: bool,
}

fn written_in_block(source: &Source<'_>, warnings: &mut Vec<String>) -> Result<Block, ConfigError> {
    let explicit = Written::read(source, warnings)?;
    refuse_conflicts(source, &explicit)?;
    Ok(match source.text("url")? {
        Some(text) => Block {
            given: explicit.over(written_in_url(text, &source.full_name("url"), warnings)?),
            has_url: true,
        },
        None => Block {
            given: explicit,
            has_url: false,
        },
    })
}

/// Asks the environment where the blocks are silent, and turns all of it into a connection.
fn complete(
    sources: &[&Source<'_>],
    block: Block,
    lookup: Lookup<'_>,
    warnings: &mut Vec<String>,
) -> Result<ConnectionConfig, ConfigError> {
    let Block {
        given: mut written,
        has_url,
    } = block;
    if !has_url && !written.has_address_or_login() {
        written = written.over(written_in_environment(lookup, warnings)?);
    } else if !has_url && !written.has_address() {
        // Only read to say that it is not used; what else it may warn of is of no interest.
        let environment = Environment::read(lookup, &mut Vec::new());
        if let Some(variable) = environment.address_variable() {
            warnings.push(format!(
                "environment variable {variable} is not used, because connection options are \
                 configured: give host or url beside them"
            ));
        }
    }
    assemble(sources, written, warnings)
}

/// The one of the sources that gives an option, else the last.
fn giver<'s, 'a>(sources: &[&'s Source<'a>], name: &str) -> &'s Source<'a> {
    let gives = |source: &&&Source<'_>| !matches!(source.given(name), Given::Nothing);
    sources
        .iter()
        .find(gives)
        .or(sources.last())
        .expect("a connection is read from at least one source")
}

fn written_in_url(
    text: &str,
    option: &str,
    warnings: &mut Vec<String>,
) -> Result<Written, ConfigError> {
    let shown = shown_url(text);
    let values: Map<String, Value> = read_url(text, option, warnings)
        .map_err(|remedy| ConfigError::new(option, shown.as_str(), remedy))?;
    let origin = Origin::Url {
        option: option.to_owned(),
        shown,
    };
    Written::read(&Source::new(&values, origin), warnings)
}

fn written_in_environment(
    lookup: Lookup<'_>,
    warnings: &mut Vec<String>,
) -> Result<Written, ConfigError> {
    let environment = Environment::read(lookup, warnings);
    let origin = Origin::Environment(environment.variables.clone());
    let variables = Written::read(&Source::new(&environment.values, origin), warnings)?;
    match &environment.url {
        Some((variable, text)) => Ok(variables.over(written_in_url(text, variable, warnings)?)),
        None => Ok(variables),
    }
}

/// Refuses addresses of two kinds in one block. A host beside sentinels or a cluster is no conflict
/// but useless; ioredis takes no notice of it.
fn refuse_conflicts(source: &Source<'_>, written: &Written) -> Result<(), ConfigError> {
    let refuse = |name: &str, other: &str| {
        Err(source.refuse(
            name,
            format!("take it out or take out {other}, both say where to connect"),
        ))
    };
    match written {
        Written {
            path: Some(_),
            host: Some(_),
            ..
        } => refuse("path", "host"),
        Written {
            path: Some(_),
            sentinels: Some(_),
            ..
        } => refuse("path", "sentinels"),
        Written {
            path: Some(_),
            cluster: Some(_),
            ..
        } => refuse("path", "cluster"),
        Written {
            sentinels: Some(_),
            cluster: Some(_),
            ..
        } => refuse("cluster", "sentinels"),
        _ => Ok(()),
    }
}

/// Turns options from all sources into a connection, and reports those that lead nowhere.
fn assemble(
    sources: &[&Source<'_>],
    written: Written,
    warnings: &mut Vec<String>,
) -> Result<ConnectionConfig, ConfigError> {
    let database = written.database.unwrap_or(0);
    if written.cluster.is_some() && database != 0 {
        let remedy = "take it out, a cluster has only database 0";
        return Err(ConfigError::new(
            giver(sources, "db").full_name("db"),
            database.to_string(),
            remedy,
        ));
    }
    let tls = server_tls(&written, warnings);
    if written.path.is_some() && tls.is_some() {
        let remedy = "take it out, a unix socket has no TLS";
        return Err(ConfigError::new(
            giver(sources, "tls").full_name("tls"),
            "given with a unix socket",
            remedy,
        ));
    }
    if written.username.is_some() && written.password.is_none() {
        warnings
            .push("username is given without a password, so nobody logs in: give both".to_owned());
    }
    warn_of_useless_options(&written, warnings);
    let username = written.username.as_ref().map(plain);
    Ok(ConnectionConfig {
        username,
        password: written.password.clone(),
        database,
        tls,
        connect_timeout: written.connect_timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT),
        command_timeout: written.command_timeout,
        keep_alive: written.keep_alive.filter(|time| !time.is_zero()),
        connection_name: written.connection_name.clone(),
        family: written.family.unwrap_or_default(),
        topology: topology(giver(sources, "sentinels"), written)?,
    })
}

fn topology(source: &Source<'_>, written: Written) -> Result<Topology, ConfigError> {
    if let Some(nodes) = written.cluster {
        return Ok(Topology::Cluster(ClusterConfig {
            nodes,
            home: DEFAULT_KEY_PREFIX.to_owned(),
        }));
    }
    if let Some(sentinels) = written.sentinels {
        let Some(group) = written.group else {
            let remedy = "give the name of the group that the sentinels watch, such as mymaster";
            return Err(source.refuse("name", remedy));
        };
        let tls = match (written.sentinel_tls, written.tls) {
            (None | Some(WrittenTls::Off), _) => None,
            (Some(WrittenTls::With(own)), _) => Some(own),
            (Some(WrittenTls::On), Some(WrittenTls::With(servers))) => Some(servers),
            (Some(WrittenTls::On), _) => Some(TlsConfig::default()),
        };
        return Ok(Topology::Sentinel(SentinelConfig {
            sentinels,
            group,
            username: written.sentinel_username.as_ref().map(plain),
            password: written.sentinel_password,
            tls,
        }));
    }
    if let Some(path) = written.path {
        return Ok(Topology::Standalone(Endpoint::Unix(path)));
    }
    Ok(Topology::Standalone(Endpoint::Tcp(HostPort {
        host: written.host.unwrap_or_else(|| DEFAULT_HOST.to_owned()),
        port: written.port.unwrap_or(SERVER_PORT),
    })))
}

/// TLS to the servers. ioredis uses `tls` with sentinels only if `enableTLSForSentinelMode` is set;
/// here a missing one is no reason to send passwords in clear, a `false` is.
fn server_tls(written: &Written, warnings: &mut Vec<String>) -> Option<TlsConfig> {
    let with_sentinels = written.sentinels.is_some();
    let allowed = !with_sentinels || written.tls_in_sentinel_mode != Some(false);
    let demanded = with_sentinels && written.tls_in_sentinel_mode == Some(true);
    match (&written.tls, &written.sentinel_tls) {
        (Some(WrittenTls::On | WrittenTls::With(_)), _) if !allowed => {
            warnings.push(
                "enableTLSForSentinelMode is false, so tls is not used and the connection to the \
                 servers is not encrypted"
                    .to_owned(),
            );
            None
        }
        (Some(WrittenTls::With(config)), _) => Some(config.clone()),
        (Some(WrittenTls::On), _) => Some(TlsConfig::default()),
        (Some(WrittenTls::Off), _) => None,
        (None, Some(WrittenTls::With(sentinels))) if demanded => Some(sentinels.clone()),
        (None, _) if demanded => Some(TlsConfig::default()),
        (None, _) => None,
    }
}

/// Warns of options that are right by themselves but lead nowhere beside the others.
fn warn_of_useless_options(written: &Written, warnings: &mut Vec<String>) {
    let group_or_cluster = written.sentinels.is_some() || written.cluster.is_some();
    let elsewhere = [
        ("host", written.host.is_some() && group_or_cluster),
        (
            "port",
            written.port.is_some() && (group_or_cluster || written.path.is_some()),
        ),
    ];
    for (name, useless) in elsewhere {
        if useless {
            let address = match written {
                Written {
                    sentinels: Some(_), ..
                } => "sentinels",
                Written {
                    cluster: Some(_), ..
                } => "cluster",
                _ => "path",
            };
            warnings.push(format!(
                "{name} is not used, because {address} says where to connect"
            ));
        }
    }
    let for_sentinels = [
        ("name", written.group.is_some()),
        ("sentinelUsername", written.sentinel_username.is_some()),
        ("sentinelPassword", written.sentinel_password.is_some()),
        (
            "sentinelTLS",
            matches!(
                written.sentinel_tls,
                Some(WrittenTls::On | WrittenTls::With(_))
            ),
        ),
    ];
    for (name, given) in for_sentinels {
        if given && written.sentinels.is_none() {
            warnings.push(format!(
                "{name} is not used, because no sentinels are given"
            ));
        }
    }
}

fn plain(username: &Secret) -> String {
    username.expose().to_owned()
}
