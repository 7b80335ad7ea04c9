//! Reading a TOML file so that everything that is wrong with it is said, each with its line, and not the first thing alone.

use std::{cell::RefCell, collections::BTreeSet, fmt};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::nearest::{are_near, nearest};

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// Where it begins, in bytes.
    at: usize,
    text: String,
}

/// A text, and what was found wrong with it.
pub(super) struct Reading<'a> {
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Reading { text, problems: RefCell::default() }
    }

    /// The whole, if it is TOML.
    pub(super) fn root(&self) -> Option<DeTable<'a>> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            self.wrong(at, format!("this is not TOML: {}", error.message().replace('\n', " ")));
        }
        errors.is_empty().then(|| root.into_inner())
    }

    pub(super) fn wrong(&self, at: usize, text: String) {
        self.problems.borrow_mut().push(Problem { at, text });
    }

    /// What was found, in the order of the lines.
    pub(super) fn problems(self, file: &dyn fmt::Display) -> Vec<String> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        let line =
            |at: usize| self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        let said = |problem: &Problem| format!("{file}, line {}: {}", line(problem.at), problem.text);
        problems.iter().map(said).collect()
    }
}

/// A part of the file whose keys are taken out one by one; what is left at the end is unknown.
pub(super) struct Section<'a, 'r> {
    reading: &'r Reading<'a>,
    /// What leads to it, with a point at its end: `routes.api.`; `the 2nd route: ` without a name; nothing for the whole.
    path: String,
    at: usize,
    table: DeTable<'a>,
    /// The keys that were asked for.
    known: BTreeSet<&'static str>,
    /// Those of them that were there.
    found: BTreeSet<&'static str>,
}

impl<'a, 'r> Section<'a, 'r> {
    pub(super) fn new(reading: &'r Reading<'a>, path: String, at: usize, table: DeTable<'a>) -> Self {
        Section { reading, path, at, table, known: BTreeSet::new(), found: BTreeSet::new() }
    }

    /// Something is wrong with the section itself.
    pub(super) fn wrong(&self, problem: &str) {
        self.wrong_at(self.at, problem);
    }

    fn wrong_at(&self, at: usize, problem: &str) {
        let name = self.path.trim_end_matches(['.', ':', ' ']);
        let name = if name.is_empty() { String::new() } else { format!("{name}: ") };
        self.reading.wrong(at, format!("{name}{problem}"));
    }

    /// Something is wrong with this key's value.
    pub(super) fn wrong_value(&self, key: &str, at: usize, value: &str, problem: &str) {
        self.reading.wrong(at, format!("{}{key} is {value}; {problem}", self.path));
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        self.known.insert(key);
        let value = self.table.remove(key)?;
        self.found.insert(key);
        Some(value)
    }

    /// Whether the key is still to be taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the key was there, right or wrong.
    pub(super) fn had(&self, key: &str) -> bool {
        self.found.contains(key)
    }

    /// Whether the key is not there, nor another one that may be meant for it: that is told already, and is the one mistake.
    pub(super) fn lacks(&self, key: &str) -> bool {
        !self.had(key) && !self.table.keys().any(|said| are_near(said.get_ref(), key))
    }

    /// A value, by the very function that reads it from the command line.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.take(key)?;
        self.parse(key, &value, parse)
    }

    fn parse<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let at = value.span().start;
        let text = match value.get_ref() {
            DeValue::String(text) => text.as_ref(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            DeValue::Boolean(true) => "true",
            DeValue::Boolean(false) => "false",
            other => {
                self.wrong_value(key, at, type_of(other), "allowed: a text or a number");
                return None;
            }
        };
        // As it is written.
        let is_text = matches!(value.get_ref(), DeValue::String(_));
        let shown = || if is_text { format!("{text:?}") } else { text.to_owned() };
        parse(text).map_err(|problem| self.wrong_value(key, at, &shown(), &problem)).ok()
    }

    /// Several values; one alone may stand without brackets.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String> + Copy,
    ) -> Vec<T> {
        let Some(value) = self.take(key) else { return Vec::new() };
        match value.get_ref() {
            DeValue::Array(values) => {
                values.iter().filter_map(|value| self.parse(key, value, parse)).collect()
            }
            _ => self.parse(key, &value, parse).into_iter().collect(),
        }
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.read(key, |text| text.parse().map_err(|_| "allowed: true, false".to_owned()))
    }

    /// A section below this one.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'a, 'r>> {
        let value = self.take(key)?;
        let (at, path) = (value.span().start, format!("{}{key}.", self.path));
        match value.into_inner() {
            DeValue::Table(table) => Some(Section::new(self.reading, path, at, table)),
            other => {
                self.wrong_value(key, at, type_of(&other), "allowed: a section");
                None
            }
        }
    }

    /// Sections below `[key.NAME]`, each with its name.
    pub(super) fn named(&mut self, key: &'static str) -> Vec<(String, Section<'a, 'r>)> {
        let Some(sections) = self.section(key) else { return Vec::new() };
        let Section { reading, path, table, .. } = sections;
        let named = table.into_iter().filter_map(|(name, value)| {
            let at = name.span().start;
            let name = name.into_inner().into_owned();
            match value.into_inner() {
                DeValue::Table(table) => {
                    Some((name.clone(), Section::new(reading, format!("{path}{name}."), at, table)))
                }
                other => {
                    let problem = format!("{path}{name} is {}; allowed: a section", type_of(&other));
                    reading.wrong(at, problem);
                    None
                }
            }
        });
        named.collect()
    }

    /// The sections of `[[key]]`, in the order of the file.
    pub(super) fn each(&mut self, key: &'static str) -> Vec<Section<'a, 'r>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let at = value.span().start;
        let DeValue::Array(values) = value.into_inner() else {
            self.wrong_value(key, at, "one section", &format!("allowed: sections that begin with [[{key}]]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            // Until it is known by its name. Nobody counts routes from 0.
            let path = format!("the {} {}: ", ordinal(index + 1), key.trim_end_matches('s'));
            let at = value.span().start;
            if let DeValue::Table(table) = value.into_inner() {
                sections.push(Section::new(self.reading, path, at, table));
            } else {
                self.reading.wrong(
                    at,
                    format!("{path}it is no section; allowed: sections that begin with [[{key}]]"),
                );
            }
        }
        sections
    }

    /// Another name for what leads here, once it is known.
    pub(super) fn rename(&mut self, path: String) {
        self.path = path;
    }

    /// All that is known was taken.
    pub(super) fn end(self) {
        for key in self.table.keys() {
            let known: Vec<_> = self.known.iter().copied().collect();
            let said = key.get_ref();
            let meant = match nearest(said, known.iter().copied()) {
                Some(name) => format!(", did you mean `{name}`?"),
                None => format!("; allowed: {}", known.join(", ")),
            };
            self.wrong_at(key.span().start, &format!("unknown key `{said}`{meant}"));
        }
    }
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a section",
    }
}

/// 1st, 2nd, 3rd, 4th.
fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_in_their_order() {
        let said = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal);
        assert_eq!(said, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]);
    }
}
