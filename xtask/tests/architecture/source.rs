//! What a source file says of other modules: the paths that it names, but not in comments, in texts, or in tests.

use crate::tokens::{Token, is_name, tokens};

/// A path as it is written, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// The modules in the file itself around it.
    pub(crate) inside: Vec<String>,
    pub(crate) names: Vec<String>,
    /// Under which name a `use` makes it known.
    pub(crate) known_as: Option<String>,
    pub(crate) line: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) paths: Vec<Path>,
    /// The modules that have files of their own and are tests.
    pub(crate) tests: Vec<String>,
}

impl Source {
    pub(crate) fn read(text: &str) -> Self {
        let tokens = tokens(text);
        let mut reader = Reader { tokens: &tokens, at: 0, inside: Vec::new(), source: Source::default() };
        reader.items(false);
        reader.source
    }
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    inside: Vec<String>,
    source: Source,
}

impl<'a> Reader<'a> {
    fn text(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    /// To the end of the file, or to the brace that ends a module.
    fn items(&mut self, is_module: bool) {
        let mut depth = 0;
        let mut is_test = false;
        while self.at < self.tokens.len() {
            match (self.text(0), self.text(1)) {
                ("#", "[") => {
                    is_test |= self.attribute();
                    continue;
                }
                // Its path is a room around the item, and what the item is comes behind it.
                ("pub", "(") => {
                    self.skip("(", ")");
                    continue;
                }
                ("pub", _) => {
                    self.at += 1;
                    continue;
                }
                ("mod", name) if self.text(2) == "{" => {
                    self.at += 2;
                    if is_test {
                        self.skip("{", "}");
                    } else {
                        self.at += 1;
                        self.inside.push(name.to_owned());
                        self.items(true);
                        self.inside.pop();
                    }
                }
                ("mod", name) if self.text(2) == ";" => {
                    if is_test {
                        self.source.tests.push(name.to_owned());
                    }
                    self.at += 3;
                }
                // Not the `use<'a>` of a type.
                ("use", next) if next != "<" => {
                    self.at += 1;
                    let before = self.source.paths.len();
                    self.tree(Vec::new());
                    if is_test {
                        self.source.paths.truncate(before);
                    }
                }
                ("crate" | "self" | "super", "::") => self.path(),
                ("}", _) if is_module && depth == 0 => {
                    self.at += 1;
                    return;
                }
                (sign, _) => {
                    match sign {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        _ => (),
                    }
                    self.at += 1;
                }
            }
            is_test = false;
        }
    }

    /// Whether it says that what is behind it is for tests.
    fn attribute(&mut self) -> bool {
        let begin = self.at;
        self.skip("[", "]");
        let names: Vec<&str> = self.tokens[begin..self.at].iter().map(|token| token.text).collect();
        let is_not = names.windows(3).any(|three| three == ["not", "(", "test"]);
        names[2] == "cfg" && names.contains(&"test") && !is_not
    }

    /// Behind the sign that closes the next one that opens.
    fn skip(&mut self, open: &str, close: &str) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            let text = self.text(0);
            self.at += 1;
            if text == open {
                depth += 1;
            } else if text == close {
                depth -= 1;
                if depth == 0 {
                    return;
                }
            }
        }
    }

    /// The tree of a `use`, or a branch of it.
    fn tree(&mut self, mut names: Vec<String>) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.text(0) {
                "{" => {
                    self.at += 1;
                    while !matches!(self.text(0), "}" | "") {
                        match self.text(0) {
                            name if is_name(name) || matches!(name, "{" | "*" | "::") => {
                                self.tree(names.clone());
                            }
                            _ => self.at += 1,
                        }
                    }
                    self.at += 1;
                    return;
                }
                "*" => {
                    self.at += 1;
                    return self.note(names, None, line);
                }
                // At its beginning, it leads to another crate.
                "::" if names.is_empty() => {
                    self.at += 1;
                    names.push(String::new());
                }
                "::" => self.at += 1,
                "self" if !names.is_empty() => self.at += 1,
                "as" => {
                    let known_as = self.text(1).to_owned();
                    self.at += 2;
                    return self.note(names, Some(known_as), line);
                }
                name if is_name(name) => {
                    names.push(name.to_owned());
                    self.at += 1;
                }
                _ => {
                    let known_as = names.last().cloned();
                    return self.note(names, known_as, line);
                }
            }
        }
    }

    /// A path in the code.
    fn path(&mut self) {
        let line = self.tokens[self.at].line;
        let mut names = vec![self.text(0).to_owned()];
        self.at += 1;
        while self.text(0) == "::" && is_name(self.text(1)) {
            names.push(self.text(1).to_owned());
            self.at += 2;
        }
        self.note(names, None, line);
    }

    fn note(&mut self, names: Vec<String>, known_as: Option<String>, line: usize) {
        self.source.paths.push(Path { inside: self.inside.clone(), names, known_as, line });
    }
}

#[test]
fn paths_are_found_in_braces_and_in_code_and_under_other_names() {
    let paths = |text: &str| -> Vec<String> {
        let source = Source::read(text);
        source.paths.iter().map(|path| path.names.join("::")).collect()
    };
    assert_eq!(paths("use crate::clock::Clock;"), ["crate::clock::Clock"]);
    assert_eq!(
        paths(
            "pub(in crate::a) use super::{\n    line::{self, Line, queue::{Queue}},\n    slots,\n};\nuse self::b::*;"
        ),
        ["super::line", "super::line::Line", "super::line::queue::Queue", "super::slots", "self::b"]
    );
    assert_eq!(
        paths("fn a() -> crate::b::C<'static> { super::super::d::<E>(self::f) }"),
        ["crate::b::C", "super::super::d", "self::f"]
    );
    assert_eq!(paths("fn a<'a>() -> impl B + use<'a> { c.d(self, crate::e) }"), ["crate::e"]);
    assert_eq!(paths("use ::http::Uri;"), ["::http::Uri"]);
    let source = Source::read("use a::B as C;\n\nuse a::{d as e, f::{self}};\nuse super::*;");
    let known: Vec<_> = source.paths.iter().map(|path| (path.known_as.as_deref(), path.line)).collect();
    assert_eq!(known, [(Some("C"), 1), (Some("e"), 3), (Some("f"), 3), (None, 4)]);
}

#[test]
fn what_is_no_rust_comes_to_an_end() {
    for text in
        ["use a::{", "use a::{<<< b,", "use", "mod a {", "#[cfg(", "pub(", "a::", "/*", "\"", "r#\"", "'"]
    {
        assert!(Source::read(text).paths.len() < 3, "{text}");
    }
}

#[test]
fn comments_texts_and_tests_name_nothing() {
    for text in [
        "// use crate::a;",
        "//! [`crate::a`]",
        "/* use crate::a; /* crate::b */ crate::c */",
        "const A: &str = \"\\\"crate::a\";",
        "const A: &str = r#\"\"crate::a\"#;",
        "const A: [char; 2] = ['\"', '\\''];\n// crate::a \"",
        "#[cfg(test)]\nmod tests {\n    use crate::a;\n    mod inner { fn b() { crate::c() } }\n}",
        "#[cfg(all(test, not(other)))]\n#[expect(lint)]\nmod tests { use super::*; }",
        "#[cfg(test)]\nuse crate::a;",
    ] {
        assert_eq!(Source::read(text).paths, [], "{text}");
    }
    let source =
        Source::read("#[cfg(all(test, other))]\nmod models;\nmod rest;\n#[cfg(not(test))]\nuse crate::a;");
    assert_eq!((source.tests, source.paths.len()), (vec!["models".to_owned()], 1));
}

#[test]
fn a_module_in_a_file_is_one_of_its_own() {
    let source = Source::read("mod a {\n    fn b() { super::c() }\n}\nfn d() { self::e() }");
    let found: Vec<_> = source.paths.iter().map(|path| (path.inside.join("::"), path.line)).collect();
    assert_eq!(found, [("a".to_owned(), 2), (String::new(), 4)]);
}
