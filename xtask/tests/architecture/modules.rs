//! A crate's modules, and which of them ask which.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs, path,
};

use crate::source::{Path, Source};

/// The names from the crate's root.
type Name = Vec<String>;

pub(crate) struct Modules(BTreeMap<Name, Module>);

#[derive(Default)]
struct Module {
    file: String,
    paths: Vec<Path>,
}

/// A module, or one below it, names something of its sibling, or below that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    /// The module whose children both are.
    pub(crate) within: Name,
    pub(crate) from: String,
    pub(crate) to: String,
    /// The file, the line, and the path that stands there.
    pub(crate) seen: String,
}

/// So many times something may be known under another name.
const DETOURS_MAX: usize = 16;

impl Modules {
    /// All files in a folder.
    pub(crate) fn read(folder: &path::Path) -> Self {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    let name = path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
                    files.push((name, fs::read_to_string(&path).unwrap()));
                }
            }
        }
        Modules::of(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    /// Files by their names and texts.
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut modules: BTreeMap<Name, Module> = BTreeMap::new();
        let mut tests: Vec<Name> = Vec::new();
        for (file, text) in files {
            let name = file.trim_end_matches(".rs");
            let name = if matches!(name, "lib" | "main") { "" } else { name.trim_end_matches("/mod") };
            let name: Name = name.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
            modules.entry(name.clone()).or_default().file = file.to_owned();
            let source = Source::read(text);
            tests.extend(source.tests.into_iter().map(|test| [&name[..], &[test]].concat()));
            for path in source.paths {
                let module = modules.entry([&name[..], &path.inside[..]].concat()).or_default();
                file.clone_into(&mut module.file);
                module.paths.push(path);
            }
        }
        modules.retain(|name, _| !tests.iter().any(|test| name.starts_with(test)));
        Modules(modules)
    }

    /// All arrows; what a module and those below it have with each other is their own.
    pub(crate) fn arrows(&self) -> BTreeSet<Arrow> {
        let mut arrows = BTreeSet::new();
        for (name, module) in &self.0 {
            for path in &module.paths {
                let Some(to) = self.home(name, &path.names, DETOURS_MAX) else { continue };
                let common = name.iter().zip(&to).take_while(|(from, to)| from == to).count();
                if let (Some(from), Some(to)) = (name.get(common), to.get(common)) {
                    let seen = format!("{}:{}: {}", module.file, path.line, path.names.join("::"));
                    let (from, to) = (from.clone(), to.clone());
                    arrows.insert(Arrow { within: name[..common].to_vec(), from, to, seen });
                }
            }
        }
        arrows
    }

    /// The module that a path leads to, or in which that stands which it leads to, by whatever name it goes there. None if it leads
    /// to another crate.
    fn home(&self, from: &[String], names: &[String], detours: usize) -> Option<Name> {
        let detours = detours.checked_sub(1)?;
        let mut here = from.to_vec();
        for (at, name) in names.iter().enumerate() {
            let child = [&here[..], std::slice::from_ref(name)].concat();
            match name.as_str() {
                "crate" => here.clear(),
                "self" => (),
                "super" => _ = here.pop(),
                _ if self.0.contains_key(&child) => here = child,
                _ => {
                    let known = self.0.get(&here).into_iter().flat_map(|module| &module.paths);
                    let mut known = known.filter(|path| path.known_as.as_ref() == Some(name));
                    return match known.next() {
                        // Behind another name there may be more.
                        Some(path) if path.names != names => {
                            self.home(&here, &[&path.names[..], &names[at + 1..]].concat(), detours)
                        }
                        _ if at == 0 => None,
                        _ => Some(here),
                    };
                }
            }
        }
        Some(here)
    }
}

/// Each circle in words: its modules, and where they ask each other.
pub(crate) fn circles(arrows: &BTreeSet<Arrow>) -> Vec<String> {
    let mut rooms: BTreeMap<&Name, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for arrow in arrows {
        let room = rooms.entry(&arrow.within).or_default();
        room.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    let mut told = Vec::new();
    for (within, ways) in &rooms {
        let mut known = BTreeSet::new();
        for circle in ways.keys().filter_map(|start| circle(ways, start)) {
            if !known.insert(circle.iter().copied().collect::<BTreeSet<_>>()) {
                continue;
            }
            let place = if within.is_empty() { "the crate's root".to_owned() } else { within.join("::") };
            let mut text = format!("in {place}: {} → {}", circle.join(" → "), circle[0]);
            let next = circle.iter().cycle().skip(1);
            for (from, to) in circle.iter().zip(next) {
                let is_one =
                    |arrow: &&Arrow| arrow.within == **within && arrow.from == *from && arrow.to == *to;
                for arrow in arrows.iter().filter(is_one) {
                    text.push_str(&format!("\n  {from} → {to}: {}", arrow.seen));
                }
            }
            told.push(text);
        }
    }
    told
}

/// The shortest circle through this one.
fn circle<'a>(ways: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut queue = VecDeque::from([vec![start]]);
    let mut known = BTreeSet::new();
    while let Some(way) = queue.pop_front() {
        for next in ways.get(way.last()?).into_iter().flatten() {
            if *next == start {
                return Some(way);
            }
            if known.insert(*next) {
                queue.push_back([&way[..], &[*next]].concat());
            }
        }
    }
    None
}

/// What is told of the circles in these files.
#[cfg(test)]
fn told(files: &[(&str, &str)]) -> Vec<String> {
    circles(&Modules::of(files.iter().copied()).arrows())
}

#[test]
fn a_circle_is_told_with_the_paths_that_make_it() {
    let files = [
        ("main.rs", "mod a; mod b; mod c;"),
        ("a.rs", "mod deep;"),
        ("a/deep.rs", "\nuse crate::b::B;"),
        ("b.rs", "fn b() { crate::c::c() }"),
        ("c.rs", "use super::a;"),
        ("d.rs", "use super::a;"),
    ];
    let expected = "in the crate's root: a → b → c → a\n  a → b: a/deep.rs:2: crate::b::B\n  \
                    b → c: b.rs:1: crate::c::c\n  c → a: c.rs:1: super::a";
    assert_eq!(told(&files), [expected]);
    assert_eq!(told(&files[..4]), <[&str; 0]>::default());
}

#[test]
fn a_circle_below_others_is_one_too() {
    let files = [("a/b/c.rs", "use super::d;"), ("a/b/d.rs", "use super::c;"), ("a/b.rs", ""), ("a.rs", "")];
    assert!(told(&files)[0].starts_with("in a::b: c → d → c\n"), "{:?}", told(&files));
}

#[test]
fn a_name_that_a_parent_passes_on_is_its_child_s() {
    let files = [
        ("lib.rs", "pub use a::{Inner, Other as Renamed};\nmod a; mod b;"),
        ("a.rs", "pub use self::inner::{Inner, Other};"),
        ("a/inner.rs", "use crate::b::B;"),
    ];
    for path in ["crate::Inner", "super::Renamed", "crate::a::Other"] {
        let text = format!("use {path};");
        let told = told(&[&files[..], &[("b.rs", &text)]].concat());
        assert!(told[0].starts_with("in the crate's root: a → b → a\n"), "{path}: {told:?}");
    }
}

#[test]
fn a_parent_and_its_children_are_one_room() {
    let files = [
        ("lib.rs", "mod a; use a::A; struct B;"),
        ("a.rs", "mod child; use child::C; pub struct A; pub use crate::B; use other::Crate;"),
        (
            "a/child.rs",
            "use super::A; use crate::{B, a::A as D}; pub(in crate::a) struct C; use other::a::E;",
        ),
    ];
    assert_eq!(Modules::of(files).arrows(), BTreeSet::new());
}

#[test]
fn files_that_are_tests_have_no_arrows() {
    let files = [
        ("lib.rs", "#[cfg(test)]\nmod a; mod b;"),
        ("a.rs", "use crate::b::B;"),
        ("b.rs", "use crate::a::A;"),
    ];
    assert_eq!(told(&files), <[&str; 0]>::default());
}
