//! What the live page costs: CPU of a proxy with many gauges while people look, and while nobody does.

use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    judge,
    peer::{LOAD_CORE, Peer, Programs},
};
use crate::bench::median;

const GAUGES: u32 = 100;
const VIEWERS: usize = 10;
/// Between two requests, which go to all gauges in turn.
const PAUSE: Duration = Duration::from_millis(5);
/// How long each is measured.
const TIME: Duration = Duration::from_secs(10);

pub(super) fn run(programs: &Programs, rounds: u32) -> Result<usize, String> {
    println!(
        "CPU of a proxy with {GAUGES} gauges and some {} requests a second, half of them refused, percent of a core: medians of \
         {rounds} interleaved rounds of {} s\n",
        1000 / PAUSE.as_millis(),
        TIME.as_secs()
    );
    let backend = Peer::backend(programs)?;
    let mut routes = String::new();
    for number in 1..=GAUGES {
        let _ = write!(
            routes,
            "[[routes]]\nname = \"route-{number}\"\npath = \"/{number}\"\nto = \"http://{}\"\nlimit = {}\n",
            backend.address,
            number % 2
        );
    }
    let (proxy, page) = Peer::with_page(programs, &routes)?;
    let requests = Requests::to(&proxy.address);
    let (mut alone, mut watched) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(cpu(&proxy)?);
        let viewers = (0..VIEWERS).map(|_| Viewer::of(&page)).collect::<Result<Vec<_>, _>>()?;
        watched.push(cpu(&proxy)?);
        drop(viewers);
    }
    requests.end()?;
    let (alone, watched) = (median(alone), median(watched));
    println!("{:<24}{alone:>8.2} %\n{:<24}{watched:>8.2} %\n", "nobody looks", format!("{VIEWERS} look"));
    Ok(judge("what looking costs", watched - alone, 1.0, " %"))
}

fn cpu(proxy: &Peer) -> Result<f64, String> {
    let before = proxy.cpu()?;
    thread::sleep(TIME);
    Ok((proxy.cpu()? - before) / TIME.as_secs_f64() * 100.0)
}

/// Requests to each route in turn, over one connection, until they are ended.
struct Requests {
    is_over: Arc<AtomicBool>,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Requests {
    fn to(address: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, address) = (Arc::clone(&is_over), address.to_owned());
        let thread = thread::spawn(move || {
            let mut connection = TcpStream::connect(address)?;
            for number in (1..=GAUGES).cycle() {
                if over.load(Ordering::Relaxed) {
                    return Ok(());
                }
                write!(connection, "GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")?;
                // Both answers fit into one read, and nothing else comes.
                if connection.read(&mut [0; 4096])? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                thread::sleep(PAUSE);
            }
            Ok(())
        });
        Requests { is_over, thread }
    }

    /// Says whether they went on until now.
    fn end(self) -> Result<(), String> {
        self.is_over.store(true, Ordering::Relaxed);
        let ended = self.thread.join().map_err(|_| "the requests ended by themselves".to_owned())?;
        ended.map_err(|error| format!("the requests: {error}"))
    }
}

/// Somebody who looks, on the core of the load.
struct Viewer(Child);

impl Viewer {
    fn of(page: &str) -> Result<Self, String> {
        let mut curl = Command::new("taskset");
        curl.args(["-c", LOAD_CORE, "curl", "--silent", "--no-buffer"]).arg(format!("http://{page}/events"));
        let child = curl.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        child.map(Viewer).map_err(|error| format!("curl: {error}"))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
