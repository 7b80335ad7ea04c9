//! Arrows between the library's modules point down: ARCHITECTURE.md's picture, held against the `crate::` paths.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the top down; each may use those below it.
const ORDER: [&str; 16] = [
    "dashboard",
    "http",
    "gauge",
    "line",
    "limit",
    "slots",
    "notebook",
    "snapshot",
    "arrival",
    "outcome",
    "telemetry",
    "rejected",
    "settings",
    "dice",
    "clock",
    "sync",
];

#[test]
fn arrows_between_modules_point_down() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut arrows = 0;
    for file in files(&source) {
        let path = file.strip_prefix(&source).unwrap();
        let module = path.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        // The crate's root names all of them, and the models are tests.
        if module == "lib" || path.ends_with("models.rs") || path.ends_with("faults.rs") {
            continue;
        }
        let from = rank(module);
        for used in used_modules(&fs::read_to_string(&file).unwrap()) {
            arrows += 1;
            assert!(
                used == module || rank(&used) > from,
                "{} uses {used}, which lies above it",
                path.display()
            );
        }
    }
    assert!(arrows > 30, "the paths were found: {arrows}");
}

fn rank(module: &str) -> usize {
    ORDER
        .iter()
        .position(|name| *name == module)
        .unwrap_or_else(|| panic!("{module} has no place in the order"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The first names behind `crate::`, those in braces too; comments do not count.
fn used_modules(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut used = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            used.push(name_at_start(rest));
            continue;
        };
        let mut depth = 0;
        let mut at_start = true;
        for (index, letter) in list.char_indices() {
            match letter {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => at_start = true,
                _ if at_start && letter.is_alphabetic() => {
                    used.push(name_at_start(&list[index..]));
                    at_start = false;
                }
                _ => (),
            }
        }
    }
    used
}

fn name_at_start(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

#[test]
fn paths_are_found_alone_and_in_braces() {
    let text =
        "use crate::clock::Clock;\nuse crate::{line::{Line, queue::Queue}, slots::Slots};\n// crate::http";
    assert_eq!(used_modules(text), ["clock", "line", "slots"]);
}
