//! What is said to whoever calls the program the wrong way: one line, with the nearest that there is.

use clap::{
    Arg, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Flags of other programs, and what they are here.
const ELSEWHERE: [(&[&str], &str); 2] = [
    (&["--port", "-p", "--address", "--addr", "--bind", "--host"], "--listen HOST:PORT"),
    (&["--upstream", "--backend", "--target", "--url", "-u"], "--to URL"),
];

/// clap's explanation in one line; help is a command away.
pub(crate) fn explain(wrong: &clap::Error, program: &Command) -> String {
    if wrong.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return format!("no command was given\n\n{wrong}");
    }
    let text = wrong.to_string();
    let problem = text.split("\n\n").next().unwrap_or(&text).trim_start_matches("error: ");
    let problem = problem.split_whitespace().collect::<Vec<_>>().join(" ");
    let meant = meant(wrong, program).or_else(|| instead(wrong, &problem)).or_else(|| nearest(&text));
    let meant = meant.map(|meant| format!("; {meant}")).unwrap_or_default();
    format!("{problem}{meant} (--help tells more)")
}

/// What stands for a flag of `load` that does not go with another one.
fn instead(wrong: &clap::Error, problem: &str) -> Option<String> {
    const WITH_RATE: [(&str, &str); 2] = [
        ("--requests", "with --rate, use --duration TIME to say how long to send"),
        ("--concurrency", "with --rate, requests wait for no others, so leave it out"),
    ];
    let is_conflict = wrong.kind() == ErrorKind::ArgumentConflict && problem.contains("--rate");
    let (_, said) = WITH_RATE.iter().find(|(flag, _)| is_conflict && problem.contains(flag))?;
    Some((*said).to_owned())
}

/// What clap finds near to what was said. That it may be a value that looks like a flag is hardly ever meant.
fn nearest(text: &str) -> Option<String> {
    let mut tips = text.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    tips.rfind(|tip| !tip.contains("as a value")).map(str::to_owned)
}

/// The flag of this command that has another name elsewhere, or was left out before its value.
fn meant(wrong: &clap::Error, program: &Command) -> Option<String> {
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(said))) =
        (wrong.kind(), wrong.get(ContextKind::InvalidArg))
    else {
        return None;
    };
    let first = std::env::args_os().nth(1)?;
    let Some(command) = program.find_subcommand(first) else {
        let behind = program.get_subcommands().filter(|command| has(command, said)).map(Command::get_name);
        let behind = behind.collect::<Vec<_>>().join(", ");
        return (!behind.is_empty()).then(|| format!("it belongs after a command: {behind}"));
    };
    let flag = match said.as_str() {
        url if url.contains("://") => "--to URL",
        file if file.ends_with(".toml") => "--config FILE",
        said => ELSEWHERE.iter().find(|(names, _)| names.contains(&said))?.1,
    };
    has(command, flag.split(' ').next()?).then(|| format!("here it is {flag}"))
}

fn has(command: &Command, flag: &str) -> bool {
    command.get_arguments().filter_map(Arg::get_long).any(|name| flag.strip_prefix("--") == Some(name))
}
