//! The names and signs that a source file is made of.

#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(is_letter)
}

fn is_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Names and signs, without comments, texts, characters and lifetimes.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let (length, is_token) = match first {
            _ if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            _ if rest.starts_with("/*") => (comment(rest), false),
            '"' => (string(rest), false),
            '\'' => (character(rest), false),
            _ if is_letter(first) => match raw(rest) {
                Some(length) => (length, false),
                None => (rest.find(|letter| !is_letter(letter)).unwrap_or(rest.len()), true),
            },
            _ if rest.starts_with("::") => (2, true),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        let (text, behind) = rest.split_at(length);
        if is_token {
            tokens.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = behind;
    }
    tokens
}

/// How long a comment is that may have others inside.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => (),
        }
    }
    text.len()
}

/// A text in which nothing is escaped.
fn raw(text: &str) -> Option<usize> {
    let behind = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = behind.len() - behind.trim_start_matches('#').len();
    let inside = behind[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = text.len() - inside.len();
    Some(inside.find(&end).map_or(text.len(), |at| begin + at + end.len()))
}

/// A character, or a lifetime, which has no end.
fn character(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let behind = at + escaped.len_utf8();
            text[behind..].find('\'').map_or(text.len(), |end| behind + end + 1)
        }
        (_, Some((at, '\''))) => at + 1,
        _ => 1 + text[1..].find(|letter| !is_letter(letter)).unwrap_or(text.len() - 1),
    }
}

#[test]
fn only_names_and_signs_are_left() {
    let texts = |text| tokens(text).into_iter().map(|token| token.text).collect::<Vec<_>>();
    assert_eq!(texts("a::b(c) // d"), ["a", "::", "b", "(", "c", ")"]);
    assert_eq!(texts("/* a /* b */ c */ d \"e \\\" f\" g r##\"h \"# i\"## j"), ["d", "g", "j"]);
    assert_eq!(texts("'\"' a '\\'' b '\\u{1}' c 'd e: 'f, 'g'"), ["a", "b", "c", "e", ":", ","]);
    assert_eq!(tokens("a\n\"\n\"\nb").last().map(|token| token.line), Some(4));
}
