//! A cap on open connections.
#![cfg(feature = "axum")]

use std::net::SocketAddr;

use axum::{extract::ConnectInfo, serve::ListenerExt};
use pushback::http::Connections;
use tokio::net::TcpListener;

use super::*;
use crate::wire::{ask, head, line, send, serve, until};

#[tokio::test]
async fn at_the_cap_accepting_pauses_and_health_on_its_own_listener_stays_reachable() {
    let connections = Connections::at_most(2).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let app =
        Router::new().route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let capped = connections.listen(listener).tap_io(|_| ());
    tokio::spawn(axum::serve(capped, app).into_future());
    let health = serve(Router::new().route("/", get(async || "alive"))).await;

    let keep_alive = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut first = send(&address, &keep_alive).await;
    let second = send(&address, &keep_alive).await;
    assert!(head(&mut first).await.starts_with("HTTP/1.1 200 "));
    until(|| connections.snapshot().in_line == 1).await;
    let snapshot = connections.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.limit), (2, 2), "idle connections count");
    let mut third = ask(&address).await;
    assert!(head(&mut ask(&health).await).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(connections.snapshot().admitted, 2, "the third is not accepted");
    drop(second);
    assert_eq!(line(&mut third).await, "HTTP/1.1 200 OK\r\n");
    drop((first, third));
    // What is left is the place for the next one, which the listener waits with.
    until(|| connections.snapshot().in_flight == 1).await;
}

#[test]
fn a_cap_of_nothing_is_an_error() {
    let error = Connections::at_most(0).unwrap_err();
    assert_eq!(error.to_string(), "at_most is 0; allowed: 1 to 4294967295 connections");
}
