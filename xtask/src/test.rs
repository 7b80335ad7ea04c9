//! All tests, in the order in which a failure is cheapest to see.

use crate::{
    command::{cargo, run, target},
    packages,
};

pub(crate) fn all(install: bool) -> Result<(), String> {
    packages::ensure(install)?;
    // Without features the core must stand alone, without any HTTP crate.
    run_cargo("check --package pushback --no-default-features")?;
    run_cargo("test --workspace --all-features")?;
    loom()
}

/// The models of all interleavings. Another build of the library, in a folder of its own.
pub(crate) fn loom() -> Result<(), String> {
    run(cargo("test --package pushback --lib --profile loom")
        .arg("--target-dir")
        .arg(target().join("loom"))
        .env("RUSTFLAGS", "--cfg pushback_loom"))
}

fn run_cargo(arguments: &str) -> Result<(), String> {
    run(&mut cargo(arguments))
}
