//! The demo's controls over HTTP, as its page asks for them.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::{Demo, connect, send, take_a_place};

/// What the demo answers to this: the status, and the body.
fn wants(demo: &Demo, wanted: &Value) -> (u16, String) {
    let (mut connection, address) = connect(demo);
    let body = wanted.to_string();
    let length = body.len();
    write!(
        connection,
        "POST /demo HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn state(demo: &Demo) -> Value {
    let mut answer = String::new();
    send(demo, "/demo").read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Asks until it is so.
fn until(demo: &Demo, is_so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let state = state(demo);
        if is_so(&state) {
            return state;
        }
    }
}

#[test]
fn a_press_begins_with_an_empty_service_and_nothing_is_sent_before() {
    let demo = Demo::start(&[]);
    let press = json!({"send": 50});
    // What became of the last press, and whether that was with backpressure.
    let got = || {
        let state = until(&demo, |state| state["busy"].is_null());
        let last = &state["presses"][0];
        let counts = ["answered", "refused", "gave_up"].map(|name| last[name].clone());
        (last["backpressure"].clone(), counts)
    };
    let with_it = || (true.into(), [10, 40, 0].map(Value::from));
    assert_eq!(wants(&demo, &press).0, 200);
    let (status, said) = wants(&demo, &press);
    assert_eq!(
        (status, said.as_str()),
        (409, "Not while requests still run: a press begins with an empty service.")
    );
    assert_eq!(state(&demo)["busy"], said, "the page says it too");
    assert_eq!(got(), with_it(), "the first one's callers alone");

    assert_eq!(wants(&demo, &json!({"backpressure": false, "send": 50})).0, 200);
    until(&demo, |state| state["in_flight"] == 10);
    assert_eq!(wants(&demo, &json!({"backpressure": true})).0, 200);
    assert_eq!(wants(&demo, &press).0, 409, "they were let in, and still run");
    until(&demo, |state| state["busy"].is_null());
    assert_eq!(wants(&demo, &press).0, 200);
    assert_eq!(got(), with_it(), "all ten places were free again");
}

/// A reader must not be led to compare ten requests with nine a second.
#[test]
fn what_a_press_got_never_stands_beside_a_rate() {
    let demo = Demo::start(&["--work", "1ms"]);
    let ways = |state: &Value| ["with", "without"].map(|way| state[way].clone());
    assert_eq!(wants(&demo, &json!({"send": 50})).0, 200);
    let pressed = until(&demo, |state| state["busy"].is_null());
    assert_eq!(ways(&pressed), [Value::Null, Value::Null], "{pressed}");
    assert_eq!(pressed["presses"].as_array().unwrap().len(), 1);
    assert_eq!(wants(&demo, &json!({"rate": 100})).0, 200);
    let streamed = until(&demo, |state| state["with"]["answered"].as_f64().is_some_and(|rate| rate > 0.0));
    assert_eq!(streamed["presses"], pressed["presses"], "its callers are none of the press");
}

#[test]
fn a_press_waits_for_other_callers_and_for_the_end_of_the_rate() {
    let demo = Demo::start(&["--work", "1h", "--limit", "1"]);
    let stranger = take_a_place(&demo);
    let (status, said) = wants(&demo, &json!({"send": 50}));
    assert!(status == 409 && said.contains("empty service"), "{said}");
    drop(stranger);
    until(&demo, |state| state["busy"].is_null());
    assert_eq!(wants(&demo, &json!({"rate": 1})).0, 200);
    let (status, said) = wants(&demo, &json!({"send": 50}));
    assert!(status == 409 && said.contains("slider"), "{said}");
}

/// Or whoever runs `load` next hears no 429, and does not see why.
#[test]
fn backpressure_is_on_again_soon_after_nobody_looks_any_more() {
    let demo = Demo::start(&["--work", "1ms"]);
    let mut page = send(&demo, "/events");
    let mut first = [0; 1];
    page.read_exact(&mut first).unwrap();
    let (status, said) = wants(&demo, &json!({"backpressure": false}));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &said["backpressure"]), (200, &false.into()));
    drop(page);
    until(&demo, |state| state["backpressure"] == true);
}
