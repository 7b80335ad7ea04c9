//! The proxy that is attacked: its settings, which it reads again and again, and what the system knows of it.

use std::{
    fs,
    io::{self, BufRead},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    sync::{Mutex, MutexGuard},
    task::block_in_place,
};

use crate::{
    PATIENCE,
    figures::Figures,
    raw::Raw,
    support::{Proxy, ask_api},
    within,
};

pub(crate) struct Soaked {
    pub(crate) proxy: Proxy,
    pub(crate) probes: String,
    settings: Settings,
    log: JoinHandle<Log>,
    /// Whoever reads the log takes it for each line.
    log_is_read: Arc<Mutex<()>>,
}

impl Soaked {
    pub(crate) fn start(service: &str) -> Self {
        let settings = Settings { folder: tempfile::tempdir().unwrap(), service: service.to_owned() };
        settings.write(0);
        let mut proxy = Proxy::start_with(&["--config", settings.file().to_str().unwrap()], |command| {
            command.stderr(Stdio::piped());
        });
        let said = proxy.says("Probes on ");
        let probes = said.split("http://").nth(1).and_then(|rest| rest.split(": ").next());
        let probes = probes.expect("an address").to_owned();
        let lines = proxy.log().lines();
        let log_is_read = Arc::new(Mutex::new(()));
        let may_read = Arc::clone(&log_is_read);
        let next = move |line: io::Result<String>| {
            drop(may_read.blocking_lock());
            line.ok()
        };
        let log = thread::spawn(move || lines.map_while(next).collect());
        Soaked { proxy, probes, settings, log, log_is_read }
    }

    /// Nobody reads its log while this is kept.
    pub(crate) async fn stall_the_log(&self) -> MutexGuard<'_, ()> {
        self.log_is_read.lock().await
    }

    /// Every other second in a phase, other settings, of which nobody notices anything: a signal tells of them, or the proxy sees
    /// by itself that the file is another, for which it takes two seconds.
    pub(crate) fn reload(&self, look: u32) {
        match look % 5 {
            0 => self.settings.write(look),
            3 => {
                self.settings.write(look);
                self.proxy.signal("-HUP");
            }
            _ => (),
        }
    }

    pub(crate) async fn figures(&self) -> Figures {
        Figures::of(&self.proxy.admin).await
    }

    /// Where the limit of the honest calls' gauge stands, and why.
    pub(crate) fn why(&self) -> String {
        let (_, gauge) = block_in_place(|| ask_api(&self.proxy, "GET", "honest", ""));
        format!("{}: {}", gauge["limit"], gauge["why"])
    }

    pub(crate) async fn waits_for(&self, what: &str, is_so: impl Fn(&Figures) -> bool) {
        within(PATIENCE, what, async { while !is_so(&self.figures().await) {} }).await;
    }

    /// Waits until it has no more files open than so many. A kept connection to the service that has become old is closed by a later call of
    /// its worker, so there are calls, on new connections, which come to all workers.
    pub(crate) async fn waits_for_files(&self, most: usize) {
        let at_first = self.files();
        let few = async {
            while self.files() > most {
                let _ = Raw::connect(&self.proxy.address).await.get("a", "/").await;
            }
        };
        within(PATIENCE, &format!("{most} open files"), few).await;
        println!("open files: {at_first} after the attack, {} now, and {most} at most", self.files());
    }

    pub(crate) fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.proxy.process())).unwrap().count()
    }

    /// KiB that are resident.
    pub(crate) fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.proxy.process())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is running");
        line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// For how long the threads of the proxy and of this program have been ready to run and had no processor.
    pub(crate) fn waited(&self) -> Duration {
        let waited = |process: u32| {
            let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
            let lines =
                threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok());
            lines
                .filter_map(|line| line.split(' ').nth(1)?.parse().ok())
                .map(Duration::from_nanos)
                .sum::<Duration>()
        };
        waited(self.proxy.process()) + waited(std::process::id())
    }

    /// Ends it, and says what is wrong with that, and with what it has said in all its time.
    pub(crate) fn end(self) -> Vec<String> {
        self.proxy.signal("-TERM");
        let (code, _) = self.proxy.end();
        let log = self.log.join().expect("its log is text");
        println!("the settings were read again {} times", log.reloads);
        let mut wrong = log.alarming;
        if code != 0 {
            wrong.push(format!("it ended with {code}"));
        }
        if log.reloads == 0 {
            wrong.push("the settings were never read again".to_owned());
        }
        wrong
    }
}

/// What it says if this machine allows it few files, and of the service, which fails on purpose.
const EXPECTED: [&str; 2] = ["open files are too few for more", "a call got no answer from its service"];

/// What is of interest in its log.
#[derive(Default)]
struct Log {
    reloads: usize,
    /// Errors, warnings and panics: attacks are no reason for any.
    alarming: Vec<String>,
}

impl FromIterator<String> for Log {
    fn from_iter<Lines: IntoIterator<Item = String>>(lines: Lines) -> Self {
        let mut log = Log::default();
        for line in lines {
            if line.contains("settings read again") {
                log.reloads += 1;
            } else if !EXPECTED.iter().any(|words| line.contains(words))
                && ["ERROR", "WARN", "panicked"].iter().any(|word| line.contains(word))
            {
                log.alarming.push(line);
            }
        }
        log
    }
}

struct Settings {
    folder: TempDir,
    service: String,
}

impl Settings {
    fn file(&self) -> PathBuf {
        self.folder.path().join("pushback.toml")
    }

    /// The honest calls' gauge is as it is if nothing is said. Gauges of their own are for what takes places by right: dear calls, which the
    /// service finishes although their clients have left; long bodies; and calls that the service itself says are too much. Whatever
    /// else clients do, they do to the gauge of the honest.
    fn write(&self, number: u32) {
        let to = &self.service;
        // Another bound each time, far from what anything takes.
        let timeout = 30 + number;
        let own = |path: &str, gauge: &str, timeout: &str| {
            let name = path.trim_start_matches('/');
            format!(
                "[[routes]]\nname = \"{name}\"\npath = \"{path}\"\ngauge = \"{gauge}\"\nstall = \"3s\"\ntimeout = \"{timeout}\"\nto = \"{to}\"\n"
            )
        };
        let routes = [
            own("/dear", "dear", "30s"),
            own("/late-body", "dear", "30s"),
            own("/big", "bodies", "30s"),
            own("/uploads", "bodies", "30s"),
            own("/unavailable", "faults", "30s"),
            own("/slow", "faults", "300ms"),
        ];
        let token = self.folder.path().join("token");
        fs::write(&token, "a-token-of-the-test\n").unwrap();
        let settings = format!(
            "listen = \"127.0.0.1:0\"\naccess_log = true\n\
             [clients]\nhead = \"3s\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\nprobes = \"127.0.0.1:0\"\ntoken = {token:?}\n\
             [gauges.dear]\nlimit = 8\n[gauges.bodies]\nlimit = 8\n[gauges.faults]\n{}\
             [[routes]]\nname = \"honest\"\nstall = \"3s\"\ntimeout = \"{timeout}s\"\nto = \"{to}\"\n",
            routes.concat()
        );
        fs::write(self.file(), settings).unwrap();
    }
}
