//! `pushback proxy` as its users run it: a process of its own between real clients and real services.

mod smuggling;

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A proxy on a port of its own, killed at the end of its test at the latest.
struct Proxy {
    child: Child,
    out: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Proxy {
    fn start(service: SocketAddr, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pushback"))
            .args(["proxy", "--listen", "127.0.0.1:0", "--admin", "off", "--to"])
            .arg(format!("http://{service}"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut first = String::new();
        out.read_line(&mut first).expect("it says where it listens");
        let address = first.trim().strip_prefix("pushback proxy on http://").expect("its first line");
        let address = address.parse().expect("an address");
        Proxy { child, out, address }
    }

    /// Has it finish what it does, and waits for its end.
    fn drain(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
