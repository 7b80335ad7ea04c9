//! What the proxy does not start with.

use std::{net::TcpListener, process::Command};

#[test]
fn wrong_arguments_are_one_line_that_names_the_value_and_what_is_allowed() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let to = ["--to", "http://127.0.0.1:1"];
    let cases: [(&[&str], i32, &[&str]); 14] = [
        (&[], 2, &["--to"]),
        (&["--to", "https://a"], 2, &["https", "allowed: http://HOST[:PORT]"]),
        (&["--to", "127.0.0.1:3000"], 2, &["127.0.0.1:3000", "allowed: http://HOST[:PORT]"]),
        (&["--to", "http://a/path"], 2, &["path", "allowed: http://HOST[:PORT]"]),
        (&[to[0], to[1], "--limit", "many"], 2, &["many", "0 to 4294967295", "auto"]),
        (&[to[0], to[1], "--line", "1000001"], 2, &["1000001", "0 to 1000000"]),
        (&[to[0], to[1], "--line-wait", "2m"], 2, &["2m", "1ms to 1m"]),
        (&[to[0], to[1], "--workers", "0"], 2, &["'0'", "1 to 1024"]),
        (&[to[0], to[1], "--connections", "0"], 2, &["'0'", "1 to 4294967295"]),
        (&[to[0], to[1], "--stall", "0s"], 2, &["0s", "1ms to 1day"]),
        (&[to[0], to[1], "--exempt", "healthz"], 2, &["healthz", "begins with '/'"]),
        (&[to[0], to[1], "--admin", "0.0.0.0:9900"], 2, &["0.0.0.0:9900", "loopback", "off"]),
        (&[to[0], to[1], "--listen", &taken, "--admin", "off"], 1, &["cannot listen", &taken]),
        (&[to[0], to[1], "--listen", "127.0.0.1:0", "--admin", &taken], 1, &["admin", &taken]),
    ];
    for (arguments, code, words) in cases {
        let output =
            Command::new(env!("CARGO_BIN_EXE_pushback")).arg("proxy").args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        for word in words.iter().chain(&["error: "]) {
            assert!(said.contains(word), "{arguments:?}: '{word}' is missing: {said}");
        }
    }
}
