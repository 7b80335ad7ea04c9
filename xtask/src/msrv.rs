//! The oldest compiler: each crate's `rust-version` is at least what its dependencies ask for, and its own code uses
//! nothing newer.
//!
//! clippy's `incompatible_msrv` finds functions of the standard library that are too new, this finds dependencies, and
//! let chains, which edition 2024 has since Rust 1.88. Where rustup has the compiler itself, it builds the crates too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use serde_json::Value;

use crate::command::{cargo, output, root, run};

type Version = (u32, u32);

const LET_CHAINS: Version = (1, 88);
/// In two pieces, or this line would be one.
const LET_CHAIN: &str = concat!("&&", " let ");

pub(crate) fn check() -> Result<(), String> {
    let text = output(&mut cargo("metadata --format-version 1 --all-features --locked"))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let packages: BTreeMap<&str, &Value> =
        array(&metadata["packages"]).map(|package| (text_of(&package["id"]), package)).collect();
    let needs: BTreeMap<&str, Vec<&str>> = array(&metadata["resolve"]["nodes"])
        .map(|node| (text_of(&node["id"]), needed_to_build(node)))
        .collect();
    let mut oldest = BTreeSet::new();
    for member in array(&metadata["workspace_members"]) {
        let package = packages[text_of(member)];
        let name = text_of(&package["name"]);
        let own = version(package).ok_or_else(|| format!("{name} says no rust-version"))?;
        oldest.insert((own, name));
        for id in reachable(text_of(member), &needs) {
            if version(packages[id]).is_some_and(|needed| needed > own) {
                let dependency = packages[id];
                return Err(format!(
                    "{name} says rust-version {}.{}, but its dependency {} {} needs {}",
                    own.0, own.1, dependency["name"], dependency["version"], dependency["rust_version"]
                ));
            }
        }
        if own < LET_CHAINS {
            let folder = Path::new(text_of(&package["manifest_path"])).parent().unwrap_or(root()).join("src");
            without_let_chains(&folder)?;
        }
    }
    for (version, name) in oldest {
        eprintln!("{name}: Rust {}.{} suffices for its dependencies", version.0, version.1);
        build_with(version, name)?;
    }
    Ok(())
}

/// Normal and build dependencies: what users compile.
fn needed_to_build(node: &Value) -> Vec<&str> {
    array(&node["deps"])
        .filter(|dependency| {
            array(&dependency["dep_kinds"]).any(|kind| kind["kind"] != "dev" && !only_loom(kind))
        })
        .map(|dependency| text_of(&dependency["pkg"]))
        .collect()
}

fn only_loom(kind: &Value) -> bool {
    text_of(&kind["target"]) == "cfg(pushback_loom)"
}

fn reachable<'a>(from: &'a str, needs: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(id) = next.pop() {
        if seen.insert(id) {
            next.extend(needs.get(id).into_iter().flatten());
        }
    }
    seen
}

fn without_let_chains(folder: &Path) -> Result<(), String> {
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            without_let_chains(&path)?;
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if let Some((number, _)) = text
            .lines()
            .enumerate()
            .find(|(_, line)| line.contains(LET_CHAIN) && !line.trim_start().starts_with("//"))
        {
            return Err(format!("{}:{}: a let chain needs Rust 1.88", path.display(), number + 1));
        }
    }
    Ok(())
}

/// Builds with the oldest compiler itself, if rustup has it; CI on GitHub does.
fn build_with((major, minor): Version, name: &str) -> Result<(), String> {
    let toolchain = format!("{major}.{minor}");
    let has = Command::new("rustup").args(["run", &toolchain, "rustc", "--version"]).output();
    if !has.is_ok_and(|answer| answer.status.success()) {
        eprintln!("  (not built with it: rustup has no toolchain {toolchain} here)");
        return Ok(());
    }
    run(Command::new("rustup")
        .args(["run", &toolchain, "cargo", "check", "--all-features", "--package", name])
        .env("CARGO_TARGET_DIR", crate::command::target().join(format!("rust-{toolchain}")))
        .current_dir(root()))
}

fn version(package: &Value) -> Option<Version> {
    let mut parts = package["rust_version"].as_str()?.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
