//! The commands that the documents tell are commands that the program knows.

use std::{fs, path::Path};

use clap::{CommandFactory, Parser};

use crate::Arguments;

/// A command of a document, without what runs the program.
struct Told {
    document: String,
    command: String,
    /// It stands in a block of code, to be run as it is.
    is_whole: bool,
}

fn told() -> Vec<Told> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folders = ["", "docs", "docs/decisions"].map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let files = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|ending| ending == "md"));
    files
        .flat_map(|file| {
            let document = file.strip_prefix(root).unwrap().display().to_string();
            let commands = commands(&fs::read_to_string(&file).unwrap());
            commands.into_iter().map(move |(command, is_whole)| Told {
                document: document.clone(),
                command,
                is_whole,
            })
        })
        .collect()
}

/// In blocks of code, up to a comment, and between backticks; and whether it is the former.
fn commands(text: &str) -> Vec<(String, bool)> {
    let mut is_code = false;
    let mut all = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            all.push((line.trim().trim_start_matches("$ "), true));
        } else {
            all.extend(line.split('`').skip(1).step_by(2).map(|code| (code, false)));
        }
    }
    let runs = ["pushback ", "target/release/pushback ", "cargo run --release -- "];
    let of = |(code, is_whole): (&str, bool)| {
        let command = runs.iter().find_map(|run| code.strip_prefix(run))?;
        let command = command.split(" #").next()?.trim();
        // A line of another language that begins with the name.
        (!command.starts_with(['"', '=']))
            .then(|| (command.to_owned(), is_whole && !command.split_whitespace().any(is_open)))
    };
    all.into_iter().filter_map(of).collect()
}

/// A part that a reader fills in: `FILE`, `N`, `http://HOST/pressure`, or that is left out.
fn is_open(word: &str) -> bool {
    let capitals = |part: &str| !part.is_empty() && part.chars().all(|letter| letter.is_ascii_uppercase());
    word.contains(['…', '*']) || word.split(|letter: char| !letter.is_alphanumeric()).any(capitals)
}

#[test]
fn each_command_and_each_of_its_flags_is_known() {
    let told = told();
    assert!(told.len() > 30, "{} commands are few", told.len());
    let known = Arguments::command();
    for Told { document, command, .. } in told {
        let words: Vec<&str> = command.split_whitespace().collect();
        let wanted = known.find_subcommand(words[0]);
        let wanted = wanted.unwrap_or_else(|| panic!("{document}: there is no '{}': {command}", words[0]));
        for flag in words.iter().filter_map(|word| word.strip_prefix("--")) {
            let name = flag.split('=').next().unwrap();
            let is_known =
                name == "help" || wanted.get_arguments().any(|known| known.get_long() == Some(name));
            assert!(is_known, "{document}: there is no '--{name}': {command}");
        }
    }
}

#[test]
fn what_stands_in_blocks_of_code_can_be_run_as_it_is() {
    let whole: Vec<Told> = told().into_iter().filter(|told| told.is_whole).collect();
    assert!(whole.len() > 5, "{} commands are few", whole.len());
    for Told { document, command, .. } in whole {
        let words = ["pushback"].into_iter().chain(command.split_whitespace());
        let wrong = Arguments::try_parse_from(words).err();
        assert!(wrong.is_none(), "{document}: {command}: {}", wrong.unwrap());
    }
}

#[test]
fn commands_are_found_in_code_and_between_backticks() {
    let text = "Say `pushback sim --full`, or:\n```sh\n$ cargo run --release -- demo   # and look\npushback sim FILE\n```\n`pushback`";
    let found = commands(text);
    let expected = [("sim --full", false), ("demo", true), ("sim FILE", false)];
    assert_eq!(found, expected.map(|(command, is_whole)| (command.to_owned(), is_whole)));
    for (word, open) in
        [("FILE.toml", true), ("http://HOST/x", true), ("a,…", true), ("http://a:3000", false)]
    {
        assert_eq!(is_open(word), open, "{word}");
    }
}
