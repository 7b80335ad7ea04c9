//! Format, lints, documentation, the oldest compiler.

use crate::{
    command::{cargo, run},
    msrv,
};

pub(crate) fn all() -> Result<(), String> {
    run(&mut cargo("fmt --all --check"))?;
    run(&mut cargo("clippy --workspace --all-targets --all-features -- --deny warnings"))?;
    run(cargo("doc --workspace --all-features --no-deps --document-private-items")
        .env("RUSTDOCFLAGS", "--deny warnings"))?;
    msrv::check()
}
