//! The word that changes are made with.

use std::{fs, path::Path};

use axum::http::HeaderValue;
use subtle::ConstantTimeEq;

/// At least so many characters, so that nobody guesses it.
const LENGTH_MIN: usize = 16;

/// The word that changes are made with. It is not shown by `Debug`.
pub(crate) struct Token(String);

impl Token {
    /// From the first line of a file.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let allowed = format!(
            "allowed: a readable file whose first line has at least {LENGTH_MIN} visible characters of ASCII"
        );
        let text = fs::read_to_string(file).map_err(|error| format!("{error}; {allowed}"))?;
        let token = text.lines().next().unwrap_or_default().trim();
        if token.len() < LENGTH_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("its first line is no token; {allowed}"));
        }
        Ok(Token(token.to_owned()))
    }

    /// As a client says it.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).expect("it is visible ASCII");
        value.set_sensitive(true);
        value
    }

    /// Whether this is the word, in the same time whatever it is.
    pub(in crate::proxy) fn is(&self, word: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(word).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_first_line_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "0123456789abcdef\n# another line\n").unwrap();
        let token = Token::read(&file).unwrap();
        assert!(token.is(b"0123456789abcdef"));
        assert!(!token.is(b"0123456789abcdee") && !token.is(b"0123456789abcdef0") && !token.is(b""));
        for wrong in ["", "short", "\n0123456789abcdef", "0123456789 abcdef", "0123456789abcdeü"] {
            fs::write(&file, wrong).unwrap();
            assert!(Token::read(&file).is_err(), "{wrong}");
        }
        assert!(Token::read(&folder.path().join("none")).is_err());
    }
}
