//! What a test can do to a connection.

mod support;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use node_red_cluster_testkit::{Direction, Proxy, Server, eventually};
use support::{SOON, ask, hear, is_silent, say, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A server, a proxy before it and a connection through both.
async fn connected() -> (Server, Proxy, TcpStream) {
    let server = Server::start_default().await.expect("a server");
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let mut stream = TcpStream::connect(proxy.address()).await.expect("connect");
    assert_eq!(ask(&mut stream, "PING").await.expect("an answer"), "+PONG");
    (server, proxy, stream)
}

async fn count(server: &Server) -> Option<String> {
    text(server.command(&["GET", "count"]).await)
}

async fn assert_reset(stream: &mut TcpStream) {
    let error = stream.read_u8().await.expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn passes_on_and_counts() {
    let (server, proxy, mut stream) = connected().await;
    assert_eq!(proxy.connections(), 1);
    assert_eq!(proxy.bytes(Direction::ToServer), "PING\r\n".len() as u64);
    // The last byte is counted after it was written, so the reader may be quicker.
    let all = "PING\r\n+PONG\r\n".len() as u64;
    eventually("the count", SOON, async || {
        (proxy.bytes(Direction::Both) == all).then_some(())
    })
    .await
    .expect("all bytes");
    assert_eq!(
        server.url_through(&proxy),
        format!("redis://127.0.0.1:{}", proxy.port())
    );

    stream.shutdown().await.expect("say goodbye");
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .await
        .expect("an orderly end, no reset");
    assert!(rest.is_empty());
    eventually("the end", SOON, async || {
        (proxy.connections() == 0).then_some(())
    })
    .await
    .expect("no connection");
}

#[tokio::test]
async fn a_cut_resets_what_is_open_and_lets_new_ones_in() {
    let (_server, proxy, mut stream) = connected().await;
    proxy.cut().await;
    assert_eq!(proxy.connections(), 0);
    assert_reset(&mut stream).await;
    let mut stream = TcpStream::connect(proxy.address())
        .await
        .expect("connect again");
    assert_eq!(ask(&mut stream, "PING").await.expect("an answer"), "+PONG");
}

#[tokio::test]
async fn a_refusal_lasts_until_it_is_ended() {
    let (_server, proxy, mut stream) = connected().await;
    proxy.refuse().await;
    assert_reset(&mut stream).await;
    let error = TcpStream::connect(proxy.address())
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    for attempt in 0..2 {
        // Both accept() and heal() end it, on the same port.
        if attempt == 0 {
            proxy.accept().await.expect("accept");
        } else {
            proxy.heal().await.expect("heal");
        }
        let mut stream = TcpStream::connect(proxy.address()).await.expect("connect");
        assert_eq!(ask(&mut stream, "PING").await.expect("an answer"), "+PONG");
        proxy.refuse().await;
    }
}

#[tokio::test]
async fn a_blackhole_swallows_until_it_is_healed() {
    let (server, proxy, mut stream) = connected().await;
    proxy.blackhole(Direction::Both);
    say(&mut stream, "INCR count")
        .await
        .expect("the kernel takes it");
    assert!(is_silent(&mut stream).await);
    assert_eq!(count(&server).await, None);
    assert_eq!(proxy.connections(), 1, "nothing was reset");
    proxy.heal().await.expect("heal");
    assert_eq!(hear(&mut stream).await.expect("an answer"), ":1");
}

#[tokio::test]
async fn a_blackhole_may_swallow_requests_only() {
    let (server, proxy, mut stream) = connected().await;
    assert_eq!(
        ask(&mut stream, "SUBSCRIBE news").await.expect("SUBSCRIBE"),
        "*3"
    );
    proxy.blackhole(Direction::ToServer);
    say(&mut stream, "UNSUBSCRIBE news")
        .await
        .expect("the kernel takes it");
    let heard = server
        .command(&["PUBLISH", "news", "hello"])
        .await
        .expect("PUBLISH");
    assert_eq!(
        heard.integer(),
        Some(1),
        "the server knows nothing of the request"
    );
    while hear(&mut stream).await.expect("what the server sends") != "hello" {}
    assert!(is_silent(&mut stream).await);
}

#[tokio::test]
async fn a_blackhole_may_swallow_answers_only() {
    let (server, proxy, mut stream) = connected().await;
    proxy.blackhole(Direction::ToClient);
    say(&mut stream, "INCR count").await.expect("send");
    eventually("the server's count", SOON, || count(&server))
        .await
        .expect("it was counted");
    assert!(is_silent(&mut stream).await);
    proxy.heal().await.expect("heal");
    assert_eq!(hear(&mut stream).await.expect("an answer"), ":1");
}

#[tokio::test]
async fn a_blackhole_hides_the_end_of_either_side() {
    let (mut server, proxy, mut stream) = connected().await;
    proxy.blackhole(Direction::ToClient);
    server.kill().await.expect("kill");
    assert!(
        is_silent(&mut stream).await,
        "half open: the client cannot know"
    );
    assert!(stream.write_all(b"PING\r\n").await.is_ok());
    assert!(
        is_silent(&mut stream).await,
        "the answer to that is lost as well"
    );
    proxy.heal().await.expect("heal");
    assert!(stream.read_u8().await.is_err(), "now it knows");
}

#[tokio::test]
async fn a_blackhole_keeps_new_connections_from_the_server() {
    let (server, proxy, _stream) = connected().await;
    proxy.blackhole(Direction::ToClient);
    let received = |answer: &str| {
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("total_connections_received:"));
        line.and_then(|number| number.trim().parse::<u64>().ok())
            .expect("a number")
    };
    let info = async || text(server.command(&["INFO", "stats"]).await).expect("text");
    let before = received(&info().await);
    let mut late = TcpStream::connect(proxy.address())
        .await
        .expect("the kernel answers");
    assert!(is_silent(&mut late).await);
    assert_eq!(
        received(&info().await),
        before + 1,
        "only the question itself"
    );
    proxy.heal().await.expect("heal");
    assert_eq!(ask(&mut late, "PING").await.expect("an answer"), "+PONG");
}

#[tokio::test]
async fn a_delay_holds_each_way_and_not_the_throughput() {
    const DELAY: Duration = Duration::from_millis(40);
    let (server, proxy, mut stream) = connected().await;
    proxy.delay(DELAY);
    let started = Instant::now();
    assert_eq!(ask(&mut stream, "PING").await.expect("an answer"), "+PONG");
    assert!(started.elapsed() >= 2 * DELAY, "{:?}", started.elapsed());

    // 2 MiB are 128 parcels at least: one after the other they would take 5 seconds.
    let value = "x".repeat(2 << 20);
    server
        .command(&["SET", "large", &value])
        .await
        .expect("SET");
    let started = Instant::now();
    let length = ask(&mut stream, "GET large").await.expect("GET");
    assert_eq!(length, format!("${}", value.len()));
    let mut received = vec![0; value.len()];
    stream.read_exact(&mut received).await.expect("the value");
    assert!(received == value.as_bytes(), "in order and whole");
    assert!(started.elapsed() < 50 * DELAY, "{:?}", started.elapsed());

    proxy.heal().await.expect("heal");
    assert_eq!(hear(&mut stream).await.expect("the end"), "");
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        assert_eq!(ask(&mut stream, "PING").await.expect("an answer"), "+PONG");
        quickest = quickest.min(started.elapsed());
    }
    assert!(quickest < DELAY, "{quickest:?}");
}

#[tokio::test]
async fn a_server_that_is_down_shows_through() {
    let (mut server, proxy, mut stream) = connected().await;
    server.kill().await.expect("kill");
    assert!(stream.read_u8().await.is_err(), "the open connection ends");
    let mut late = TcpStream::connect(proxy.address()).await.expect("connect");
    assert_reset(&mut late).await;
    server.start().await.expect("start");
    let mut stream = TcpStream::connect(proxy.address()).await.expect("connect");
    assert_eq!(ask(&mut stream, "PING").await.expect("an answer"), "+PONG");
}

#[tokio::test]
async fn dropped_it_resets_and_closes() {
    let (_server, proxy, mut stream) = connected().await;
    let address = proxy.address();
    drop(proxy);
    assert_reset(&mut stream).await;
    eventually("the port to close", SOON, async || {
        TcpStream::connect(address).await.err()
    })
    .await
    .expect("closed");
}

#[tokio::test]
async fn jitter_delays_each_packet_by_another_time_and_keeps_their_order() {
    let (_server, proxy, mut stream) = connected().await;
    proxy.delay_between(Duration::from_millis(20), Duration::from_millis(60));
    let begin = Instant::now();
    for _ in 0..20 {
        say(&mut stream, "INCR count").await.expect("send");
    }
    for count in 1..=20 {
        assert_eq!(
            hear(&mut stream).await.expect("an answer"),
            format!(":{count}")
        );
    }
    assert!(begin.elapsed() >= Duration::from_millis(40));
}

// Other systems give this machine one address of loopback only.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn listens_where_it_is_told_and_again_after_a_refusal() {
    let (server, first, _stream) = connected().await;
    let address = (std::net::Ipv4Addr::new(127, 0, 0, 2), first.port()).into();
    let proxy = Proxy::start_at(address, server.address()).await;
    let proxy = proxy.expect("the same port at another address");
    assert_eq!(proxy.address(), address);
    proxy.refuse().await;
    let refused = TcpStream::connect(address).await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.accept().await.expect("its port");
    let mut stream = TcpStream::connect(address).await.expect("connect");
    assert_eq!(ask(&mut stream, "PING").await.expect("an answer"), "+PONG");
}
