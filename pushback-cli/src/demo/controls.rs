//! The demo's page: the live page of the library, and controls of callers and gauge.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Request, State, rejection::JsonRejection},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use pushback::{PressureGauge, dashboard::Dashboard};
use serde_json::{Map, Value, json};

use super::{
    callers::{Busy, Callers},
    presence::Presence,
    service::Work,
};
use crate::origin::{self, Reach};

/// So many requests may be sent at once.
const SEND_MAX: u32 = 1_000;

struct Controls {
    gauge: PressureGauge,
    callers: Arc<Callers>,
    work: Work,
    presence: Presence,
    reach: Reach,
}

pub(super) fn router(
    gauge: &PressureGauge,
    callers: &Arc<Callers>,
    work: Work,
    presence: &Presence,
    address: SocketAddr,
) -> Router {
    let page = Dashboard::new([gauge.clone()]);
    let page = page.panel(include_str!("panel.html"), include_str!("panel.css"), include_str!("panel.js"));
    let controls = Arc::new(Controls {
        gauge: gauge.clone(),
        callers: Arc::clone(callers),
        work,
        presence: presence.clone(),
        reach: if address.ip().is_loopback() { Reach::Loopback } else { Reach::Address },
    });
    Router::new()
        .route("/demo", get(state).post(control))
        .with_state(Arc::clone(&controls))
        .merge(page.router())
        .layer(middleware::from_fn_with_state(controls, from_here))
}

/// Other pages in the same browser shall not play with it, nor with the machine's load.
async fn from_here(State(controls): State<Arc<Controls>>, request: Request, next: Next) -> Response {
    if !origin::is_here(&request, controls.reach) {
        return (StatusCode::MISDIRECTED_REQUEST, "not this host\n").into_response();
    }
    let is_stream = request.uri().path() == "/events";
    let answer = next.run(request).await;
    if is_stream && answer.status().is_success() { controls.presence.counts(answer) } else { answer }
}

async fn state(State(controls): State<Arc<Controls>>) -> Json<Value> {
    Json(controls.shown())
}

async fn control(
    State(controls): State<Arc<Controls>>,
    wanted: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let Json(wanted) = wanted.map_err(|error| (error.status(), error.body_text()))?;
    let wanted = Wanted::read(&wanted, controls.callers.rate_max);
    let wanted = wanted.map_err(|problem| (StatusCode::BAD_REQUEST, problem))?;
    controls.make(&wanted).map_err(|busy| (StatusCode::CONFLICT, busy.as_str().to_owned()))?;
    Ok(Json(controls.shown()))
}

/// What the page wants.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    send: Option<u32>,
    rate: Option<u32>,
    backpressure: Option<bool>,
}

impl Wanted {
    fn read(wanted: &Map<String, Value>, rate_max: u32) -> Result<Self, String> {
        let allowed = format!(
            "allowed: {{\"send\": 1 to {SEND_MAX}, \"rate\": 0 to {rate_max} a second, \"backpressure\": true or false}}"
        );
        let number = |value: &Value, least, most| {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number.filter(|number| (least..=most).contains(number))
        };
        let mut read = Wanted::default();
        for (key, value) in wanted {
            let is_right = match key.as_str() {
                "send" => {
                    read.send = number(value, 1, SEND_MAX);
                    read.send.is_some()
                }
                "rate" => {
                    read.rate = number(value, 0, rate_max);
                    read.rate.is_some()
                }
                "backpressure" => {
                    read.backpressure = value.as_bool();
                    read.backpressure.is_some()
                }
                _ => false,
            };
            if !is_right {
                return Err(format!("{key} is {value}; {allowed}"));
            }
        }
        Ok(read)
    }
}

impl Controls {
    /// The press is the last, so that it is of what was set with it.
    fn make(&self, wanted: &Wanted) -> Result<(), Busy> {
        if let Some(is_on) = wanted.backpressure {
            self.callers.set_backpressure(is_on);
        }
        if let Some(rate) = wanted.rate {
            self.callers.set_rate(rate);
        }
        wanted.send.map_or(Ok(()), |count| self.callers.press(count))
    }

    fn shown(&self) -> Value {
        let (seen, now, work) = (self.callers.seen(), self.gauge.snapshot(), self.work);
        json!({
            "rate": self.callers.rate(),
            "rate_max": self.callers.rate_max,
            "workers": work.workers,
            "work_seconds": work.time.as_secs_f64(),
            "beyond": work.beyond.as_str(),
            // Of work that takes no time, there is no end, which JSON has no number for.
            "capacity": work.capacity(),
            "patience_seconds": self.callers.patience.as_secs_f64(),
            "backpressure": now.dry_run.is_none_or(|dry_run| !dry_run.on),
            "in_flight": now.in_flight,
            "limit": now.limit,
            // Why the button is not to be pressed now.
            "busy": seen.busy.map(Busy::as_str),
            // The last presses, the newest first.
            "presses": seen.presses,
            // Those who come at the rate: the last of them, and what they got last, a second, each way.
            "calls": seen.letters,
            "with": seen.with,
            "without": seen.without,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_in_its_range_or_said_to_be_wrong() {
        let read = |text: &str| Wanted::read(&serde_json::from_str(text).unwrap(), 40);
        assert_eq!(read(r#"{"send": 50}"#), Ok(Wanted { send: Some(50), ..Wanted::default() }));
        assert_eq!(
            read(r#"{"rate": 0, "backpressure": false}"#),
            Ok(Wanted { send: None, rate: Some(0), backpressure: Some(false) })
        );
        for wrong in
            [r#"{"send": 0}"#, r#"{"send": 1001}"#, r#"{"rate": 41}"#, r#"{"rate": 1.5}"#, r#"{"x": 1}"#]
        {
            assert!(read(wrong).unwrap_err().contains("0 to 40 a second"), "{wrong}");
        }
    }
}
