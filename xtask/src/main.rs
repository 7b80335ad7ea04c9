//! What a developer runs: `cargo xtask test`, `lint`, `bench`, `plots`.

mod bench;
mod command;
mod lint;
mod msrv;
mod packages;
mod plots;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a developer of pushback runs.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run all tests: unit, documentation, examples, model, soak, the program, and the loom models
    Test {
        /// Install the Debian packages that are missing, with apt-get; without it they are listed
        #[arg(long)]
        install: bool,
    },
    /// Check format, lints, documentation and the oldest compiler
    Lint,
    /// Run the loom models alone
    Loom,
    /// Check that no crate needs a newer compiler than it says
    Msrv,
    /// Measure
    Bench {
        #[command(subcommand)]
        what: bench::What,
    },
    /// Draw the pictures of docs/limits.md
    Plots {
        /// That of the live page instead, by a browser
        #[arg(long)]
        page: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Test { install } => test::all(install),
        Task::Lint => lint::all(),
        Task::Loom => test::loom(),
        Task::Msrv => msrv::check(),
        Task::Bench { what } => bench::run(what),
        Task::Plots { page: false } => plots::draw(),
        Task::Plots { page: true } => plots::page(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
