//! `pushback top`.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use super::{Demo, fails, load, pushback, text};

#[test]
fn once_prints_what_there_is() {
    let demo = Demo::start(&["--limit", "2", "--work", "1ms"]);
    load(&["-n", "20", "-c", "1", &demo.url()]);
    let output = pushback(&["top", "--once", &demo.address]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.starts_with("gauge ") && said.contains("\ndemo   0 of 2 "), "{said}");
}

#[test]
fn what_is_no_live_page_is_said_in_one_line() {
    let demo = Demo::start(&[]);
    let nowhere = format!("{}/nowhere", demo.address);
    fails(&pushback(&["top", "--once", &nowhere]).output().unwrap(), 1, &[&nowhere, "no live page", "404"]);
    fails(
        &pushback(&["top", "--once", "http://127.0.0.1:1"]).output().unwrap(),
        1,
        &["127.0.0.1:1", "refused"],
    );
    let other = pushback(&["top", "--once", "http://127.0.0.1:1"]).output().unwrap();
    assert!(!text(&other.stderr).contains("demo"), "{}", text(&other.stderr));
    fails(&pushback(&["top", "127.0.0.1:9900"]).output().unwrap(), 2, &["'127.0.0.1:9900'", "http://"]);
    let token = pushback(&["top", "--once", "--token", "/nowhere", &demo.address]).output().unwrap();
    fails(&token, 2, &["--token is \"/nowhere\"; No such file", "readable file"]);
    let ca = pushback(&["top", "--once", "--ca", "/nowhere", "https://127.0.0.1:1"]).output().unwrap();
    fails(&ca, 2, &["--ca is \"/nowhere\"; I/O error: No such file", "certificates in PEM"]);
    fails(&pushback(&["top", &demo.address]).output().unwrap(), 2, &["no terminal", "--once"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "correct-horse-battery").unwrap();
    let clear = ["top", "--once", "--token", file.path().to_str().unwrap(), "http://gate.example:9900"];
    fails(&pushback(&clear).output().unwrap(), 2, &["http://gate.example:9900", "clear text", "https://"]);
}

/// A terminal of its own, by util-linux's `script`.
#[test]
fn on_a_terminal_it_is_live_until_q_and_leaves_the_terminal_as_it_was() {
    let demo = Demo::start(&[]);
    let command = format!(
        "stty rows 30 cols 100; before=$(stty --save); {} top {} && test \"$before\" = \"$(stty --save)\"",
        env!("CARGO_BIN_EXE_pushback"),
        demo.address
    );
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("every Debian has script");
    let mut shown = Vec::new();
    let mut out = terminal.stdout.take().unwrap();
    let mut part = [0; 4096];
    while !text(&shown).contains("live") {
        let length = out.read(&mut part).unwrap();
        assert_ne!(length, 0, "it ended: {}", text(&shown));
        shown.extend(&part[..length]);
    }
    terminal.stdin.take().unwrap().write_all(b"q").unwrap();
    out.read_to_end(&mut shown).unwrap();
    assert!(terminal.wait().unwrap().success());
    const LEAVE_ALTERNATE_SCREEN: &str = "\u{1b}[?1049l";
    assert!(text(&shown).contains(LEAVE_ALTERNATE_SCREEN), "{}", text(&shown));
}
