//! The live page in a real browser: Debian's chromium, driven by `page.py`.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
};

use axum::{Router, routing::get};
use pushback::{
    PressureGauge,
    dashboard::{Dashboard, RouteCount},
    http::BackpressureLayer,
};

/// A program of ours that serves, killed at the end of its test at the latest.
struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pushback"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let out = BufReader::new(child.stdout.take().expect("its output is piped"));
        Server { child, out }
    }

    /// The URL that it says behind these words.
    fn says_url(&mut self, words: &str) -> String {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(self.out.read_line(&mut line).unwrap(), 0, "it ended without saying '{words}'");
        }
        let url = line[line.find("http").expect("a URL")..].trim();
        url.split(": ").next().unwrap_or(url).to_owned()
    }

    fn demo(arguments: &[&str]) -> (Self, String) {
        let mut demo = Server::start(&[&["demo", "--listen", "127.0.0.1:0"], arguments].concat());
        let url = demo.says_url("pushback demo on");
        (demo, url)
    }

    /// A proxy before a service that is not there, which is all that its page needs. Gives where its page is.
    fn proxy(admin: &str, arguments: &[&str]) -> (Self, String) {
        let usual = ["proxy", "--to", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", admin];
        let mut proxy = Server::start(&[&usual, arguments].concat());
        let page = proxy.says_url("Live page");
        (proxy, page)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where screenshots go, to be looked at.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("page");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn browser(scenario: &str, url: &str, arguments: &[&str]) -> Command {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("foreign-python").join("bin/python");
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/page.py")).arg(scenario).arg(url);
    command.arg(folder()).args(arguments);
    command
}

fn sees(scenario: &str, url: &str, arguments: &[&str]) {
    let output =
        browser(scenario, url, arguments).output().expect("`cargo xtask test --install` installs it");
    assert!(output.status.success(), "{scenario}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn of_fifty_at_once_ten_are_answered_in_time_with_backpressure_and_nobody_without() {
    let (_demo, url) = Server::demo(&[]);
    sees("press", &url, &[]);
}

#[test]
fn without_backpressure_hardly_anybody_is_answered_in_time() {
    let (_demo, url) = Server::demo(&[]);
    sees("switch", &url, &[]);
}

#[test]
fn a_rate_ends_with_the_last_page_and_backpressure_is_on_again() {
    let (_demo, url) = Server::demo(&["--work", "1ms"]);
    sees("leaves", &url, &[]);
}

#[test]
fn the_page_is_seen_on_a_desk_in_the_dark_and_on_a_phone() {
    let (_demo, url) = Server::demo(&["--limit", "auto", "--work", "100ms"]);
    sees("looks", &url, &[]);
}

#[test]
fn the_first_plot_is_in_sight_on_a_small_screen() {
    let (_demo, url) = Server::demo(&[]);
    sees("laptop", &url, &[]);
}

/// A scenario on the page of a proxy with this limit and this token.
fn sees_with_token(scenario: &str, limit: &str) {
    const TOKEN: &str = "correct-horse-battery";
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), TOKEN).unwrap();
    let (_proxy, page) =
        Server::proxy("127.0.0.1:0", &["--limit", limit, "--admin-token", file.path().to_str().unwrap()]);
    sees(scenario, &page, &[TOKEN]);
}

#[test]
fn a_limit_is_changed_with_the_token_and_a_confirm() {
    sees_with_token("change", "3");
}

#[test]
fn a_limit_that_moves_is_pinned_and_let_go() {
    sees_with_token("pin", "auto");
}

#[test]
fn without_a_token_the_page_changes_nothing() {
    let (_proxy, page) = Server::proxy("127.0.0.1:0", &[]);
    sees("readonly", &page, &[]);
}

/// On an address that others may reach, everything but the page that asks for the token wants it.
#[test]
fn elsewhere_than_on_loopback_the_page_wants_the_token() {
    const TOKEN: &str = "correct-horse-battery";
    let folder = tempfile::tempdir().unwrap();
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let ca = file("certificate.pem", &identity.cert.pem());
    file("key.pem", &identity.signing_key.serialize_pem());
    let token = file("token", TOKEN);
    let config = file(
        "pushback.toml",
        "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"0.0.0.0:0\"\ntoken = \"token\"\n\
         tls = { certificate = \"certificate.pem\", key = \"key.pem\" }\n\
         [[routes]]\nname = \"all\"\nto = \"http://127.0.0.1:1\"\n",
    );
    let mut proxy = Server::start(&["proxy", "--config", &config]);
    let page = proxy.says_url("Live page").replace("0.0.0.0", "localhost");
    sees("locked", &page, &[TOKEN]);

    let top = |arguments: &[&str]| {
        let arguments = [&["top", "--once", &page, "--ca", &ca], arguments].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_pushback")).args(arguments).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = top(&["--token", &token]);
    assert!(code == Some(0) && said.contains("all "), "{said}");
    let (code, said) = top(&[]);
    assert!(code == Some(1) && said.contains("--token FILE"), "{said}");
}

#[test]
fn a_page_says_when_its_server_is_gone_and_goes_on_when_it_is_back() {
    let (proxy, page) = Server::proxy("127.0.0.1:0", &["--limit", "3"]);
    let mut browser = browser("restart", &page, &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`cargo xtask test --install` installs it");
    let mut says = BufReader::new(browser.stdout.take().unwrap()).lines();
    let mut errors = browser.stderr.take().unwrap();
    let mut hear = |word: &str| {
        let said = says.next().and_then(Result::ok).unwrap_or_default();
        let mut error = String::new();
        if said != word {
            errors.read_to_string(&mut error).unwrap();
        }
        assert_eq!(said, word, "{error}");
    };
    hear("live");
    drop(proxy);
    hear("lost");
    let address = page.strip_prefix("http://").unwrap();
    let _again = Server::proxy(address, &["--limit", "5"]);
    writeln!(browser.stdin.take().unwrap(), "back").unwrap();
    let status = browser.wait().unwrap();
    let mut error = String::new();
    errors.read_to_string(&mut error).unwrap();
    assert!(status.success(), "{error}");
}

#[test]
fn a_day_of_frames_does_not_fill_memory() {
    let (_demo, url) = Server::demo(&[]);
    sees("day", &url, &[]);
}

/// A page of the library's, below a path of an application, with names that mean harm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_paths_are_never_markup() {
    const REQUEST: &str = "GET /work/\"{}|&lt;img%20src=x&gt;\u{202e}txt";
    // What would turn the text around it is shown as what it is: nothing to be shown.
    let shown = REQUEST.replace('\u{202e}', "\u{fffd}");
    const NAME: &str = "<img src=x onerror=alert(1)> \u{202e}\" & <script>alert(2)</script>";
    let gauge = PressureGauge::builder().name(NAME).limit(0).build().unwrap();
    let work = get(async || "done").route_layer(BackpressureLayer::new(gauge.clone()));
    let page = Dashboard::new([gauge]).routes(|| vec![RouteCount::new(NAME, NAME, 7)]);
    let app = Router::new().route("/work/{*rest}", work).nest_service("/pressure", page.router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    let done = Arc::new(tokio::sync::Notify::new());
    // Refusals are noted while somebody looks, so there are some as long as the browser does.
    let requests = tokio::spawn({
        let (url, done) = (url.clone(), Arc::clone(&done));
        async move {
            loop {
                let asked = url.clone();
                tokio::task::spawn_blocking(move || ask(&asked, &format!("{REQUEST} HTTP/1.1"), ""))
                    .await
                    .unwrap();
                if tokio::time::timeout(std::time::Duration::from_millis(50), done.notified()).await.is_ok() {
                    return;
                }
            }
        }
    });
    tokio::task::spawn_blocking(move || sees("hostile", &url, &[NAME, &shown, "/pressure"])).await.unwrap();
    done.notify_one();
    requests.await.unwrap();
}

#[test]
fn another_host_and_another_origin_get_nothing() {
    let (_demo, url) = Server::demo(&[]);
    for (asked, headers, expected) in [
        ("GET /events HTTP/1.1", "", "200"),
        ("GET /events HTTP/1.1", "Host: evil.example\r\n", "421"),
        ("GET / HTTP/1.1", "Host: evil.example\r\n", "421"),
        ("GET /events HTTP/1.1", "Origin: http://evil.example\r\n", "421"),
        ("GET /events HTTP/1.1", "Sec-Fetch-Site: cross-site\r\n", "421"),
        ("POST /demo HTTP/1.1", "Origin: http://evil.example\r\nContent-Type: application/json\r\n", "421"),
        ("POST /demo HTTP/1.1", "Content-Type: text/plain\r\n", "415"),
    ] {
        let head = ask(&url, asked, headers);
        assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{asked} {headers}: {head}");
    }
}

/// The head of the answer.
fn ask(url: &str, asked: &str, headers: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    write!(connection, "{asked}\r\n{host}{headers}\r\n").unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}
