//! What tests need that cargo does not install: real foreign programs, not stand-ins.

use std::{env, path::Path, process::Command};

use crate::command::{run, target};

struct Package {
    name: &'static str,
    /// The program by which one sees that it is there, whoever installed it.
    program: &'static str,
    why: &'static str,
}

const PACKAGES: [Package; 7] = [
    Package { name: "chromium", program: "chromium", why: "a real browser, for the live page" },
    Package { name: "curl", program: "curl", why: "a foreign client" },
    Package { name: "hey", program: "hey", why: "a foreign load generator" },
    Package { name: "nghttp2-client", program: "h2load", why: "a foreign load generator over HTTP/2" },
    Package { name: "prometheus", program: "promtool", why: "reads the proxy's metrics as Prometheus does" },
    Package {
        name: "nodejs",
        program: "node",
        why: "a foreign parser of HTTP, which reads what the proxy sends",
    },
    Package { name: "python3-venv", program: "python3", why: "runs grpcio, a foreign gRPC client" },
];

/// What is installed from PyPI, into a folder of the target's own: a foreign gRPC, and what drives the browser.
const FROM_PYPI: [&str; 2] = ["grpcio==1.85.1", "playwright==1.65.2"];

/// Makes sure that all are there: installs them, or says what is missing and how to get it.
pub(crate) fn ensure(install: bool) -> Result<(), String> {
    debian(install)?;
    pypi(install)
}

fn pypi(install: bool) -> Result<(), String> {
    let environment = target().join("foreign-python");
    for package in FROM_PYPI {
        // Behind the installation, so that one which broke off is done again.
        if !install && !environment.join(package).is_file() {
            return Err(format!(
                "the tests need {package} from PyPI in {}: `cargo xtask test --install` installs it there",
                environment.display()
            ));
        }
        from_pypi(package, &environment)?;
    }
    Ok(())
}

/// Installs a package into an environment of its own, unless it is there.
pub(crate) fn from_pypi(package: &str, environment: &Path) -> Result<(), String> {
    let done = environment.join(package);
    if done.is_file() {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(environment))?;
    let python = environment.join("bin/python");
    run(Command::new(python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        package,
    ]))?;
    mark(&done)
}

fn mark(done: &Path) -> Result<(), String> {
    std::fs::write(done, "").map_err(|error| format!("{}: {error}", done.display()))
}

fn debian(install: bool) -> Result<(), String> {
    let missing: Vec<&Package> = PACKAGES.iter().filter(|package| !is_there(package.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !install {
        let list: String =
            missing.iter().map(|package| format!("\n  {}: {}", package.name, package.why)).collect();
        return Err(format!(
            "the tests need Debian packages that are missing:{list}\n\
             `cargo xtask test --install` installs them, or: apt-get install {}",
            names.join(" ")
        ));
    }
    run(apt_get().args(["update", "--quiet"]))?;
    run(apt_get().args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(names))
}

/// As root: by sudo, unless this is root already.
fn apt_get() -> Command {
    let is_root =
        Command::new("id").arg("-u").output().is_ok_and(|answer| answer.stdout.trim_ascii() == b"0");
    let mut command = if is_root {
        Command::new("apt-get")
    } else {
        let mut command = Command::new("sudo");
        command.args(["--preserve-env=DEBIAN_FRONTEND", "apt-get"]);
        command
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Whether the PATH has such a program.
pub(crate) fn is_there(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
