//! Cleans texts from outside for display.

use std::error::Error;

/// Maximum length of a text that is kept, in characters.
pub(crate) const MAX_TEXT: usize = 400;
/// How much of a text is processed, in characters.
const MAX_READ: usize = 64 << 10;

/// Returns one line without control and formatting characters, with URLs reduced to their hosts, of at most
/// [`MAX_TEXT`] characters.
pub(crate) fn clean(text: &str) -> String {
    cut(&without(text, &[]), MAX_TEXT)
}

/// Like [`clean`], without truncation, and with these secrets removed.
pub(crate) fn without(text: &str, secrets: &[String]) -> String {
    let mut line = one_line(text);
    for secret in secrets {
        if line.contains(secret) {
            line = line.replace(secret, "…");
        }
    }
    without_urls(&line)
}

/// Joins lines, and removes control and formatting characters: those that move a terminal's cursor, change
/// the writing direction, or have no width.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut gap = false;
    for character in text.chars().take(MAX_READ) {
        if character.is_whitespace() {
            gap = true;
        } else if !character.is_control() && !is_format(character) {
            if gap && !line.is_empty() {
                line.push(' ');
            }
            gap = false;
            line.push(character);
        }
    }
    line
}

/// Whether a character is in Unicode's formatting category (Cf), or an invisible variation selector.
const fn is_format(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{115f}'..='\u{1160}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1345f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Reduces each URL to `scheme://host:port/…`. Paths and queries contain API keys, and the user info
/// credentials.
fn without_urls(text: &str) -> String {
    // JSON may escape slashes.
    let text = text.replace("\\/", "/");
    let mut rest = text.as_str();
    let mut shown = String::with_capacity(rest.len());
    while let Some(mark) = rest.find("://") {
        let (before, after) = rest.split_at(mark + 3);
        shown.push_str(before);
        let is_end = |character: char| character.is_whitespace() || "\"'`<>".contains(character);
        let (url, following) = after.split_at(after.find(is_end).unwrap_or(after.len()));
        // Punctuation after it belongs to the sentence.
        let trimmed = url.trim_end_matches(|character| ").,;:]}".contains(character));
        let authority = trimmed.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        shown.push_str(host);
        if authority.len() < trimmed.len() {
            shown.push_str("/…");
        }
        shown.push_str(&url[trimmed.len()..]);
        rest = following;
    }
    shown + rest
}

/// Truncates a text to this many characters, ending in an ellipsis.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    kept + "…"
}

/// Joins an error and its causes, without repetition.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

/// Returns `": text"`, or an empty string for an empty text.
pub(super) fn suffix(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// Returns `" of method"`, or an empty string if the method is not known.
pub(super) fn of(method: &str) -> String {
    if method.is_empty() {
        String::new()
    } else {
        format!(" of {method}")
    }
}

/// Returns `"error -32000: "`, or `"error: "` without a code.
pub(super) fn code(code: Option<i64>) -> String {
    code.map_or_else(|| "error: ".to_owned(), |code| format!("error {code}: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_formatting_characters_are_removed() {
        for (text, shown) in [
            ("plain — ünï 漢字 text", "plain — ünï 漢字 text"),
            ("two\r\n\tlines\u{2028}more", "two lines more"),
            ("\u{1b}[2J\u{1b}[31mred\u{7}\u{0}\u{9b}1m", "[2J[31mred1m"),
            (
                "a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{200d}f\u{e0041}g\u{ad}h",
                "abcdefgh",
            ),
            ("  \u{200b} \n", ""),
        ] {
            assert_eq!(clean(text), shown, "{text:?}");
        }
    }

    #[test]
    fn urls_are_reduced_to_their_host() {
        for (text, shown) in [
            (
                "error sending request for url (https://node.example:8545/v2/s3cr3t?key=s3cr3t): refused",
                "error sending request for url (https://node.example:8545/…): refused",
            ),
            ("wss://user:s3cr3t@node.example", "wss://node.example"),
            (
                "to https://us,er@x:s3cr3t@node.example/, then",
                "to https://node.example/…, then",
            ),
            (
                r#"{"url":"https:\/\/node.example\/s3cr3t"}"#,
                r#"{"url":"https://node.example/…"}"#,
            ),
            (
                "http://a.example/s3cr3t and http://b.example?s3cr3t.",
                "http://a.example/… and http://b.example/….",
            ),
            ("https://node.example/s3\u{200b}cr3t", "https://node.example/…"),
            ("http://[::1]:8545/s3cr3t", "http://[::1]:8545/…"),
            ("://", "://"),
            ("no url: //here", "no url: //here"),
        ] {
            assert_eq!(clean(text), shown, "{text:?}");
            assert_eq!(clean(shown), shown, "{shown:?} twice");
        }
    }

    #[test]
    fn long_texts_are_truncated_early() {
        assert_eq!(clean(&"é".repeat(400)), "é".repeat(400));
        let cut = clean(&"é".repeat(20 << 20));
        assert_eq!(cut.chars().count(), 400);
        assert!(cut.ends_with("é…"), "{cut}");
        let url = format!("http://node.example/{}", "s3cr3t".repeat(1000));
        assert_eq!(clean(&url), "http://node.example/…");
    }
}
