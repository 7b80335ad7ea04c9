//! Whatever is done about clients that send slowly, honest bodies go through byte for byte.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use super::raw::Raw;
use crate::support::{Proxy, Service};

/// Around what is read before the gauge is asked.
const LENGTHS: [usize; 6] = [1, 10_000, 65_535, 65_536, 65_537, 300_000];

/// No two parts of it are alike.
fn body(length: usize) -> Vec<u8> {
    let digits = (0..length.div_ceil(8)).flat_map(|number| format!("{number:8}").into_bytes());
    digits.take(length).collect()
}

/// What curl says besides the answer's body, which is in the file then.
fn curl(url: &str, arguments: &[&str], body: &[u8], answer: &std::path::Path) -> String {
    let usual = ["--silent", "--show-error", "--max-time", "20", "--data-binary", "@-", "--verbose"];
    let mut curl = Command::new("curl")
        .args(usual)
        .arg("--output")
        .arg(answer)
        .args(arguments)
        .arg(url)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl is installed");
    curl.stdin.take().unwrap().write_all(body).unwrap();
    let output = curl.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}, {} bytes: {said}", body.len());
    said
}

#[test]
fn bodies_of_honest_clients_go_through_byte_for_byte() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--limit", "1"]);
    let folder = tempfile::tempdir().unwrap();
    let answer = folder.path().join("answer");
    let url = format!("http://{}/echo", proxy.address);
    // curl would send its body after that time though nobody told it to go on.
    let expecting = ["--header", "Expect: 100-continue", "--expect100-timeout", "60"];
    let chunked = ["--header", "Transfer-Encoding: chunked"];
    let both = [expecting.as_slice(), &chunked].concat();
    let ways: [&[&str]; 5] =
        [&["--header", "Expect:"], &expecting, &chunked, &both, &["--http2-prior-knowledge"]];
    for length in LENGTHS {
        let body = body(length);
        for way in ways {
            let said = curl(&url, way, &body, &answer);
            assert!(fs::read(&answer).unwrap() == body, "{way:?}: {length} bytes are not what they were");
            let told = said.contains("< HTTP/1.1 100 Continue");
            assert_eq!(told, way.contains(&"Expect: 100-continue"), "{way:?}, {length} bytes: {said}");
        }
    }
    proxy.holds(0.0);
}

#[tokio::test]
async fn chunks_with_trailers_go_through_byte_for_byte_and_another_request_behind_them() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--limit", "1"]);
    let mut client = Raw::connect(&proxy.address).await;
    for length in LENGTHS {
        let body = body(length);
        let mut sent =
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_vec();
        for chunk in body.chunks(10_000) {
            sent.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            sent.extend_from_slice(chunk);
            sent.extend_from_slice(b"\r\n");
        }
        sent.extend_from_slice(b"0\r\nX-Sum: 7\r\n\r\n");
        client.write(&sent).await.unwrap();
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 200, "{length} bytes");
        assert!(answer.body.as_bytes() == body, "{length} bytes are not what they were");
        assert_eq!(client.get("a", "/next").await.unwrap().body, "GET /next 0", "after {length} bytes");
    }
}
