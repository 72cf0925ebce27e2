//! Adapts the number of blocks requested at once.

use crate::request::{RequestError, answer};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The first request's size. Most nodes allow it.
const FIRST: u64 = 2_000;
/// The maximum requested at once.
const MOST: u64 = 100_000;
/// The number of successful pages before a larger one is tried, after a refusal.
const PATIENCE: u32 = 4;
/// The maximum of it: each failed trial doubles it.
const MOST_PATIENCE: u32 = 256;

/// The number of blocks whose logs a node returns at once, as far as known.
#[derive(Debug, Default)]
pub(super) struct LogPage(Mutex<State>);

#[derive(Clone, Copy, Debug)]
struct State {
    size: u64,
    /// Consecutive pages of this size that were answered.
    answered: u32,
    /// Pages before a larger one is tried.
    patience: u32,
    /// Whether the node named this size, and no page of it has been answered yet.
    is_named: bool,
    /// Whether this size is a larger one on trial.
    is_trial: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            size: FIRST,
            answered: 0,
            patience: 1,
            is_named: false,
            is_trial: false,
        }
    }
}

impl LogPage {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of blocks to request.
    pub(super) fn size(&self) -> u64 {
        self.state().size
    }

    /// Records that this many blocks were answered.
    pub(super) fn worked(&self, asked: u64) {
        let mut state = self.state();
        state.is_named = false;
        // Smaller pages, such as the last of a range, teach nothing.
        if asked < state.size {
            return;
        }
        if state.is_trial {
            state.patience = state.patience.min(PATIENCE);
            state.is_trial = false;
        }
        state.answered = state.answered.saturating_add(1);
        if state.answered >= state.patience && state.size < MOST {
            state.size = state.size.saturating_mul(2).min(MOST);
            state.answered = 0;
            state.is_trial = true;
        }
    }

    /// Records that this many blocks failed. Returns whether fewer may work.
    pub(super) fn failed(&self, asked: u64, error: &RequestError) -> bool {
        let is_size = is_about_size(error);
        let is_lost = matches!(error, RequestError::NoAnswer { .. });
        if !is_size && !is_lost {
            return false;
        }
        let mut state = self.state();
        // A named size that did not help is not used again.
        let named = named_size(error, asked).filter(|_| is_size && !state.is_named);
        state.is_named = named.is_some();
        // Another task may have learned more since.
        state.size = named.unwrap_or(asked / 2).clamp(1, state.size);
        state.answered = 0;
        state.patience = if state.is_trial && state.patience >= PATIENCE {
            state.patience.saturating_mul(2).min(MOST_PATIENCE)
        } else {
            state.patience.max(PATIENCE)
        };
        state.is_trial = false;
        // A timeout may be a matter of size. The caller decides whether to retry.
        is_size && asked > 1
    }
}

/// Whether an error says that the request is too large.
fn is_about_size(error: &RequestError) -> bool {
    /// HTTP "content too large".
    const TOO_LARGE: u16 = 413;
    let message = match error {
        RequestError::TooLarge { .. }
        | RequestError::NoAnswer {
            status: Some(TOO_LARGE),
            ..
        } => return true,
        RequestError::Answered(error) => &error.message,
        RequestError::RateLimited { message, .. } => message,
        RequestError::NoAnswer {
            message,
            status: Some(400..500),
        } => message,
        _ => return false,
    };
    let message = message.to_ascii_lowercase();
    // Blocks that do not exist yet, or are pruned, or an inverted range.
    let is_elsewhere = [
        "beyond",
        "latest",
        "head block",
        "current head",
        "future",
        "prune",
        "invalid block range",
    ]
    .iter()
    .any(|words| message.contains(words));
    let tells_limit = [
        "limit",
        "exceed",
        "maximum",
        "timeout",
        "timed out",
        "too many",
        "too much",
        "span",
    ]
    .iter()
    .any(|words| message.contains(words));
    !is_elsewhere && !answer::tells_rate(&message) && (answer::tells_size(&message) || tells_limit)
}

/// Returns the maximum number of blocks that an error names, if it is plausible: less than requested.
fn named_size(error: &RequestError, asked: u64) -> Option<u64> {
    let message = match error {
        RequestError::Answered(error) => &error.message,
        RequestError::RateLimited { message, .. } | RequestError::NoAnswer { message, .. } => message,
        _ => return None,
    };
    let message = message.to_ascii_lowercase();
    let words: Vec<&str> = message
        .split(|character: char| !character.is_ascii_alphanumeric() && !",._'".contains(character))
        .map(|word| word.trim_matches(|character| ",._'".contains(character)))
        .filter(|word| !word.is_empty())
        .collect();
    // "this block range should work: [0x1, 0xa]"
    let range = words.windows(2).find_map(|pair| {
        let [from, to] =
            [pair[0], pair[1]].map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
        to?.checked_sub(from?)?.checked_add(1)
    });
    let named = words.iter().enumerate().filter_map(|(index, word)| {
        let following = words.get(index + 1).copied().unwrap_or_default();
        // "10000 results" is not a number of blocks.
        let is_other = [
            "result", "log", "event", "entr", "byte", "kb", "mb", "gb", "second", "sec", "ms", "minute",
            "topic",
        ]
        .iter()
        .any(|unit| following.starts_with(unit))
            || following == "s";
        (!is_other).then(|| count(word))?
    });
    range
        .into_iter()
        .chain(named)
        .filter(|size| (1..asked).contains(size))
        .max()
}

/// Parses "10", "10,000", "10k".
fn count(word: &str) -> Option<u64> {
    let (digits, factor) = match word.strip_suffix('k') {
        Some(digits) => (digits, 1000),
        None => (word, 1),
    };
    let is_grouped = digits.contains([',', '\'', '_']);
    let digits: String = digits
        .chars()
        .filter(|character| !(is_grouped && ",'_".contains(*character)))
        .collect();
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::ErrorAnswer;

    fn answered(message: &str) -> RequestError {
        RequestError::Answered(ErrorAnswer::new(Some(-32000), message))
    }

    #[test]
    fn a_named_number_of_blocks_is_used() {
        for (message, named) in [
            ("eth_getLogs is limited to a 10 blocks range", Some(10)),
            ("eth_getLogs is limited to a 1,000 range", Some(1000)),
            ("block range too large, max 1024", Some(1024)),
            ("exceed maximum block range: 500", Some(500)),
            ("query exceeds max block range 1K", Some(1000)),
            (
                "Log response size exceeded. this block range should work: [0x64, 0x6d]",
                Some(10),
            ),
            ("up to a 10 block range, see section 2", Some(10)),
            ("query returned more than 1000 results", None),
            (
                "query returned more than 1000 results. Try with this block range [0x1, 0x20].",
                Some(0x20),
            ),
            ("logs are limited to 100mb and 10 seconds", None),
            ("limit of 2000 blocks", None),
            ("limit of 99999999999999999999 blocks", None),
            ("limit of 0 blocks", None),
            ("range [0x20, 0x1]", None),
            ("", None),
        ] {
            assert_eq!(named_size(&answered(message), 2000), named, "{message}");
        }
    }

    #[test]
    fn errors_about_size_are_recognized() {
        for message in [
            "query returned more than 10000 results",
            "block range too large",
            "exceeds the range",
            "limited to a 10 blocks range",
            "Log response size exceeded",
            "limit exceeded",
            "query timeout exceeded",
        ] {
            assert!(is_about_size(&answered(message)), "{message}");
        }
        let said = |status, message: &str| RequestError::NoAnswer {
            message: message.to_owned(),
            status,
        };
        let limited = |message: &str| RequestError::RateLimited {
            message: message.to_owned(),
            retry_after: None,
        };
        assert!(is_about_size(&RequestError::TooLarge { limit: 1 }));
        assert!(is_about_size(&said(Some(413), "")));
        assert!(is_about_size(&said(Some(400), "block range is too wide")));
        assert!(is_about_size(&limited("limit exceeded")));
        for error in [
            answered("block range extends beyond current head block"),
            answered("invalid block range params"),
            answered("history of this range is pruned"),
            answered("the method eth_getLogs does not exist"),
            answered("internal error"),
            limited("rate limit exceeded"),
            limited("too many requests"),
            limited(""),
            said(None, "timed out, range"),
            said(Some(502), "range"),
            RequestError::unreadable("eth_getLogs", "block range too large"),
        ] {
            assert!(!is_about_size(&error), "{error}");
        }
    }

    #[test]
    fn pages_shrink_to_what_works_and_grow_again_slowly() {
        let page = LogPage::default();
        let limit = answered("limit exceeded");
        assert_eq!(page.size(), FIRST);
        // A node without a limit.
        page.worked(FIRST);
        assert_eq!(page.size(), 2 * FIRST);
        for _ in 0..20 {
            page.worked(page.size());
        }
        assert_eq!(page.size(), MOST);
        // A node with a limit of 10.
        let mut failures = 0;
        for _ in 0..1000 {
            let size = page.size();
            if size > 10 {
                assert!(page.failed(size, &limit));
                failures += 1;
            } else {
                page.worked(size);
            }
        }
        assert!((5..=10).contains(&page.size()));
        assert!((14..30).contains(&failures), "{failures}");
        // Smaller pages teach nothing.
        let size = page.size();
        for _ in 0..1000 {
            page.worked(size - 1);
        }
        assert_eq!(page.size(), size);
    }

    #[test]
    fn a_temporarily_small_page_grows_again() {
        let page = LogPage::default();
        while page.failed(page.size(), &answered("limit exceeded")) {}
        assert_eq!(page.size(), 1);
        let mut asked = 0;
        while page.size() < FIRST / 2 {
            page.worked(page.size());
            asked += 1;
        }
        assert!(asked <= 40, "{asked}");
        // Failed trials do not prevent growth forever.
        for _ in 0..6 {
            while !page.state().is_trial {
                page.worked(page.size());
            }
            assert!(page.failed(page.size(), &answered("limit exceeded")));
        }
        assert_eq!(page.state().patience, MOST_PATIENCE);
        let size = page.size();
        for _ in 0..=MOST_PATIENCE + 2 * PATIENCE {
            page.worked(page.size());
        }
        assert!(page.size() >= 4 * size, "{size} to {}", page.size());
    }

    #[test]
    fn a_failing_single_block_or_another_error_is_final() {
        let page = LogPage::default();
        let mut size = page.size();
        while page.failed(size, &answered("too large, max 1999 blocks")) {
            assert!(page.size() < size);
            size = page.size();
        }
        assert_eq!(size, 1);
        let page = LogPage::default();
        assert!(!page.failed(FIRST, &answered("internal error")));
        assert_eq!(page.size(), FIRST);
    }

    #[test]
    fn a_named_number_that_does_not_help_is_not_used_again() {
        let page = LogPage::default();
        let mut asked = Vec::new();
        while page.size() > 10 {
            asked.push(page.size());
            assert!(page.failed(page.size(), &answered(&format!("max {} blocks", page.size() - 1))));
        }
        assert!(asked.len() < 20, "{asked:?}");
    }

    #[test]
    fn a_timeout_reduces_the_next_request() {
        let page = LogPage::default();
        assert!(!page.failed(FIRST, &RequestError::no_answer("none within 30s")));
        assert_eq!(page.size(), FIRST / 2);
        // What another task has learned is kept.
        assert!(page.failed(FIRST, &answered("limit exceeded")));
        assert_eq!(page.size(), FIRST / 2);
    }
}
