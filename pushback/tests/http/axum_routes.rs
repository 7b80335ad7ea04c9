//! What a layer covers in axum, by where it stands.

use pushback::http::Classify;

use super::*;

/// A layer whose gauge is full, so that what it covers is refused.
fn full() -> BackpressureLayer {
    BackpressureLayer::new(PressureGauge::new(0))
}

fn status(app: &Router, method: &str, path: &str) -> u16 {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    smol::block_on(app.clone().oneshot(request)).unwrap().status().as_u16()
}

/// What is answered to a known path and method, to another method, and to an unknown path.
fn statuses(app: &Router) -> [u16; 3] {
    [("GET", "/work"), ("PUT", "/work"), ("GET", "/unknown")].map(|(method, path)| status(app, method, path))
}

#[test]
fn a_layer_covers_what_the_documents_say() {
    let work = || get(async || "done");
    let router = || Router::new().route("/work", work());
    // Of one route: the methods that it serves, or all.
    assert_eq!(statuses(&Router::new().route("/work", work().route_layer(full()))), [429, 405, 404]);
    assert_eq!(statuses(&Router::new().route("/work", work().layer(full()))), [429, 429, 404]);
    // Of a router: its paths by whatever method, or unknown ones too.
    assert_eq!(statuses(&router().route_layer(full())), [429, 429, 404]);
    assert_eq!(statuses(&router().layer(full())), [429, 429, 429]);
    // What comes behind the layer is not covered.
    let later = router().layer(full()).route("/later", work());
    assert_eq!((statuses(&later), status(&later, "GET", "/later")), ([429, 429, 429], 200));
}

#[test]
fn a_fallback_is_covered_by_a_layer_that_comes_behind_it() {
    let router = || Router::new().route("/work", get(async || "done"));
    let fallback = async || "instead";
    assert_eq!(statuses(&router().fallback(fallback).layer(full())), [429, 429, 429]);
    assert_eq!(statuses(&router().layer(full()).fallback(fallback)), [429, 429, 200]);
    for app in
        [router().fallback(fallback).route_layer(full()), router().route_layer(full()).fallback(fallback)]
    {
        assert_eq!(statuses(&app), [429, 429, 200], "a route_layer never covers it");
    }
    let not_allowed = |app: Router| app.method_not_allowed_fallback(fallback);
    assert_eq!(statuses(&not_allowed(router()).route_layer(full())), [429, 429, 404]);
    assert_eq!(statuses(&not_allowed(router().route_layer(full()))), [429, 200, 404]);
}

#[test]
fn an_exempt_path_is_the_one_that_the_layer_sees() {
    let layer = |path: &str| full().classify(Classify::new().exempt([path]).unwrap());
    let health = || Router::new().route("/healthz", get(async || "alive"));
    for (path, inside, around) in [("/healthz", 200, 429), ("/api/healthz", 429, 200)] {
        let app = Router::new().nest("/api", health().layer(layer(path)));
        assert_eq!(status(&app, "GET", "/api/healthz"), inside, "{path} inside");
        for app in [
            Router::new().nest("/api", health()).layer(layer(path)),
            Router::new().nest("/api", health()).route_layer(layer(path)),
        ] {
            assert_eq!(status(&app, "GET", "/api/healthz"), around, "{path} around");
        }
    }
}
