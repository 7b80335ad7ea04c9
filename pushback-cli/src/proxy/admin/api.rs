//! `/api/gauges`: what they are, and other limits for them, for whoever has the token.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use pushback::{DryRunMode, PressureGauge};
use serde_json::{Map, Value, json};

use super::guard::{self, Guard};
use crate::proxy::front::site::Sites;

/// More than any change is long.
const BODY_MAX: usize = 4096;

pub(super) fn router(sites: &Arc<Sites>, guard: &Arc<Guard>) -> Router {
    Router::new()
        .route("/api/gauges", get(all))
        .route("/api/gauges/{name}", get(one).patch(change))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(guard), guard::known))
        .with_state(Arc::clone(sites))
}

async fn all(State(sites): State<Arc<Sites>>) -> Json<Value> {
    Json(json!({ "gauges": sites.now().gauges.iter().map(PressureGauge::snapshot).collect::<Vec<_>>() }))
}

async fn one(State(sites): State<Arc<Sites>>, Path(name): Path<String>) -> Response {
    match gauge(&sites, &name) {
        Ok(gauge) => Json(gauge.snapshot()).into_response(),
        Err(problem) => wrong(StatusCode::NOT_FOUND, &problem),
    }
}

async fn change(State(sites): State<Arc<Sites>>, Path(name): Path<String>, body: Bytes) -> Response {
    let gauge = match gauge(&sites, &name) {
        Ok(gauge) => gauge,
        Err(problem) => return wrong(StatusCode::NOT_FOUND, &problem),
    };
    match Change::read(&body).and_then(|change| change.fits(&gauge).map(|()| change)) {
        Ok(change) => {
            change.make(&gauge);
            tracing::info!(
                gauge = gauge.name(),
                limit = change.limit,
                pinned = change.pinned,
                paused = change.paused,
                dry_run = change.dry_run,
                "changed by the API"
            );
            Json(gauge.snapshot()).into_response()
        }
        Err(problem) => wrong(StatusCode::BAD_REQUEST, &problem),
    }
}

fn gauge(sites: &Sites, name: &str) -> Result<PressureGauge, String> {
    let site = sites.now();
    let gauge = site.gauges.iter().find(|gauge| gauge.name() == name);
    gauge.cloned().ok_or_else(|| {
        let names: Vec<_> = site.gauges.iter().map(PressureGauge::name).collect();
        format!("there is no gauge {name:?}; there are: {}", names.join(", "))
    })
}

fn wrong(status: StatusCode, problem: &str) -> Response {
    (status, Json(json!({ "error": problem }))).into_response()
}

/// What an operator wants of a gauge.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    limit: Option<u32>,
    /// Whether a limit that moves is to stay where it is.
    pinned: Option<bool>,
    /// Whether nobody is to be admitted, and the queue kept.
    paused: Option<bool>,
    dry_run: Option<bool>,
}

impl Change {
    /// All of it is right, or nothing is changed.
    fn read(body: &[u8]) -> Result<Self, String> {
        let allowed = "allowed: {\"limit\": 0 to 4294967295, \"pinned\": true or false, \"paused\": true or false, \
                       \"dry_run\": true or false}, one of them or more";
        let body: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| format!("this is not a JSON object: {error}; {allowed}"))?;
        if body.is_empty() {
            return Err(format!("there is nothing to change; {allowed}"));
        }
        let mut change = Change { limit: None, pinned: None, paused: None, dry_run: None };
        for (key, value) in &body {
            match (key.as_str(), value) {
                ("limit", Value::Number(limit)) => {
                    let limit = limit.as_u64().and_then(|limit| u32::try_from(limit).ok());
                    change.limit = Some(limit.ok_or_else(|| format!("limit is {value}; {allowed}"))?);
                }
                ("pinned", Value::Bool(pinned)) => change.pinned = Some(*pinned),
                ("paused", Value::Bool(paused)) => change.paused = Some(*paused),
                ("dry_run", Value::Bool(on)) => change.dry_run = Some(*on),
                ("limit" | "pinned" | "paused" | "dry_run", _) => {
                    return Err(format!("{key} is {value}; {allowed}"));
                }
                _ => return Err(format!("there is no {key:?}; {allowed}")),
            }
        }
        Ok(change)
    }

    /// Whether this gauge can be changed so.
    fn fits(&self, gauge: &PressureGauge) -> Result<(), String> {
        let moves = gauge.snapshot().why.is_some();
        if self.pinned.is_some() && !moves {
            let name = gauge.name();
            return Err(format!(
                "the limit of {name} is fixed and stays where it is set; pinned is for limits that move"
            ));
        }
        Ok(())
    }

    fn make(&self, gauge: &PressureGauge) {
        match (self.limit, self.pinned) {
            (limit, Some(true)) => gauge.pin(limit.unwrap_or_else(|| gauge.snapshot().limit)),
            (Some(limit), _) => gauge.set_limit(limit),
            (None, _) => (),
        }
        if self.pinned == Some(false) {
            gauge.unpin();
        }
        match self.paused {
            Some(true) => gauge.pause(),
            Some(false) => gauge.resume(),
            None => (),
        }
        if let Some(on) = self.dry_run {
            gauge.set_dry_run(if on { DryRunMode::On } else { DryRunMode::Off });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_whole_or_not_at_all() {
        let read = |text: &str| Change::read(text.as_bytes());
        let nothing = Change { limit: None, pinned: None, paused: None, dry_run: None };
        assert_eq!(read(r#"{"limit": 7}"#), Ok(Change { limit: Some(7), ..nothing }));
        assert_eq!(read(r#"{"pinned": false}"#), Ok(Change { pinned: Some(false), ..nothing }));
        assert_eq!(
            read(r#"{"dry_run": true, "limit": 0, "pinned": true}"#),
            Ok(Change { limit: Some(0), pinned: Some(true), dry_run: Some(true), ..nothing })
        );
        assert_eq!(read(r#"{"paused": true}"#), Ok(Change { paused: Some(true), ..nothing }));
        for wrong in [
            "",
            "[]",
            "{}",
            "7",
            r#"{"limit": -1}"#,
            r#"{"limit": 1.5}"#,
            r#"{"limit": 4294967296}"#,
            r#"{"limit": "7"}"#,
            r#"{"dry_run": 1}"#,
            r#"{"limit": 7, "pinned": 1}"#,
            r#"{"limit": 7, "pinned": null}"#,
            r#"{"limit": 7, "pin": true}"#,
            r#"{"limit": 7, "line": 3}"#,
            r#"{"limit": 7"#,
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("allowed: {\"limit\": 0 to 4294967295"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_limit_is_pinned_where_it_is_or_where_it_is_set_and_let_go_there() {
        let gauge = PressureGauge::auto();
        let make = |text: &str| {
            let change = Change::read(text.as_bytes()).unwrap();
            change.fits(&gauge).unwrap();
            change.make(&gauge);
            let snapshot = gauge.snapshot();
            (snapshot.limit, snapshot.pinned)
        };
        assert_eq!(make(r#"{"limit": 9}"#), (9, false));
        assert_eq!(make(r#"{"pinned": true}"#), (9, true));
        assert_eq!(make(r#"{"limit": 12}"#), (12, true));
        assert_eq!(make(r#"{"limit": 30, "pinned": true}"#), (30, true));
        assert_eq!(make(r#"{"pinned": false}"#), (30, false));
        assert_eq!(make(r#"{"pinned": false, "limit": 5}"#), (5, false));
    }

    #[test]
    fn a_paused_gauge_admits_nobody_until_it_is_resumed() {
        let gauge = PressureGauge::new(3);
        for (text, admits) in [(r#"{"paused": true}"#, false), (r#"{"paused": false}"#, true)] {
            Change::read(text.as_bytes()).unwrap().make(&gauge);
            assert_eq!((gauge.snapshot().paused, gauge.try_acquire().is_ok()), (!admits, admits));
        }
    }

    #[test]
    fn a_fixed_limit_cannot_be_pinned() {
        let gauge = PressureGauge::new(3);
        for text in [r#"{"limit": 7, "pinned": true}"#, r#"{"pinned": false}"#] {
            let problem = Change::read(text.as_bytes()).unwrap().fits(&gauge).unwrap_err();
            assert!(problem.contains("gauge is fixed") && problem.contains("limits that move"), "{problem}");
        }
        assert_eq!(Change::read(br#"{"limit": 7}"#).unwrap().fits(&gauge), Ok(()));
    }
}
