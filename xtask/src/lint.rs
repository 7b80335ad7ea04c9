//! Format, lints, documentation, the oldest compiler.

use crate::{
    command::{cargo, run},
    msrv,
};

pub(crate) fn all() -> Result<(), String> {
    run(&mut cargo("fmt --all --check"))?;
    run(&mut cargo("clippy --workspace --all-targets --all-features -- --deny warnings"))?;
    // Each feature of the library alone, and none.
    for features in ["", "http", "axum", "metrics", "tracing"] {
        let library = format!(
            "clippy --package pushback --no-default-features --features={features} -- --deny warnings"
        );
        run(&mut cargo(&library))?;
    }
    run(cargo("doc --workspace --all-features --no-deps --document-private-items")
        .env("RUSTDOCFLAGS", "--deny warnings"))?;
    // What would be published builds alone.
    run(&mut cargo("package --package pushback --all-features --allow-dirty"))?;
    msrv::check()
}
