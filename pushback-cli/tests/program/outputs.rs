//! Outputs that are full, closed, or read by somebody who has stopped reading: no command panics or hangs for them.

use std::{
    fs::read_to_string,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, TryRecvError},
    thread,
    time::Duration,
};

use super::{
    Demo, pushback,
    stuck::{StalledReader, dead_reader, full_disk},
};

/// How long a command may take to end on which nothing runs.
const END_MAX: Duration = Duration::from_secs(10);

/// A process, and its exit code when it ends. It is killed at the end of its test at the latest.
struct Running {
    process: u32,
    ended: Receiver<Option<i32>>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child: Child = command.spawn().expect("the program starts");
        let process = child.id();
        let (tell, ended) = mpsc::channel();
        thread::spawn(move || tell.send(child.wait().expect("it is a child").code()));
        Running { process, ended }
    }

    fn signal(&self, name: &str) {
        let _ = Command::new("kill").args([name, &self.process.to_string()]).stderr(Stdio::null()).status();
    }

    /// Its exit code, if it ends by itself and in time.
    fn code(&self) -> i32 {
        self.ended.recv_timeout(END_MAX).expect("it ends in time").expect("it ends by itself")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.ended.try_recv(), Err(TryRecvError::Empty)) {
            self.signal("-KILL");
            let _ = self.ended.recv();
        }
    }
}

#[test]
fn a_demo_that_nobody_hears_serves_and_ends_when_it_is_told_to() {
    let stalled = StalledReader::start();
    for (name, out) in [("full", full_disk()), ("dead", dead_reader()), ("stalled", stalled.output())] {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let demo = Running::start(pushback(&["demo", "--work", "1ms", "--listen", &address]).stdout(out));
        let mut client = loop {
            if let Ok(client) = TcpStream::connect(&address) {
                break client;
            }
        };
        let request = format!("GET /request HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        client.set_read_timeout(Some(END_MAX)).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect(name);
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{name}: {answer}");
        demo.signal("-TERM");
        assert_eq!(demo.code(), 0, "{name}");
    }
}

#[test]
fn a_failure_that_nobody_hears_is_its_exit_code() {
    let scenario = "/no/such/scenario.toml";
    let cases: [(&[&str], i32); 4] = [
        (&["demo", "--listen", "nonsense"], 2),
        (&["load", "http://127.0.0.1:1/"], 1),
        (&["sim", scenario], 2),
        (&["top", "http://127.0.0.1:1", "--once"], 1),
    ];
    for (arguments, code) in cases {
        let stalled = StalledReader::start();
        for (name, err) in [("full", full_disk()), ("dead", dead_reader()), ("stalled", stalled.output())] {
            let running = Running::start(pushback(arguments).stdout(Stdio::null()).stderr(err));
            assert_eq!(running.code(), code, "{arguments:?}: {name}");
        }
    }
}

#[test]
fn a_report_of_sim_fails_on_a_full_disk_only() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../pushback-lab/scenarios/step.toml");
    let arguments = ["sim", scenario, "--limit", "fixed:10", "--initial", "10", "--seeds", "1"];
    for (name, out, code) in [("full", full_disk(), 1), ("dead", dead_reader(), 0)] {
        let output = pushback(&arguments).stdout(out).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The reader of a report may take his time, but a signal ends the wait for him.
#[test]
fn a_report_that_nobody_reads_does_not_keep_load_from_its_end() {
    let demo = Demo::start(&["--limit", "0"]);
    let stalled = StalledReader::start();
    let mut command = pushback(&["load", "-n", "1", &demo.url()]);
    let load = Running::start(command.stdout(stalled.output()).stderr(Stdio::null()));
    waits_in_a_pipe(load.process);
    load.signal("-TERM");
    assert_eq!(load.code(), 1);
}

/// Waits until a thread of the process waits for the reader of a pipe.
fn waits_in_a_pipe(process: u32) {
    let waits = || {
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        threads.filter_map(Result::ok).any(|thread| {
            read_to_string(thread.path().join("wchan")).is_ok_and(|place| place.contains("pipe_write"))
        })
    };
    while !waits() {}
}
