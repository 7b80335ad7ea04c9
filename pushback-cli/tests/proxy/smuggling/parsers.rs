//! The foreign parsers: Node's (llhttp) and Python's, each a process that reads all streams.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// What both made of one stream.
pub(super) struct Parsed {
    node: Value,
    python: Value,
}

impl Parsed {
    fn by(&self, foreign: &str) -> &Value {
        if foreign == "node" { &self.node } else { &self.python }
    }

    /// "METHOD target body" of each request.
    pub(super) fn requests(&self, foreign: &str) -> Vec<String> {
        let field = |request: &Value, name: &str| request[name].as_str().unwrap().to_owned();
        let requests = self.by(foreign)["requests"].as_array().unwrap().iter();
        let text = |request| {
            let (method, target) = (field(request, "method"), field(request, "target"));
            format!("{method} {target} {}", field(request, "body"))
        };
        requests.map(text).collect()
    }

    pub(super) fn error(&self, foreign: &str) -> Option<&str> {
        self.by(foreign)["error"].as_str()
    }
}

pub(super) fn parse_all(streams: &[&[u8]]) -> Vec<Parsed> {
    let hex = |stream: &&[u8]| {
        stream.iter().fold(String::with_capacity(stream.len() * 2), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    };
    let input = Value::from(streams.iter().map(hex).collect::<Vec<_>>()).to_string();
    let node = run("node", "parse.mjs", &input);
    let python = run("python3", "parse.py", &input);
    assert_eq!((node.len(), python.len()), (streams.len(), streams.len()));
    node.into_iter().zip(python).map(|(node, python)| Parsed { node, python }).collect()
}

fn run(program: &str, script: &str, input: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy");
    let mut child = Command::new(program)
        .arg(folder.join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask test --install` installs it"));
    // Both read all of it before they write anything.
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}
