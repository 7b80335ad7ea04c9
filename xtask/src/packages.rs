//! The Debian packages that tests need: real foreign programs, not stand-ins.

use std::{env, process::Command};

use crate::command::run;

struct Package {
    name: &'static str,
    /// The program by which one sees that it is there, whoever installed it.
    program: &'static str,
    why: &'static str,
}

const PACKAGES: [Package; 2] = [
    Package { name: "curl", program: "curl", why: "a foreign client for the demo" },
    Package { name: "hey", program: "hey", why: "a foreign load generator for the demo" },
];

/// Makes sure that all are there: installs them, or says what is missing and how to get it.
pub(crate) fn ensure(install: bool) -> Result<(), String> {
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
