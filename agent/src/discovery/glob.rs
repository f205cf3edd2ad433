//! Patterns with `*` and `?`.
//!
//! In: patterns of the settings. Out: does a text match as a whole. Not here: classes, braces:
//! a list of rules says the same.

use serde::Deserialize;

/// A pattern: `*` stands for any number of characters, slashes included, `?` for one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Glob(String);

impl From<String> for Glob {
    fn from(pattern: String) -> Self {
        Self(pattern)
    }
}

impl From<&str> for Glob {
    fn from(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }
}

impl std::fmt::Display for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Glob {
    /// All of `text` matches. Takes at most the product of both lengths.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where to go on when the last `*` has to take one more byte.
        let mut retry: Option<(usize, usize)> = None;
        while let Some(byte) = text.get(t) {
            match pattern.get(p) {
                Some(b'*') => {
                    retry = Some((p + 1, t));
                    p += 1;
                }
                Some(b'?') => {
                    p += 1;
                    t += 1;
                    // The rest of a character of several bytes.
                    while text.get(t).is_some_and(|byte| byte & 0xc0 == 0x80) {
                        t += 1;
                    }
                }
                Some(expected) if expected == byte => {
                    p += 1;
                    t += 1;
                }
                _ => {
                    let Some((after, taken)) = retry else {
                        return false;
                    };
                    retry = Some((after, taken + 1));
                    (p, t) = (after, taken + 1);
                }
            }
        }
        pattern.iter().skip(p).all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_whole_texts() {
        for (pattern, text, expected) in [
            ("shop", "shop", true),
            ("shop", "shops", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("/usr/*/node", "/usr/local/bin/node", true),
            ("*node*", "/usr/bin/nodejs", true),
            ("shop-?", "shop-é", true),
            ("shop-?", "shop-", false),
            ("*a*b", "xaxbxab", true),
            ("*a*b", "xaxbxa", false),
            ("**", "x", true),
            ("[a]", "a", false),
        ] {
            assert_eq!(
                Glob::from(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn hostile_patterns_end() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!Glob::from(pattern.as_str()).matches(&"a".repeat(5000)));
    }
}
