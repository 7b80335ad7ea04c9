//! Where the log goes, and what the proxy says: neither decides over calls, or over the end.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{
    stuck::{StalledReader, dead_reader, full_disk},
    support::{Proxy, Service, get, read, request, send},
};

/// How long a proxy may take to end on which nothing runs: it gives clients a second to hear of it, and each output one more.
const END_MAX: Duration = Duration::from_secs(10);
const DROPPED: &str = "pushback_log_lines_dropped_total";

/// Its exit code, if it ends in time.
fn end(proxy: Proxy) -> i32 {
    let process = proxy.process().to_string();
    let (tell, told) = mpsc::channel();
    let ending = thread::spawn(move || tell.send(proxy.end().0));
    let code = told.recv_timeout(END_MAX);
    if code.is_err() {
        let _ = Command::new("kill").args(["-KILL", &process]).status();
        let _ = ending.join();
    }
    code.expect("it ends in time")
}

#[test]
fn a_log_that_cannot_be_written_keeps_no_call_from_its_answer_and_is_counted() {
    let service = Service::start();
    let stalled = StalledReader::start();
    let cases = [("full", full_disk()), ("dead", dead_reader()), ("stalled", stalled.output())];
    for (name, stderr) in cases {
        let proxy = Proxy::start_as(&service.url(), &["--limit", "100", "--access-log"], |command| {
            command.stderr(stderr);
        });
        // Together they are more than waits for a reader.
        let asked = request(&proxy.address, &format!("/?{}", "a".repeat(60_000)));
        let mut client = send(&proxy.address, &asked);
        for _ in 0..100 {
            assert_eq!(read(&mut client).status, 200, "{name}");
            client.write_all(asked.as_bytes()).unwrap();
        }
        while proxy.metric(DROPPED) < 1.0 {}
        assert_eq!(get(&proxy.admin, "/healthz").status, 200, "{name}");
        drop(client);
        proxy.signal("-TERM");
        assert_eq!(end(proxy), 0, "{name}");
    }
}

/// A port that is free, as far as one can know.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_proxy_that_nobody_hears_serves_and_ends_when_it_is_told_to() {
    let service = Service::start();
    for is_stalled in [true, false] {
        let stalled = StalledReader::start();
        let (out, err) =
            if is_stalled { (stalled.output(), stalled.output()) } else { (full_disk(), full_disk()) };
        let address = format!("127.0.0.1:{}", free_port());
        let to = service.url();
        let arguments = ["proxy", "--to", &to, "--listen", &address, "--admin", "off", "--access-log"];
        let child = Command::new(env!("CARGO_BIN_EXE_pushback"))
            .args(arguments)
            .stdout(out)
            .stderr(err)
            .spawn()
            .expect("the program starts");
        let proxy = Proxy::unheard(child, address);
        assert_eq!(proxy.get("/").status, 200);
        proxy.signal("-TERM");
        assert_eq!(end(proxy), 0, "stalled: {is_stalled}");
    }
}

#[test]
fn what_it_says_when_it_is_called_wrongly_waits_for_no_reader() {
    let stalled = StalledReader::start();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pushback"))
        .args(["proxy", "--to", "nonsense"])
        .stderr(stalled.output())
        .spawn()
        .expect("the program starts");
    let process = child.id().to_string();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(child.wait().unwrap().code()));
    let code = told.recv_timeout(END_MAX);
    if code.is_err() {
        let _ = Command::new("kill").args(["-KILL", &process]).status();
    }
    assert_eq!(code.expect("it ends in time"), Some(2));
}

const COLOUR: &str = "\u{1b}[";

#[test]
fn a_log_that_goes_to_no_terminal_has_no_colours() {
    let mut proxy = Proxy::start_as("http://127.0.0.1:1", &["--drain", "0s"], |command| {
        command.stderr(Stdio::piped()).env_remove("NO_COLOR");
    });
    let mut log = proxy.log();
    proxy.signal("-TERM");
    assert_eq!(proxy.end().0, 0);
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    assert!(said.contains("INFO") && !said.contains(COLOUR), "{said:?}");
}

/// Of its own, by util-linux's `script`.
#[test]
fn on_a_terminal_the_log_has_colours_unless_nobody_wants_them() {
    for (no_color, is_coloured) in [("", true), ("1", false)] {
        // The shell hears Ctrl-C as well, and says what it ended with.
        let proxy = format!(
            "trap : INT; {} proxy --to http://127.0.0.1:1 --listen 127.0.0.1:0 --admin off --drain 0s; echo ended with $?.",
            env!("CARGO_BIN_EXE_pushback")
        );
        let mut terminal = Command::new("script")
            .args(["--quiet", "--command", &proxy, "/dev/null"])
            .env("NO_COLOR", no_color)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("every Debian has script");
        let (mut out, mut keys) = (terminal.stdout.take().unwrap(), terminal.stdin.take().unwrap());
        let (mut said, mut part) = (String::new(), [0; 4096]);
        while !(said.contains("INFO") && said.contains(" worker")) {
            let length = out.read(&mut part).unwrap();
            assert_ne!(length, 0, "it ended: {said}");
            said.push_str(&String::from_utf8_lossy(&part[..length]));
        }
        const CTRL_C: &[u8] = b"\x03";
        keys.write_all(CTRL_C).unwrap();
        out.read_to_string(&mut said).unwrap();
        let script = terminal.wait().unwrap();
        assert!(said.contains("ended with 0."), "{said} ({script})");
        assert_eq!(said.contains(COLOUR), is_coloured, "{said:?}");
    }
}

#[test]
fn clients_that_reset_their_streams_rapidly_do_not_write_in_the_log() {
    let mut proxy = Proxy::start_as("http://127.0.0.1:1", &["--drain", "0s"], |command| {
        command.stderr(Stdio::piped());
    });
    let mut log = proxy.log();
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let (headers, reset, settings) = (1, 3, 4);
    let (end_of_stream_and_headers, cancel) = (5, 8_u32.to_be_bytes());
    // GET http://a/
    let fields = [0x82, 0x86, 0x84, 0x41, 1, b'a'];
    let rapid = (0..100).map(|number| 2 * number + 1).map(|stream| {
        [frame(headers, end_of_stream_and_headers, stream, &fields), frame(reset, 0, stream, &cancel)]
            .concat()
    });
    let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(settings, 0, 0, &[])].concat();
    for _ in 0..3 {
        let mut client = send(&proxy.address, "");
        client.write_all(&[hello.clone(), rapid.clone().collect::<Vec<_>>().concat()].concat()).unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        const ENHANCE_YOUR_CALM: [u8; 4] = 11_u32.to_be_bytes();
        assert!(
            answer.windows(4).any(|part| part == ENHANCE_YOUR_CALM),
            "it is cut off for that: {answer:?}"
        );
    }
    proxy.signal("-TERM");
    assert_eq!(proxy.end().0, 0);
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    assert!(!said.contains("h2::") && !said.contains("reset"), "{said}");
}
