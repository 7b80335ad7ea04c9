//! CPU of a proxied and of a refused request.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
};

use super::{
    judge,
    peer::{Peer, Programs},
};
use crate::bench::{
    median,
    wrk::{self, Counted},
};

const SECONDS: u32 = 3;

/// A proxy under wrk, and what its requests cost, in microseconds.
struct Row {
    name: &'static str,
    peer: Peer,
    path: &'static str,
    is_refusing: bool,
    costs: Vec<f64>,
    /// Of all requests, the part that was refused.
    refused: Vec<f64>,
}

pub(super) fn run(programs: &Programs, rounds: u32) -> Result<usize, String> {
    let backend = Peer::backend(programs)?;
    let to = backend.address.as_str();
    // It takes connections and never answers, so that whoever asks first holds the only place.
    let silent = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let silent_at = silent.local_addr().map_err(|error| error.to_string())?.to_string();
    let row = |name, peer, path, is_refusing| Row {
        name,
        peer,
        path,
        is_refusing,
        costs: Vec::new(),
        refused: Vec::new(),
    };
    let mut rows = [
        row("nginx", Peer::nginx(programs, to, 100)?, "/", false),
        row("HAProxy", Peer::haproxy(programs, to, 100, "5s")?, "/", false),
        row("Envoy, adaptive concurrency", Peer::envoy(programs, to)?, "/", false),
        row("pushback", Peer::ours(programs, to, &[])?, "/", false),
        row("pushback --limit 100", Peer::ours(programs, to, &["--limit", "100"])?, "/", false),
        row("nginx, refusing", Peer::nginx(programs, &silent_at, 1)?, "/", true),
        row("HAProxy, refusing by a rule", Peer::haproxy(programs, to, 1, "5s")?, "/refused", true),
        row(
            "pushback, refusing",
            Peer::ours(programs, &silent_at, &["--limit", "1", "--timeout", "1h"])?,
            "/",
            true,
        ),
    ];
    let holding: Vec<_> = rows.iter().filter(|row| row.is_refusing).map(|row| hold(&row.peer)).collect();
    println!(
        "CPU of the proxy for each request under wrk -t1 -c32, microseconds, medians of {rounds} interleaved rounds of \
         {SECONDS} s\n"
    );
    for round in 1..=rounds {
        for row in &mut rows {
            row.measure()?;
        }
        eprintln!("round {round} of {rounds}");
    }
    drop(holding);
    println!("{:<32}{:>8}{:>9}{:>9}{:>10}", "", "median", "least", "most", "refused");
    for row in &rows {
        let edge = |pick: fn(f64, f64) -> f64| row.costs.iter().copied().reduce(pick).unwrap_or(f64::NAN);
        println!(
            "{:<32}{:>8.2}{:>9.2}{:>9.2}{:>8.1} %",
            row.name,
            median(row.costs.clone()),
            edge(f64::min),
            edge(f64::max),
            100.0 * median(row.refused.clone())
        );
    }
    println!();
    // Of each round, since the machine is not the same in all of them.
    let ratio = |one: usize, other: usize| {
        median(rows[one].costs.iter().zip(&rows[other].costs).map(|(one, other)| one / other).collect())
    };
    let missed = judge("a proxied request against nginx", ratio(3, 0), 1.25, "")
        + judge("a proxied request against Envoy's adaptive concurrency", ratio(3, 2), 0.4, "")
        + judge("a refused request against nginx refusing", ratio(7, 5), 1.35, "");
    println!();
    Ok(missed)
}

/// Takes the one place of a proxy that is to refuse.
fn hold(peer: &Peer) -> Option<TcpStream> {
    let mut connection = TcpStream::connect(&peer.address).ok()?;
    connection.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
    Some(connection)
}

impl Row {
    fn measure(&mut self) -> Result<(), String> {
        let before = self.peer.cpu()?;
        let counted = wrk::run(32, SECONDS, &format!("http://{}{}", self.peer.address, self.path));
        let Counted { requests, refused } = counted.map_err(|error| format!("{}: {error}", self.name))?;
        let cpu = self.peer.cpu()? - before;
        self.refused.push(refused / requests);
        if self.is_refusing && refused < 0.99 * requests {
            return Err(format!("{}: {refused} of {requests} requests were refused", self.name));
        }
        self.costs.push(cpu * 1e6 / requests);
        Ok(())
    }
}
