//! Reads hosts and ports.

use std::net::Ipv6Addr;

use serde_json::Value;

use super::source::Source;
use super::value::{Given, shown_text};
use crate::config::options::ADDRESS_OPTIONS;
use crate::config::{ConfigError, HostPort};

/// Port of a server where none is given.
pub(super) const SERVER_PORT: u16 = 6379;
/// Port of a sentinel where none is given.
pub(super) const SENTINEL_PORT: u16 = 26379;

/// The option `host`, without the brackets of an IPv6 address.
pub(super) fn read_host(source: &Source<'_>) -> Result<Option<String>, ConfigError> {
    let Some(text) = source.text("host")? else {
        return Ok(None);
    };
    match checked_host(text.trim()) {
        Ok(host) => Ok(Some(host)),
        Err(remedy) => Err(source.refuse("host", remedy)),
    }
}

/// The option `port`.
pub(super) fn read_port(source: &Source<'_>) -> Result<Option<u16>, ConfigError> {
    let number = source.whole_number("port", 1..=i64::from(u16::MAX), "")?;
    Ok(number.and_then(|number| u16::try_from(number).ok()))
}

/// The options `sentinels` and `cluster`: a list of `{host, port}` or texts `host:port`. Not empty.
pub(super) fn read_addresses(
    source: &Source<'_>,
    name: &str,
    default_port: u16,
    warnings: &mut Vec<String>,
) -> Result<Option<Vec<HostPort>>, ConfigError> {
    let list = match source.given(name) {
        Given::Nothing => return Ok(None),
        Given::List(list) if !list.is_empty() => list,
        Given::List(_) => return Err(source.refuse(name, "put at least one {host, port} into it")),
        _ => return Err(source.refuse(name, "give a list of {host, port}")),
    };
    let read = |(position, value)| {
        let place = format!("[{position}]");
        read_address(source, name, &place, value, default_port, warnings)
    };
    list.iter()
        .enumerate()
        .map(read)
        .collect::<Result<_, _>>()
        .map(Some)
}

fn read_address(
    source: &Source<'_>,
    name: &str,
    place: &str,
    value: &Value,
    default_port: u16,
    warnings: &mut Vec<String>,
) -> Result<HostPort, ConfigError> {
    let element = format!("{name}{place}");
    match Given::of(value) {
        Given::Object(values) => {
            let options = source.nested(name, place, values);
            options.review(ADDRESS_OPTIONS, warnings);
            let host = read_host(&options)?
                .ok_or_else(|| options.refuse("host", "give a host name or address"))?;
            Ok(HostPort {
                host,
                port: read_port(&options)?.unwrap_or(default_port),
            })
        }
        Given::Text(text) => {
            let refused = |remedy| source.refuse_showing(&element, shown_text(text), remedy);
            let (host, port) = split_port(text.trim()).map_err(refused)?;
            let host = checked_host(host).map_err(refused)?;
            let port = match port {
                None => default_port,
                Some(port) => port
                    .parse()
                    .ok()
                    .filter(|port| *port > 0)
                    .ok_or_else(|| refused("give a port from 1 to 65535 after the colon"))?,
            };
            Ok(HostPort { host, port })
        }
        other => Err(source.refuse_showing(&element, other.shown(), "give {host, port}")),
    }
}

/// Splits `host`, `host:port`, `[address]`, `[address]:port` or an IPv6 address without brackets
/// and port. The error is a remedy.
pub(super) fn split_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    const REMEDY: &str = "give host:port, and an IPv6 address in brackets";
    if text.starts_with('[') {
        let end = text.find(']').ok_or(REMEDY)? + 1;
        let (host, rest) = text.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(REMEDY),
        };
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((host, port)) if !port.contains(':') => Ok((host, Some(port))),
        Some(_) if text.parse::<Ipv6Addr>().is_ok() => Ok((text, None)),
        Some(_) => Err(REMEDY),
    }
}

/// Checks the form of a host name or address and takes off the brackets of IPv6. The error is a
/// remedy.
fn checked_host(text: &str) -> Result<String, &'static str> {
    if text.contains("://") {
        return Err("give a host name or address only, and a URL in the option url");
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    if bare.contains(':') {
        // A zone (fe80::1%eth0) belongs to the address but not to its standard form.
        let address = bare.split('%').next().unwrap_or_default();
        return match address.parse::<Ipv6Addr>() {
            Ok(_) => Ok(bare.to_owned()),
            Err(_) => Err("give the host name or address here, and the port in the option port"),
        };
    }
    let odd = |character: char| {
        character.is_whitespace() || character.is_control() || "/\\@?#[],\"'".contains(character)
    };
    if bare.is_empty() || bare.contains(odd) {
        return Err("give one host name or address, such as valkey.example.org or 10.0.0.5");
    }
    Ok(bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_checked() {
        let good = [
            ("localhost", "localhost"),
            ("valkey-0.valkey.default.svc", "valkey-0.valkey.default.svc"),
            ("10.0.0.5", "10.0.0.5"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("my_service", "my_service"),
        ];
        for (text, host) in good {
            assert_eq!(checked_host(text).as_deref(), Ok(host), "{text}");
        }
        let bad = [
            "",
            "a b",
            "a/b",
            "user@host",
            "redis://host",
            "host:6379",
            "[host",
            "a,b",
            "[]",
        ];
        for text in bad {
            assert!(checked_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports_are_split_off() {
        let good = [
            ("host", ("host", None)),
            ("host:1", ("host", Some("1"))),
            ("host:", ("host", Some(""))),
            ("[::1]", ("[::1]", None)),
            ("[::1]:2", ("[::1]", Some("2"))),
            ("::1", ("::1", None)),
        ];
        for (text, expected) in good {
            assert_eq!(split_port(text), Ok(expected), "{text}");
        }
        for text in ["[::1", "[::1]x", "a:b:c"] {
            assert!(split_port(text).is_err(), "{text}");
        }
    }
}
