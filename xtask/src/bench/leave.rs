//! Which services notice that the client of a call has gone, and whether their work stops: `xtask/leave/` asks real ones, and leaves.

use std::process::Command;

use crate::{
    command::{root, run as run_command, target},
    packages,
};

const FROM_PYPI: [&str; 3] = ["grpcio==1.85.1", "gunicorn==27.0.1", "uvicorn==0.54.0"];

/// For information: nothing must come out.
pub(crate) fn run() -> Result<(), String> {
    if !packages::is_there("node") {
        return Err("Node is one of the services, and is not installed (Debian: nodejs)".to_owned());
    }
    let environment = target().join("leave-python");
    for package in FROM_PYPI {
        packages::from_pypi(package, &environment)?;
    }
    let script = root().join("xtask/leave/leave.py");
    // What Python compiles would lie beside the scripts.
    run_command(Command::new(environment.join("bin/python")).arg(script).env("PYTHONDONTWRITEBYTECODE", "1"))
}
