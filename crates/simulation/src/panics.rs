//! Keeps the messages of panics for the report instead of printing them.

use std::{cell::RefCell, panic, sync::Once};

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Installs a panic hook that keeps the message of a panic and prints nothing.
pub fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let place = info
                .location()
                .map(|place| format!(" at {place}"))
                .unwrap_or_default();
            let words = info
                .payload()
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| info.payload().downcast_ref::<String>().cloned())
                .unwrap_or_default();
            LAST.with_borrow_mut(|last| *last = Some(format!("{words}{place}")));
        }));
    });
}

/// Takes the message of this thread's last panic.
pub(crate) fn last() -> Option<String> {
    LAST.with_borrow_mut(Option::take)
}
