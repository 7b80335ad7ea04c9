//! The program `pushback`.

mod demo;
mod failure;
mod load;
mod settings;
mod shutdown;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Backpressure for services: limit the work in flight, refuse or queue the rest at once.
#[derive(Parser)]
#[command(name = "pushback", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Load(load::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::try_parse() {
        Ok(Arguments { command: Command::Demo(arguments) }) => demo::run(arguments).await,
        Ok(Arguments { command: Command::Load(arguments) }) => load::run(arguments).await,
        Err(answer) if !answer.use_stderr() => {
            // Help and version are answers; if nobody listens any more, there is nothing left to do.
            let _ = answer.print();
            Ok(())
        }
        Err(wrong) => Err(Failure::usage(&wrong)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
