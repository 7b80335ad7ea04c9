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
    match Change::read(&body) {
        Ok(change) => {
            change.make(&gauge);
            tracing::info!(
                gauge = gauge.name(),
                limit = change.limit,
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
    dry_run: Option<bool>,
}

impl Change {
    /// All of it is right, or nothing is changed.
    fn read(body: &[u8]) -> Result<Self, String> {
        let allowed =
            "allowed: {\"limit\": 0 to 4294967295, \"dry_run\": true or false}, one of them or both";
        let body: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| format!("this is no JSON object: {error}; {allowed}"))?;
        if body.is_empty() {
            return Err(format!("there is nothing to change; {allowed}"));
        }
        let mut change = Change { limit: None, dry_run: None };
        for (key, value) in &body {
            match (key.as_str(), value) {
                ("limit", Value::Number(limit)) => {
                    let limit = limit.as_u64().and_then(|limit| u32::try_from(limit).ok());
                    change.limit = Some(limit.ok_or_else(|| format!("limit is {value}; {allowed}"))?);
                }
                ("dry_run", Value::Bool(on)) => change.dry_run = Some(*on),
                _ => return Err(format!("{key} is {value}; {allowed}")),
            }
        }
        Ok(change)
    }

    fn make(&self, gauge: &PressureGauge) {
        if let Some(limit) = self.limit {
            gauge.set_limit(limit);
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
        assert_eq!(read(r#"{"limit": 7}"#), Ok(Change { limit: Some(7), dry_run: None }));
        assert_eq!(
            read(r#"{"dry_run": true, "limit": 0}"#),
            Ok(Change { limit: Some(0), dry_run: Some(true) })
        );
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
            r#"{"limit": 7, "line": 3}"#,
            r#"{"limit": 7"#,
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("allowed: {\"limit\": 0 to 4294967295"), "{wrong}: {error}");
        }
    }
}
