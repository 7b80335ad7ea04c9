//! A client over HTTP/2 that sends what honest ones cannot: its frames are written by hand.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::vector::{Downgrade, bytes};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Only a failure lasts so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks, and says what else than expected came back.
pub(super) fn ask(proxy: SocketAddr, downgrade: &Downgrade) -> Result<(), String> {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sent = PREFACE.to_vec();
    frame(&mut sent, SETTINGS, 0, 0, &[]);
    let has_trailers = !downgrade.trailers.is_empty();
    let ends = |is_last: bool| if is_last { END_STREAM } else { 0 };
    let is_all = downgrade.data.is_empty() && !has_trailers;
    frame(&mut sent, HEADERS, END_HEADERS | ends(is_all), 1, &fields(&downgrade.fields));
    for (index, data) in downgrade.data.iter().enumerate() {
        let is_last = index + 1 == downgrade.data.len() && !has_trailers;
        frame(&mut sent, DATA, ends(is_last), 1, &bytes(data));
    }
    if has_trailers {
        frame(&mut sent, HEADERS, END_HEADERS | END_STREAM, 1, &fields(&downgrade.trailers));
    }
    let _ = stream.write_all(&sent); // its answer may have come before its end
    let answer = answer(&mut stream)?;
    if answer == downgrade.answer {
        Ok(())
    } else {
        Err(format!("the answer is {answer:?} and not {:?}", downgrade.answer))
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap();
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Literals that are not indexed, with new names (RFC 7541, 6.2.2).
fn fields(fields: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let text = bytes(text);
            assert!(text.len() < 127, "longer ones have another form");
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(&text);
        }
    }
    block
}

/// The status of the answer, or nothing if the stream is reset or the connection given up.
fn answer(stream: &mut TcpStream) -> Result<Option<u16>, String> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).map_err(|error| format!("neither an answer nor a reset: {error}"))?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).map_err(|error| error.to_string())?;
        match head[3] {
            HEADERS => return status(&payload).map(Some),
            RST_STREAM | GOAWAY => return Ok(None),
            _ => (),
        }
    }
}

/// The first field of a block, `:status` (RFC 7541, 6).
fn status(block: &[u8]) -> Result<u16, String> {
    match block {
        [0x88, ..] => Ok(200),
        [0x8c, ..] => Ok(400),
        // A literal with an indexed name, and a value in Huffman's code of two octets or three.
        [0x08 | 0x48, length @ (0x82 | 0x83), rest @ ..] => digits(&rest[..usize::from(length - 0x80)]),
        _ => Err(format!("the block is {}", block.escape_ascii())),
    }
}

/// Three digits in Huffman's code: 0 to 2 are five bits, 3 to 9 are six, which begin at 0x19 (RFC 7541, B).
fn digits(code: &[u8]) -> Result<u16, String> {
    let mut bits = code.iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)));
    let mut take =
        |value: u16, count: usize| bits.by_ref().take(count).fold(value, |value, bit| value << 1 | bit);
    let mut number = 0;
    for _ in 0..3 {
        let digit = match take(0, 5) {
            digit @ 0..=2 => digit,
            start => take(start, 1)
                .checked_sub(0x19 - 3)
                .filter(|digit| (3..=9).contains(digit))
                .ok_or("no digit")?,
        };
        number = number * 10 + digit;
    }
    Ok(number)
}
