//! The program `pushback`.

mod demo;
#[cfg(test)]
mod documents;
mod failure;
mod files;
mod listen;
mod load;
mod origin;
mod output;
mod proxy;
mod rarely;
mod settings;
mod shutdown;
mod sim;
mod top;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

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
    Check(proxy::CheckArguments),
    Demo(demo::Arguments),
    Load(load::Arguments),
    Proxy(proxy::Arguments),
    Sim(sim::Arguments),
    Top(top::Arguments),
}

fn main() -> ExitCode {
    let _last_words = output::LastWords::begin();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output::report(&failure),
    }
}

fn run() -> Result<(), Failure> {
    let said = Arguments::command().try_get_matches();
    let command = match said.and_then(|said| Ok((Arguments::from_arg_matches(&said)?, said))) {
        Ok((Arguments { command }, said)) => {
            proxy::check_flags(&said).map_err(Failure::wrong)?;
            command
        }
        Err(answer) if !answer.use_stderr() => return output::print(&answer.render().to_string()),
        Err(wrong) => return Err(Failure::wrong(usage::explain(&wrong, &Arguments::command()))),
    };
    let command = match command {
        Command::Check(arguments) => return proxy::check(&arguments),
        Command::Sim(arguments) => return sim::run(&arguments),
        other => other,
    };
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::run(format!("cannot start the runtime: {error}")))?;
    let done = runtime.block_on(async {
        match command {
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::Load(arguments) => load::run(arguments).await,
            Command::Proxy(arguments) => proxy::run(arguments).await,
            Command::Top(arguments) => top::run(arguments).await,
            Command::Check(arguments) => proxy::check(&arguments),
            Command::Sim(arguments) => sim::run(&arguments),
        }
    });
    // A name look-up that hangs in the operating system must not hold up the end.
    runtime.shutdown_background();
    done
}
