//! What goes through, and what it becomes on its way.

use std::{
    io::{Read, Write},
    process::Command,
};

use crate::support::{Proxy, Service, get, read, request, send};

#[test]
fn a_request_goes_through_with_its_method_path_and_query_and_says_who_sent_it() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--limit", "10"]);
    let answer = proxy.get("/a/b?c=d%20e");
    assert_eq!((answer.status, answer.body.as_str()), (200, "GET /a/b?c=d%20e 0"));
    assert!(answer.field("proxy-status").is_none(), "it is the service's own: {}", answer.head);

    let mut spoofed = send(
        &proxy.address,
        "GET /headers HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\n\
         Connection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n\r\n",
    );
    let fields = read(&mut spoofed).body;
    for there in [
        "host: shop.example\n",
        "x-forwarded-for: 127.0.0.1\n",
        "x-forwarded-host: shop.example\n",
        "te: trailers\n",
    ] {
        assert!(fields.contains(there), "{there} is missing: {fields}");
    }
    for gone in ["9.9.9.9", "x-secret", "keep-alive", "connection:"] {
        assert!(!fields.contains(gone), "{gone} went through: {fields}");
    }
    assert_eq!(fields.matches("\nvia: 1.1 pushback-").count(), 1, "{fields}");
}

#[test]
fn a_request_that_came_by_before_is_a_loop() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &[]);
    let fields = proxy.get("/headers").body;
    let via = fields.lines().find(|line| line.starts_with("via: ")).unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{via}, 1.1 another\r\n\r\n");
    let answer = read(&mut send(&proxy.address, &request));
    assert_eq!(answer.status, 508);
    assert_eq!(answer.field("proxy-status"), Some("pushback; error=proxy_loop_detected"));
}

#[test]
fn a_request_that_goes_no_further_is_answered_here_and_says_so() {
    let proxy = Proxy::start("http://127.0.0.1:1", &[]);
    let answer = read(&mut send(&proxy.address, "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n"));
    assert_eq!((answer.status, answer.field("proxy-status")), (200, Some("pushback")), "{}", answer.head);
    assert!(answer.field("connection").is_none(), "nothing is wrong with it: {}", answer.head);
}

#[test]
fn bodies_go_through_both_ways_and_the_proxy_keeps_little_of_them() {
    const SIZE: usize = 64 << 20;
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("upload");
    std::fs::write(&file, vec![b'x'; SIZE]).unwrap();
    let curl = |arguments: &[&str]| {
        let output =
            Command::new("curl").args(["--silent", "--show-error"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let file = file.to_str().unwrap();
    let url = format!("http://{}/up", proxy.address);
    assert_eq!(curl(&["--upload-file", file, &url]), format!("PUT /up {SIZE}").into_bytes());
    let chunked = [
        "--upload-file",
        file,
        "--header",
        "Transfer-Encoding: chunked",
        "--header",
        "Expect: 100-continue",
        &url,
    ];
    assert_eq!(curl(&chunked), format!("PUT /up {SIZE}").into_bytes());
    // Over HTTP/2, and on to HTTP/1, where a body of a GET must say that it is there.
    let down = ["--http2-prior-knowledge", "--request", "GET", "--data-binary", "abc", &url];
    assert_eq!(curl(&down), b"GET /up 3");
    let big = format!("http://{}/big?bytes={SIZE}", proxy.address);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        assert_eq!(curl(&[version, &big]).len(), SIZE);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.process())).unwrap();
    let most =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    let most: usize = most.parse().unwrap();
    // A buffer that grows with the body would have held most of it.
    assert!(most < SIZE / 1024 / 2, "{most} KiB for bodies of {} KiB", SIZE / 1024);
    proxy.holds(0.0);
}

#[test]
fn an_upgraded_connection_goes_through_byte_by_byte() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &[]);
    let asked = "GET /echo-upgrade HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
    let mut connection = send(&proxy.address, asked);
    let head = crate::support::head(&mut connection);
    assert!(head.starts_with("http/1.1 101 ") && head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    for word in ["hello", "again"] {
        connection.write_all(word.as_bytes()).unwrap();
        let mut echoed = [0; 5];
        connection.read_exact(&mut echoed).unwrap();
        assert_eq!(std::str::from_utf8(&echoed).unwrap(), word.to_uppercase());
    }
}

#[test]
fn above_the_limit_the_answer_is_429_and_says_that_the_proxy_refused() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--limit", "1"]);
    let mut first = send(&proxy.address, &request(&proxy.address, "/?ms=1000"));
    proxy.holds(1.0);
    let refused = proxy.get("/");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.field("proxy-status"), Some("pushback; error=http_request_denied"));
    assert!(refused.field("retry-after").is_some(), "{}", refused.head);
    assert_eq!(read(&mut first).status, 200);
    assert_eq!(proxy.get("/").status, 200);
    let counted = proxy.metric("pushback_refused_total{gauge=\"upstream\",reason=\"full\"}");
    assert!((counted - 1.0).abs() < f64::EPSILON, "{counted}");
}

#[test]
fn with_a_line_the_next_one_waits_and_a_dry_run_refuses_nobody() {
    let service = Service::start();
    for arguments in
        [["--limit", "1", "--line", "5", "--line-wait", "20s"].as_slice(), &["--limit", "1", "--dry-run"]]
    {
        let proxy = Proxy::start(&service.url(), arguments);
        let mut first = send(&proxy.address, &request(&proxy.address, "/?ms=300"));
        proxy.holds(1.0);
        assert_eq!(proxy.get("/").status, 200, "{arguments:?}");
        assert_eq!(read(&mut first).status, 200);
    }
}

#[test]
fn the_admin_listener_tells_health_and_metrics_to_this_machine_alone() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &[]);
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(get(&proxy.admin, "/healthz").body, "alive\n");
    assert_eq!(get(&proxy.admin, "/readyz").body, "ready\n");
    let rebound = "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(read(&mut send(&proxy.admin, rebound)).status, 421);
    let metrics = get(&proxy.admin, "/metrics").body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool is installed");
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn an_exempt_path_passes_when_no_place_is_free() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--limit", "0", "--exempt", "/healthz", "--exempt", "/alive"]);
    for (path, status) in [("/healthz", 200), ("/alive?x", 200), ("/healthz/", 429), ("/", 429)] {
        assert_eq!(proxy.get(path).status, status, "{path}");
    }
}
