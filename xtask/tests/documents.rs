//! What the documents refer to is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All of ours, and no others that lie about.
fn documents() -> Vec<PathBuf> {
    let folders = ["", "docs", "docs/decisions"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    let mut documents: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|ending| ending == "md")).collect();
    documents.sort();
    documents
}

/// What stands behind `](` in a text, but for what stands in code.
fn links(text: &str) -> Vec<String> {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    let of_line = |line: &str| {
        let parts = line.split("](").skip(1).filter_map(|part| part.split_once(')'));
        parts.map(|(link, _)| link.to_owned()).collect::<Vec<_>>()
    };
    lines.flat_map(of_line).collect()
}

/// As GitHub names them: small letters, digits, and a dash for each blank.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let name = heading.trim_start_matches('#').trim().to_lowercase();
        let letters = name.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        letters.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut dead = Vec::new();
    let mut seen = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            seen += 1;
            let (path, anchor) =
                link.split_once('#').map_or((&link[..], None), |(path, anchor)| (path, Some(anchor)));
            let target =
                if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let has_anchor =
                |anchor| fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(&anchor));
            if !target.exists() || !anchor.is_none_or(|anchor| has_anchor(anchor.to_owned())) {
                dead.push(format!("{}: {link}", document.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(seen > 50, "{seen} links are few");
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn what_is_no_link_is_none_and_headings_have_their_anchors() {
    let text = "# A `b`: c-d\n[one](a.md#x) and [two](b.md)\n```rust\nlet x = y[0](z);\n```\n";
    assert_eq!(links(text), ["a.md#x", "b.md"]);
    assert_eq!(anchors(text), ["a-b-c-d"]);
}

/// cargo only warns of one that does not.
#[test]
fn each_package_says_where_its_project_is() {
    for package in ["pushback", "pushback-lab", "pushback-cli", "xtask"] {
        let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("\nrepository.workspace = true\n"), "{package} does not");
    }
}
