//! The server's configuration file. Pure: settings in, text out.

use std::path::Path;

use super::builder::{ClientCertificate, Part, Persistence, Settings};
use super::launch::{Files, Ports, TlsBy};
use super::{OWN_PASSWORD, OWN_USER};
use crate::certificates::Certificates;
use crate::ports::TO_BUS;
use crate::release::Release;

/// The configuration file of a server.
///
/// With [`TlsBy::Front`] the server itself knows nothing of TLS.
pub(super) fn render(
    settings: &Settings,
    ports: &Ports,
    files: &Files,
    tls: Option<(&Certificates, TlsBy)>,
    release: &Release,
) -> String {
    let mut lines = vec![
        "bind 127.0.0.1".to_owned(),
        format!("port {}", ports.plain),
        format!("unixsocket {}", quoted_path(&files.socket)),
        "unixsocketperm 700".to_owned(),
        format!("dir {}", quoted_path(&files.data)),
        format!(
            "user {OWN_USER} on >{OWN_PASSWORD} {}",
            release.rules("~* &* +@all")
        ),
    ];
    if let Some(password) = &settings.password {
        lines.push(format!("requirepass {}", quoted(password)));
    }
    for (name, rules) in &settings.users {
        lines.push(format!("user {name} {}", release.rules(rules)));
    }
    if settings.part != Part::Sentinel {
        lines.extend(data(settings));
    }
    if matches!(settings.part, Part::Watched | Part::Node) {
        // Any server may have to follow another one.
        lines.push(format!("masteruser {OWN_USER}"));
        lines.push(format!("masterauth {OWN_PASSWORD}"));
    }
    match settings.part {
        Part::Alone => {}
        Part::Watched => lines.push(format!("replica-announce-port {}", ports.for_clients())),
        Part::Sentinel => lines.push(format!("sentinel announce-port {}", ports.for_clients())),
        Part::Node => lines.extend(node(ports)),
    }
    if let (Some((certificates, TlsBy::Server)), Some(port)) = (tls, ports.tls) {
        // First of its kind: a server without TLS names this line in its log.
        lines.push(format!("tls-port {port}"));
        let server = &certificates.server;
        lines.push(format!(
            "tls-cert-file {}",
            quoted_path(&server.certificate.path)
        ));
        lines.push(format!("tls-key-file {}", quoted_path(&server.key.path)));
        lines.push(format!(
            "tls-ca-cert-file {}",
            quoted_path(&certificates.authority.path)
        ));
        let asked = match settings.tls {
            Some(ClientCertificate::Required) => "yes",
            _ => "no",
        };
        lines.push(format!("tls-auth-clients {asked}"));
    }
    lines.extend(settings.lines.iter().cloned());
    lines.join("\n") + "\n"
}

/// What only servers with data have.
fn data(settings: &Settings) -> Vec<String> {
    let mut lines = vec![
        // No snapshots behind the test's back.
        "save \"\"".to_owned(),
        // By default a primary waits five seconds for more replicas before it sends its data.
        "repl-diskless-sync-delay 0".to_owned(),
    ];
    if settings.persistence == Persistence::AppendOnly {
        // Written before each answer, so a killed process loses nothing; only synced later.
        lines.push("appendonly yes".to_owned());
        lines.push("appendfsync everysec".to_owned());
    }
    if let Some(primary) = settings.primary {
        lines.push(format!("replicaof {} {}", primary.ip(), primary.port()));
        lines.push(format!("masteruser {OWN_USER}"));
        lines.push(format!("masterauth {OWN_PASSWORD}"));
    }
    lines
}

/// What only nodes of a cluster have.
fn node(ports: &Ports) -> Vec<String> {
    vec![
        "cluster-enabled yes".to_owned(),
        // By its default a node without replicas would be given those of others.
        "cluster-migration-barrier 1000".to_owned(),
        format!("cluster-announce-port {}", ports.for_clients()),
        format!("cluster-announce-bus-port {}", ports.plain + TO_BUS),
    ]
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// A word as the configuration file wants it when it may have spaces or quotes.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(settings: &Settings, tls: Option<(&Certificates, TlsBy)>) -> String {
        let ports = Ports {
            plain: 7000,
            tls: Some(7001),
        };
        let files = Files::in_directory(Path::new("/t"));
        let release = "Redis server v=7.0.15".parse().expect("a release");
        render(settings, &ports, &files, tls, &release)
    }

    #[test]
    fn quotes_what_is_secret_and_odd() {
        let settings = Settings {
            password: Some(r#"a "b\"#.to_owned()),
            ..Settings::default()
        };
        let text = rendered(&settings, None);
        assert!(text.contains("requirepass \"a \\\"b\\\\\"\n"), "{text}");
    }

    #[test]
    fn extra_lines_come_last_so_that_they_win() {
        let settings = Settings {
            lines: vec!["appendonly no".to_owned()],
            persistence: Persistence::AppendOnly,
            ..Settings::default()
        };
        assert!(rendered(&settings, None).ends_with("\nappendonly no\n"));
    }

    #[test]
    fn a_front_keeps_tls_out_of_the_configuration() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let certificates = Certificates::generate(directory.path()).expect("certificates");
        let settings = Settings {
            tls: Some(ClientCertificate::Required),
            ..Settings::default()
        };
        let by_server = rendered(&settings, Some((&certificates, TlsBy::Server)));
        assert!(by_server.contains("\ntls-port 7001\n"), "{by_server}");
        assert!(
            by_server.contains("\ntls-auth-clients yes\n"),
            "{by_server}"
        );
        let by_front = rendered(&settings, Some((&certificates, TlsBy::Front)));
        assert!(!by_front.contains("tls-"), "{by_front}");
    }
}
