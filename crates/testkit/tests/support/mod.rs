//! What a stranger sees of a server: lines of text over any stream.

#[allow(dead_code, reason = "not every test binary speaks TLS")]
pub(crate) mod tls;

use std::time::Duration;

use node_red_cluster_testkit::{Error, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Long enough for every condition that comes true.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// Long against an answer on this machine (well under 1 ms), short against patience.
pub(crate) const SILENCE: Duration = Duration::from_millis(150);

/// Sends a command as one line, as a person with telnet would.
pub(crate) async fn say(
    stream: &mut (impl AsyncWrite + Unpin),
    command: &str,
) -> std::io::Result<()> {
    stream
        .write_all(format!("{command}\r\n").as_bytes())
        .await?;
    stream.flush().await
}

/// Reads one line without its end.
pub(crate) async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Sends a command and reads the first line of its answer.
pub(crate) async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    command: &str,
) -> std::io::Result<String> {
    say(stream, command).await?;
    timeout(SOON, hear(stream)).await?
}

/// Whether nothing at all comes, neither a byte nor an end.
#[allow(dead_code, reason = "not every test binary listens for silence")]
pub(crate) async fn is_silent(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    timeout(SILENCE, stream.read_u8()).await.is_err()
}

/// The text of an answer.
#[allow(dead_code, reason = "not every test binary reads values")]
pub(crate) fn text(answer: Result<Value, Error>) -> Option<String> {
    answer.expect("an answer").text().map(str::to_owned)
}
