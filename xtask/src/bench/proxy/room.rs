//! Memory: idle connections, and bodies.

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

use super::{
    judge,
    peer::{Peer, Programs},
};

const CONNECTIONS: u32 = 10_000;
/// Of a body, in bytes.
const BODY: u64 = 1 << 30;
const MIB: f64 = 1024.0;

pub(super) fn run(programs: &Programs) -> Result<usize, String> {
    Ok(idle(programs)? + body(programs)?)
}

fn idle(programs: &Programs) -> Result<usize, String> {
    let backend = Peer::backend(programs)?;
    println!("Memory of each of {CONNECTIONS} idle keep-alive connections after one request\n");
    let mut ours = f64::NAN;
    for (name, peer) in [
        ("nginx", Peer::nginx(programs, &backend.address, 100)?),
        ("HAProxy", Peer::haproxy(programs, &backend.address, 100, "5s")?),
        ("Envoy", Peer::envoy(programs, &backend.address)?),
        ("pushback", Peer::ours(programs, &backend.address, &[])?),
    ] {
        ask(&peer.address)?; // what the first request allocates is no connection's
        let before = peer.memory("VmRSS")?;
        let open: Vec<_> = (0..CONNECTIONS).map(|_| ask(&peer.address)).collect::<Result<_, _>>()?;
        ours = (peer.memory("VmRSS")? - before) / f64::from(CONNECTIONS);
        println!("{name:<12}{ours:>8.1} KiB");
        drop(open);
    }
    println!();
    Ok(judge("an idle connection", ours, 28.0, " KiB"))
}

/// A connection on which a request was answered.
fn ask(address: &str) -> Result<TcpStream, String> {
    let ask = || {
        let mut connection = TcpStream::connect(address)?;
        connection.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
        let mut answer = Vec::new();
        let mut part = [0; 512];
        while !answer.ends_with(b"done") {
            let length = connection.read(&mut part)?;
            if length == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&part[..length]);
        }
        Ok(connection)
    };
    ask().map_err(|error: std::io::Error| format!("{address}: {error}"))
}

/// A body of a GiB up, to a service that reads it and sends it back.
fn body(programs: &Programs) -> Result<usize, String> {
    let echo = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let to = echo.local_addr().map_err(|error| error.to_string())?.to_string();
    std::thread::spawn(move || {
        for connection in echo.incoming().flatten() {
            // A client that leaves ends its connection and no more.
            let _ = send_back(connection);
        }
    });
    let proxy = Peer::ours(programs, &to, &["--limit", "10"])?;
    let before = proxy.memory("VmHWM")?;
    let file = tempfile(programs)?;
    let status = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--output", "/dev/null", "--upload-file"])
        .arg(&file)
        .arg(format!("http://{}/", proxy.address))
        .stdin(Stdio::null())
        .status();
    let _ = std::fs::remove_file(&file);
    if !status.is_ok_and(|status| status.success()) {
        return Err("curl could not send a GiB through the proxy".to_owned());
    }
    let grown = (proxy.memory("VmHWM")? - before) / MIB;
    Ok(judge("memory for a GiB up and down", grown, 16.0, " MiB"))
}

/// A file of that length without anything in it.
fn tempfile(programs: &Programs) -> Result<std::path::PathBuf, String> {
    let file = programs.pushback.with_file_name("bench-proxy-body");
    let make = || File::create(&file)?.set_len(BODY);
    make().map_err(|error: std::io::Error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

/// Reads a request, and answers it with its body while that comes.
fn send_back(mut connection: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\nConnection: close\r\n\r\n");
    connection.write_all(answer.as_bytes())?;
    let mut back = connection.try_clone()?;
    std::io::copy(&mut connection.take(BODY), &mut back)?;
    Ok(())
}
