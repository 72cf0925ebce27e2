//! Texts from outside, made fit to be shown.

/// `": text"`, or nothing for an empty text.
pub(super) fn suffix(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}
