//! The link emulator, with real namespaces, devices and sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serverledge_testing::links::{Condition, Counts, Links, Site};
use tokio::time::Instant;

/// Longest wait for what must come; generous, since tests share their machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Tries to be in a namespace before another test sweeps it.
const ENTRIES_MAX: usize = 20;

fn udp(site: &Site) -> Result<UdpSocket> {
    let socket = site.inside(|| UdpSocket::bind((site.address(), 0)))??;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn listen(site: &Site) -> Result<(TcpListener, SocketAddr)> {
    let listener = site.inside(|| TcpListener::bind((site.address(), 0)))??;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Waits until no packet is on its way in one direction; what has happened by then.
fn settled(links: &Links, from: &str, to: &str, sent: u64) -> Result<Counts> {
    let begun = Instant::now();
    loop {
        let counts = links.counts(from, to);
        if counts.sent >= sent && counts.waiting == 0 {
            return Ok(counts);
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{sent} packets do not come: {counts:?}"
        );
        std::thread::yield_now();
    }
}

/// Sends so many datagrams in bursts that fit every buffer; how many of them were received.
fn send_datagrams(
    links: &Links,
    from: (&str, &UdpSocket),
    to: (&str, &UdpSocket),
    bursts: u64,
) -> Result<u64> {
    const BURST: u64 = 50;
    let address = to.1.local_addr()?;
    let before = links.counts(from.0, to.0);
    let mut received = 0;
    for burst in 1..=bursts {
        for _ in 0..BURST {
            from.1.send_to(&[7; 100], address)?;
        }
        let counts = settled(links, from.0, to.0, before.sent + burst * BURST)?;
        while received < counts.carried - before.carried {
            to.1.recv(&mut [0; 200])
                .context("a datagram that was carried")?;
            received += 1;
        }
    }
    Ok(received)
}

#[test]
fn a_round_trip_takes_twice_the_delay() -> Result<()> {
    const ROUNDS: usize = 20;
    let links = Links::new(&["a", "b"])?;
    let round_trip = Duration::from_millis(200);
    links.set("a", "b", Condition::round_trip(round_trip));
    let client = udp(links.site("a"))?;
    let server = udp(links.site("b"))?;
    client.connect(server.local_addr()?)?;
    server.connect(client.local_addr()?)?;
    let mut close = 0;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        client.send(b"ping")?;
        server.recv(&mut [0; 4])?;
        server.send(b"pong")?;
        client.recv(&mut [0; 4])?;
        let taken = begun.elapsed();
        assert!(taken >= round_trip, "{taken:?}");
        close += usize::from(taken < round_trip + round_trip / 2);
    }
    // The machine may be busy now and then.
    assert!(
        close > ROUNDS / 2,
        "{close} of {ROUNDS} round trips were close to {round_trip:?}"
    );
    let counts = links.counts("a", "b");
    assert_eq!(
        (counts.sent, counts.carried),
        (ROUNDS as u64, ROUNDS as u64)
    );
    Ok(())
}

#[test]
fn connections_are_made_through_the_delay() -> Result<()> {
    let links = Links::new(&["a", "b"])?;
    links.set("a", "b", Condition::round_trip(Duration::from_millis(60)));
    let (listener, address) = listen(links.site("b"))?;
    let begun = Instant::now();
    let mut client = links.site("a").connect(address, PATIENCE)?;
    let (mut server, from) = listener.accept()?;
    assert_eq!(from.ip(), links.site("a").address());
    client.write_all(b"?")?;
    server.read_exact(&mut [0])?;
    server.write_all(b"!")?;
    client.read_exact(&mut [0])?;
    assert!(
        begun.elapsed() >= Duration::from_millis(120),
        "two round trips: {:?}",
        begun.elapsed()
    );
    Ok(())
}

/// The packets that the emulator calls lost are lost, no others are, and they are as many as chance allows: six
/// standard deviations.
#[test]
fn as_much_is_lost_as_was_said() -> Result<()> {
    let links = Links::new(&["a", "b"])?;
    links.set("a", "b", Condition::PERFECT.with_loss(0.1));
    let client = udp(links.site("a"))?;
    let server = udp(links.site("b"))?;
    let received = send_datagrams(&links, ("a", &client), ("b", &server), 100)?;
    let counts = links.counts("a", "b");
    assert_eq!(
        (counts.sent, counts.carried, counts.lost),
        (5_000, received, 5_000 - received),
        "{counts:?}"
    );
    let deviation = (5_000.0_f64 * 0.1 * 0.9).sqrt();
    let lost = f64::from(u32::try_from(counts.lost)?);
    assert!((lost - 500.0).abs() < 6.0 * deviation, "{lost}");
    Ok(())
}

/// Thousands of packets at once come all; by how much they are late is measured below.
#[test]
fn a_stream_of_packets_is_carried() -> Result<()> {
    let links = Links::new(&["a", "b"])?;
    let condition = Condition {
        jitter: Duration::from_millis(2),
        ..Condition::round_trip(Duration::from_millis(20))
    };
    links.set("a", "b", condition);
    let client = udp(links.site("a"))?;
    let server = udp(links.site("b"))?;
    let received = send_datagrams(&links, ("a", &client), ("b", &server), 60)?;
    let counts = links.counts("a", "b");
    assert_eq!((counts.carried, received), (3_000, 3_000), "{counts:?}");
    Ok(())
}

#[test]
fn a_cut_lets_nothing_pass() -> Result<()> {
    let links = Links::new(&["a", "b", "c"])?;
    let sockets = ["a", "b", "c"].map(|name| udp(links.site(name)).map(|socket| (name, socket)));
    let [a, b, c] = sockets;
    let a = a?;
    let b = b?;
    let c = c?;
    let send = |from: &(&str, UdpSocket), to: &(&str, UdpSocket), bursts| {
        send_datagrams(&links, (from.0, &from.1), (to.0, &to.1), bursts)
    };
    links.set_one_way("a", "b", Condition::CUT);
    assert_eq!(
        (send(&a, &b, 4)?, send(&b, &a, 4)?, send(&a, &c, 4)?),
        (0, 200, 200),
        "one way only"
    );
    links.isolate("c");
    for (from, to) in [(&a, &c), (&c, &a), (&b, &c), (&c, &b)] {
        assert_eq!(send(from, to, 4)?, 0, "{} to {}", from.0, to.0);
    }
    links.heal();
    for (from, to) in [(&a, &b), (&a, &c), (&c, &b)] {
        assert_eq!(send(from, to, 4)?, 200, "{} to {}", from.0, to.0);
    }
    assert_eq!(links.counts("a", "b").cut, 200);
    Ok(())
}

/// A packet that is on its way when the cut comes does not arrive either.
#[test]
fn a_cut_takes_what_is_on_its_way() -> Result<()> {
    let links = Links::new(&["a", "b"])?;
    links.set("a", "b", Condition::round_trip(Duration::from_secs(6)));
    let client = udp(links.site("a"))?;
    let server = udp(links.site("b"))?;
    client.send_to(b"lost", server.local_addr()?)?;
    while links.counts("a", "b").waiting == 0 {
        std::thread::yield_now();
    }
    links.set("a", "b", Condition::CUT);
    let counts = settled(&links, "a", "b", 1)?;
    assert_eq!((counts.carried, counts.cut), (0, 1));
    Ok(())
}

#[test]
fn tcp_carries_every_byte_through_loss() -> Result<()> {
    let links = Links::new(&["a", "b"])?;
    let condition = Condition {
        jitter: Duration::from_millis(1),
        ..Condition::round_trip(Duration::from_millis(4))
    };
    links.set("a", "b", condition.with_loss(0.1));
    let (listener, address) = listen(links.site("b"))?;
    let sent: Vec<u8> = (0_u32..1 << 18)
        .flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect();
    let received = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let (mut stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut received = Vec::new();
            stream.read_to_end(&mut received).map(|_| received)
        });
        let mut stream = links.site("a").connect(address, PATIENCE)?;
        stream.write_all(&sent)?;
        drop(stream);
        anyhow::Ok(receiver.join().expect("the receiver does not panic")?)
    })?;
    assert!(
        received == sent,
        "{} of {} bytes, or other ones",
        received.len(),
        sent.len()
    );
    let counts = links.counts("a", "b");
    assert!(counts.lost > 20 && counts.overflowed == 0, "{counts:?}");
    Ok(())
}

/// A connection survives a cut that ends.
#[test]
fn tcp_waits_for_the_end_of_a_cut() -> Result<()> {
    let links = Links::new(&["a", "b"])?;
    let (listener, address) = listen(links.site("b"))?;
    let mut client = links.site("a").connect(address, PATIENCE)?;
    let (mut server, _) = listener.accept()?;
    links.set("a", "b", Condition::CUT);
    client.write_all(b"hello")?;
    // The first packet, and at least one more try.
    let begun = Instant::now();
    while links.counts("a", "b").cut < 2 {
        ensure!(begun.elapsed() < PATIENCE, "TCP does not try again");
        std::thread::yield_now();
    }
    links.heal();
    let mut received = [0; 5];
    server.set_read_timeout(Some(PATIENCE))?;
    server.read_exact(&mut received)?;
    assert_eq!(&received, b"hello");
    Ok(())
}

/// Programs inside see their own network only, with the same TCP everywhere, and reach each other.
#[test]
fn programs_run_inside() -> Result<()> {
    let links = Links::new(&["a", "b"])?;
    let output = links
        .site("a")
        .command("sh")
        .args(["-c", "ip -o -4 address; ls /sys/class/net"])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    assert!(
        text.contains("inet 10.213.0.1/24") && text.contains("inet 127.0.0.1/8"),
        "{text}"
    );
    assert_eq!(text.matches("inet").count(), 2, "{text}");
    let read = links
        .site("a")
        .command("cat")
        .arg("/proc/sys/net/ipv4/tcp_congestion_control")
        .output()?;
    assert_eq!(read.stdout, b"reno\n");
    // The machine itself has no way in.
    let (_listener, address) = listen(links.site("b"))?;
    assert!(TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err());
    links.site("a").connect(address, PATIENCE)?;
    Ok(())
}

fn namespaces() -> Result<Vec<String>> {
    let output = Command::new("ip").args(["netns", "list"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect())
}

#[test]
fn nothing_is_left() -> Result<()> {
    let mine = |name: &str| {
        Ok::<_, anyhow::Error>(
            namespaces()?
                .iter()
                .filter(|one| one.ends_with(name))
                .count(),
        )
    };
    let links = Links::new(&["left_one", "left_two"])?;
    assert_eq!((mine("-left_one")?, mine("-left_two")?), (1, 1));
    drop(links);
    assert_eq!((mine("-left_one")?, mine("-left_two")?), (0, 0));
    // Also of a beginning that failed.
    assert!(Links::new(&["left_three", "no/name"]).is_err());
    assert_eq!(mine("-left_three")?, 0);
    Ok(())
}

/// Makes a namespace, and starts a program in it that stays; `None` if another test, which sweeps as well, was faster.
fn enter(name: &str) -> Result<Option<Child>> {
    // It may be there from the try before.
    Command::new("ip").args(["netns", "add", name]).status()?;
    let mut inside = Command::new("nsenter");
    inside.arg(format!("--net=/run/netns/{name}")).args([
        "sh",
        "-c",
        "echo inside; exec sleep 600",
    ]);
    let mut inside = inside.stdout(Stdio::piped()).spawn()?;
    let mut stdout = inside.stdout.take().context("stdout is piped")?;
    if stdout.read_exact(&mut [0; 7]).is_ok() {
        return Ok(Some(inside));
    }
    inside.wait()?;
    Ok(None)
}

#[test]
fn leftovers_of_crashed_runs_are_swept() -> Result<()> {
    let mut gone = Command::new("true").spawn()?;
    gone.wait()?;
    let name = format!("slnk-{}-1-0-crashed", gone.id());
    let mut tries = (0..ENTRIES_MAX).map(|_| enter(&name));
    let mut inside = tries
        .find_map(Result::transpose)
        .context("other tests always sweep the namespace first")??;
    drop(Links::new(&["a"])?);
    assert_eq!(inside.wait()?.signal(), Some(9));
    assert!(!namespaces()?.contains(&name));
    Ok(())
}

/// Measures by how much packets are late, at 2,000 and 4,000 a second. Each carries the time at which it was sent.
#[test]
#[ignore = "a measurement; run it alone: cargo test -p serverledge-testing --features cluster-tests -- --ignored --nocapture"]
#[expect(clippy::print_stderr, reason = "a measurement is for reading")]
fn measure_lateness() -> Result<()> {
    const PACKETS: u32 = 10_000;
    let links = Links::new(&["a", "b"])?;
    let delay = Duration::from_millis(25);
    links.set("a", "b", Condition::round_trip(2 * delay));
    let client = udp(links.site("a"))?;
    let server = udp(links.site("b"))?;
    client.connect(server.local_addr()?)?;
    for rate in [2_000, 4_000] {
        let epoch = Instant::now();
        let elapsed = || u64::try_from(epoch.elapsed().as_nanos()).expect("less than centuries");
        let mut late = std::thread::scope(|scope| {
            let receiver = scope.spawn(|| {
                let mut sent = [0; 8];
                let mut late = Vec::new();
                while late.len() < PACKETS as usize && server.recv(&mut sent).is_ok() {
                    late.push(
                        Duration::from_nanos(elapsed() - u64::from_le_bytes(sent))
                            .saturating_sub(delay),
                    );
                }
                late
            });
            for packet in 0..PACKETS {
                while epoch.elapsed() < Duration::from_secs(1) * packet / rate {
                    std::thread::yield_now();
                }
                client.send(&elapsed().to_le_bytes())?;
            }
            anyhow::Ok(receiver.join().expect("the receiver does not panic"))
        })?;
        late.sort_unstable();
        let [median, most, nearly_all] =
            [500, 990, 999].map(|share| late[late.len() * share / 1_000]);
        eprintln!(
            "{rate} packets/s, {delay:?}: later by {median:?} (p50), {most:?} (p99), {nearly_all:?} (p99.9)"
        );
    }
    let counts = links.counts("a", "b");
    eprintln!(
        "the emulator itself was more than a millisecond late with {} of {}",
        counts.late, counts.carried
    );
    assert_eq!(counts.carried, u64::from(2 * PACKETS), "{counts:?}");
    Ok(())
}
