//! A real service, the proxy before it, and clients that speak byte by byte.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// `service.py`, which ends with its standard input.
pub(crate) struct Service {
    child: Child,
    _ends_with: ChildStdin,
    port: u16,
}

impl Service {
    pub(crate) fn start() -> Self {
        let mut child = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proxy/service.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 is installed");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let ends_with = child.stdin.take().unwrap();
        Service { child, _ends_with: ends_with, port: port.trim().parse().expect("its port") }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it answers without the proxy.
    pub(crate) fn ask(&self, path: &str) -> String {
        get(&format!("127.0.0.1:{}", self.port), path).body
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The proxy as its users run it, killed at the end of its test at the latest.
pub(crate) struct Proxy {
    child: Child,
    /// If anybody hears it.
    out: Option<BufReader<ChildStdout>>,
    pub(crate) address: String,
    pub(crate) admin: String,
    /// What it says that is there.
    pub(crate) pages: String,
}

impl Proxy {
    pub(crate) fn start(to: &str, arguments: &[&str]) -> Self {
        Proxy::start_as(to, arguments, |_| ())
    }

    /// The same, with another environment or output.
    pub(crate) fn start_as(to: &str, arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let usual = ["--to", to, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        Proxy::start_with(&[&usual, arguments].concat(), prepare)
    }

    /// The same, with these arguments alone, by which the system chooses its ports.
    pub(crate) fn start_with(arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pushback"));
        command.arg("proxy").args(arguments);
        prepare(&mut command);
        Proxy::start_by(&mut command)
    }

    /// The same, by this command.
    pub(crate) fn start_by(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let out = child.stdout.take().map(BufReader::new);
        let mut proxy =
            Proxy { child, out, address: String::new(), admin: String::new(), pages: String::new() };
        let address = |said: &str| {
            let address = said.split("://").nth(1).map(|rest| rest.split(": ").next().unwrap_or(rest));
            address.expect("its address").trim().to_owned()
        };
        proxy.address = address(&proxy.says("pushback proxy on "));
        proxy.pages = proxy.says("metrics on ");
        proxy.admin = address(&proxy.pages);
        proxy
    }

    /// One that nobody hears, at the address that it was told; comes back when it serves.
    pub(crate) fn unheard(child: Child, address: String) -> Self {
        let proxy = Proxy { child, out: None, address, admin: String::new(), pages: String::new() };
        while TcpStream::connect(&proxy.address).is_err() {}
        proxy
    }

    /// Waits until it has said this.
    pub(crate) fn says(&mut self, words: &str) -> String {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            let out = self.out.as_mut().expect("somebody hears it");
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "it ended without saying '{words}'");
        }
        line
    }

    /// Where probes are answered, if it was asked for that: it says so once.
    pub(crate) fn probes(&mut self) -> String {
        let said = self.says("Probes on http://");
        said.split("://").nth(1).and_then(|rest| rest.split(": ").next()).expect("its address").to_owned()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        get(&self.address, path)
    }

    /// What it says on standard error, if that is piped.
    pub(crate) fn log(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.child.stderr.take().expect("it is piped"))
    }

    /// The next line of the access log, in JSON.
    pub(crate) fn next_access(log: &mut impl BufRead) -> serde_json::Value {
        Proxy::next_line(log, |line| line["target"] == "access")
    }

    /// The next line of the log, in JSON, that is one of these.
    pub(crate) fn next_line(
        log: &mut impl BufRead,
        is_it: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended");
            let line = serde_json::from_str(&line).unwrap();
            if is_it(&line) {
                return line;
            }
        }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.process().to_string()]).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> (i32, String) {
        let mut rest = String::new();
        if let Some(out) = &mut self.out {
            out.read_to_string(&mut rest).unwrap();
        }
        (self.child.wait().unwrap().code().expect("it ends by itself"), rest)
    }

    /// One of its metrics.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let all = get(&self.admin, "/metrics").body;
        let line = all.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("there is no {name}: {all}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until so many requests hold a place.
    pub(crate) fn holds(&self, places: f64) {
        self.waits_for("pushback_in_flight{", places);
    }

    /// The same, in the gauge of this name.
    pub(crate) fn holds_in(&self, gauge: &str, places: f64) {
        self.waits_for(&format!("pushback_in_flight{{gauge=\"{gauge}\""), places);
    }

    /// Waits until a metric has this value.
    pub(crate) fn waits_for(&self, metric: &str, value: f64) {
        while (self.metric(metric) - value).abs() > f64::EPSILON {
            std::thread::yield_now();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, to be started by a shell that has changed its limits.
pub(crate) fn program_under(limits: &str, to: &str, arguments: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_pushback");
    let mut shell = Command::new("sh");
    let run = format!("{limits} && exec \"$0\" \"$@\"");
    shell.args(["-c", &run, program, "proxy", "--to", to]).args(arguments);
    shell
}

/// The proxy so.
pub(crate) fn start_under(limits: &str, to: &str, arguments: &[&str], stderr: Stdio) -> Proxy {
    let usual = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    Proxy::start_by(program_under(limits, to, &[&usual, arguments].concat()).stderr(stderr))
}

/// An answer, its head in small letters.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

pub(crate) fn get(address: &str, path: &str) -> Answer {
    let mut connection = send(address, &request(address, path));
    read(&mut connection)
}

/// Asks the API for the gauge of this name, with the token of the tests; what it answers, which is JSON.
pub(crate) fn ask_api(proxy: &Proxy, method: &str, gauge: &str, body: &str) -> (u16, serde_json::Value) {
    let (host, length) = (&proxy.admin, body.len());
    let mut connection = send(
        host,
        &format!(
            "{method} /api/gauges/{gauge} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer a-token-of-the-test\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ),
    );
    let answer = read(&mut connection);
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

pub(crate) fn request(address: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")
}

/// A connection on which this was sent.
pub(crate) fn send(address: &str, request: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    connection
}

/// Reads one answer whose length its head says.
pub(crate) fn read(connection: &mut TcpStream) -> Answer {
    let head = head(connection);
    let mut answer = Answer {
        status: head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"),
        head,
        body: String::new(),
    };
    let length = answer.field("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    answer.body = String::from_utf8(body).unwrap();
    answer
}

/// Reads to the empty line behind a head.
pub(crate) fn head(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap().to_lowercase()
}
