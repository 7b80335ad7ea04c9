//! The vectors, as `vectors.toml` has them.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    /// By group.
    raw: BTreeMap<String, Vec<Raw>>,
    downgrade: Vec<Downgrade>,
    /// By group.
    answer: BTreeMap<String, Vec<Answer>>,
}

pub(super) enum Vector {
    Raw(Raw),
    Downgrade(Downgrade),
    Answer(Answer),
}

/// What reaches the service, beside the next client's request.
#[derive(Deserialize)]
pub(super) struct Expected {
    /// "METHOD target body" of each request.
    #[serde(default)]
    pub(super) upstream: Vec<String>,
    /// Besides, a request may break off.
    #[serde(default)]
    pub(super) cut: bool,
    /// The foreign parser that refuses the first of them, and so all.
    pub(super) refused_by: Option<String>,
    /// Lines that heads have.
    #[serde(default)]
    pub(super) has: Vec<String>,
    /// What is nowhere, in lower case.
    #[serde(default)]
    pub(super) lacks: Vec<String>,
}

/// Bytes that a client sends over HTTP/1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) name: String,
    pub(super) request: String,
    /// The client sends nothing more.
    #[serde(default)]
    pub(super) ends: bool,
    /// The status of each answer.
    pub(super) answers: Vec<u16>,
    /// Whether the connection is closed after them. If not, one more request is sent on it, for `/again`.
    pub(super) closes: bool,
    #[serde(flatten)]
    pub(super) expected: Expected,
}

/// A request over HTTP/2, which goes to the service over HTTP/1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Downgrade {
    pub(super) name: String,
    pub(super) fields: Vec<(String, String)>,
    /// The frames of its body; without one the head ends the stream.
    #[serde(default)]
    pub(super) data: Vec<String>,
    #[serde(default)]
    pub(super) trailers: Vec<(String, String)>,
    /// The status of the answer; without one, the stream is reset.
    pub(super) answer: Option<u16>,
    #[serde(flatten)]
    pub(super) expected: Expected,
}

/// An answer of the service over HTTP/1, byte by byte, and what a client gets of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) name: String,
    /// What the client sends.
    #[serde(default = "Answer::asked")]
    pub(super) request: String,
    pub(super) service: String,
    /// The service closes its connection behind it.
    #[serde(default)]
    pub(super) ends: bool,
    /// The first line of what the client gets.
    pub(super) line: String,
    /// Lines that are in its head.
    #[serde(default)]
    pub(super) gets: Vec<String>,
    /// What the client does not get, in lower case.
    #[serde(default)]
    pub(super) never: Vec<String>,
    /// All that comes behind the head, as it comes.
    pub(super) body: Option<String>,
    #[serde(flatten)]
    pub(super) expected: Expected,
}

impl Answer {
    fn asked() -> String {
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned()
    }
}

impl Vector {
    pub(super) fn name(&self) -> &str {
        match self {
            Vector::Raw(raw) => &raw.name,
            Vector::Downgrade(downgrade) => &downgrade.name,
            Vector::Answer(answer) => &answer.name,
        }
    }

    pub(super) fn expected(&self) -> &Expected {
        match self {
            Vector::Raw(raw) => &raw.expected,
            Vector::Downgrade(downgrade) => &downgrade.expected,
            Vector::Answer(answer) => &answer.expected,
        }
    }
}

pub(super) fn all() -> Vec<Vector> {
    let file: File =
        toml::from_str(include_str!("../vectors.toml")).unwrap_or_else(|error| panic!("{error}"));
    let group = |(group, raws): (String, Vec<Raw>)| {
        raws.into_iter().map(move |raw| {
            let mut raw = Raw { name: format!("{group}, {}", raw.name), ..raw };
            if !raw.closes {
                raw.expected.upstream.push("GET /again ".to_owned());
            }
            Vector::Raw(raw)
        })
    };
    let raws = file.raw.into_iter().flat_map(group);
    let downgrades = file.downgrade.into_iter().map(|downgrade| {
        Vector::Downgrade(Downgrade { name: format!("downgrade, {}", downgrade.name), ..downgrade })
    });
    let answers = file.answer.into_iter().flat_map(|(group, answers)| {
        answers.into_iter().map(move |answer| {
            let mut answer = Answer { name: format!("answer, {group}, {}", answer.name), ..answer };
            if answer.expected.upstream.is_empty() {
                answer.expected.upstream.push("GET / ".to_owned());
            }
            Vector::Answer(answer)
        })
    });
    raws.chain(downgrades).chain(answers).collect()
}

/// Writes `{text*count}` out.
pub(super) fn unfold(text: &str) -> String {
    let mut all = String::new();
    let mut rest = text;
    while let Some((before, (what, (count, after)))) = rest.split_once('{').and_then(|(before, fold)| {
        let (fold, after) = fold.split_once('}')?;
        let (what, count) = fold.rsplit_once('*')?;
        Some((before, (what, (count.parse::<usize>().ok()?, after))))
    }) {
        all += before;
        all += &what.repeat(count);
        rest = after;
    }
    all + rest
}

/// Each character is a byte, so that vectors can have any.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    unfold(text)
        .chars()
        .map(|byte| u8::try_from(byte).expect("characters are bytes, U+0000 to U+00FF"))
        .collect()
}
