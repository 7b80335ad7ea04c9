//! Connections on which nothing is said to its end, and connections on which nothing makes sense.

use std::time::Duration;

use tokio::time::timeout;

use super::Attackers;
use crate::{proxy::Soaked, raw::Raw};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How many of a kind are silent on each listener.
const SILENT: u32 = 16;

pub(super) fn start(attackers: &mut Attackers, soaked: &Soaked) {
    let second = Duration::from_secs(1);
    let listeners = [&soaked.proxy.address, &soaked.proxy.admin, &soaked.probes];
    for address in listeners {
        for (what, said) in [
            ("connections without a word", &b""[..]),
            ("connections with a byte", b"G"),
            ("connections with a preface", PREFACE),
        ] {
            attackers.add(what, SILENT, second, move |address| be_silent(address, said), address);
        }
        attackers.add("garbage", 1, second / 2, talk_garbage, address);
    }
}

/// Says this, and then nothing until the other side has had enough.
async fn be_silent(address: String, said: &[u8]) {
    Raw::send(&address, said).await.end().await;
}

/// What is no request, or none that has one meaning.
const GARBAGE: [&[u8]; 8] = [
    b"\x00\x01\x02\xff\xfe\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 the beginning of TLS",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: \xff\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
];

async fn talk_garbage(address: String) {
    for garbage in GARBAGE {
        let mut client = Raw::send(&address, garbage).await;
        // On some of it the proxy waits for more.
        let _ = timeout(Duration::from_millis(100), client.end()).await;
    }
}
