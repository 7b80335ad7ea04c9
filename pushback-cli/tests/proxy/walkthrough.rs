//! The first steps of docs/proxy.md, done as they stand there, on ports of their own.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::support::Proxy;

/// The ports that the document has for the service and the proxy.
const PORTS: [&str; 2] = ["8081", "8080"];

/// Ends with its test at the latest.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a reader types, in its order.
fn commands() -> Vec<String> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/proxy.md");
    let text = fs::read_to_string(document).unwrap();
    let steps = text.split("### Try it").nth(1).unwrap().split("### Flags").next().unwrap();
    let blocks = steps.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(ToOwned::to_owned).collect()
}

/// Runs one to its end, and gives what it says.
fn say(command: &str) -> String {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap();
    let program = if program == "pushback" { env!("CARGO_BIN_EXE_pushback") } else { program };
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn proxy(command: &str) -> Proxy {
    let arguments = command.strip_prefix("pushback proxy ").unwrap_or_else(|| panic!("{command}"));
    let mut arguments: Vec<&str> = arguments.split_whitespace().collect();
    arguments.extend(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    Proxy::start_with(&arguments, |command| {
        command.stderr(Stdio::null());
    })
}

#[test]
fn the_first_steps_lead_where_the_document_says() {
    let commands = commands();
    let [service, first, asks, loads, second] = &commands[..] else { panic!("{commands:?}") };

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("index.html"), "hello\n").unwrap();
    assert_eq!(service, &format!("python3 -m http.server {}", PORTS[0]));
    let mut python = Running(
        Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut said = String::new();
    BufReader::new(python.0.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let port = said.split(" port ").nth(1).and_then(|rest| rest.split(' ').next()).expect("its port");
    let there = |command: &str| command.replace(PORTS[0], port);
    let at =
        |command: &str, proxy: &Proxy| command.replace(&format!("127.0.0.1:{}", PORTS[1]), &proxy.address);

    let before = proxy(&there(first));
    let answer = say(&at(asks, &before));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello\n"), "{answer}");
    let report = say(&at(loads, &before));
    assert!(report.contains("429"), "{report}");
    drop(before);

    let report = say(&at(loads, &proxy(&there(second))));
    assert!(!report.contains("429"), "{report}");
    let all = report.lines().find(|line| line.trim_start().starts_with("200"));
    assert!(all.is_some_and(|line| line.contains("500")), "{report}");
}
