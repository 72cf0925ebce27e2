//! Who may ask: the secret in the printed address, sessions, and where a request comes from.
//!
//! A page on the loopback interface can be reached by every program on the machine and by every website in
//! the browser. Programs do not know the secret. Websites reach it through the browser, which says where a
//! request comes from: under the name of a host (DNS rebinding), an origin, and a `Sec-Fetch-Site`.

use hyper::{HeaderMap, Method, header::COOKIE};
use rand::{RngCore as _, rngs::OsRng};
use session_key_client::alloy::{
    hex,
    primitives::{B256, keccak256},
};
use session_key_loopback::{Refused, Site};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long a session lasts.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// The maximum number of sessions. A further one ends the oldest.
pub const MOST_SESSIONS: usize = 8;

/// Secrets, by their hashes: comparing those takes as long whatever is given.
#[derive(Debug)]
struct Secrets {
    /// The address that opens the next session; `None`: it was used, and no new one was asked for.
    next: Option<B256>,
    /// Sessions, oldest first.
    sessions: VecDeque<(B256, Instant)>,
}

/// Decides which requests are answered.
#[derive(Debug)]
pub(crate) struct Guard {
    site: Site,
    cookie: String,
    lifetime: Duration,
    secrets: Mutex<Secrets>,
}

/// 256 random bits.
fn random() -> String {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    hex::encode(bytes)
}

impl Guard {
    /// Guards a server that listens on this port of 127.0.0.1.
    pub(crate) fn new(port: u16, lifetime: Duration) -> Self {
        Self {
            site: Site::new(port),
            // Cookies are shared by all ports of a host.
            cookie: format!("session-key-review-{port}"),
            lifetime,
            secrets: Mutex::new(Secrets {
                next: None,
                sessions: VecDeque::new(),
            }),
        }
    }

    fn secrets(&self) -> MutexGuard<'_, Secrets> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the address that opens the next session, unless there is an unused one.
    pub(crate) fn new_address(&self) -> Option<String> {
        let mut secrets = self.secrets();
        if secrets.next.is_some() {
            return None;
        }
        let secret = random();
        secrets.next = Some(keccak256(&secret));
        Some(format!("{}/open/{secret}", self.site.origin()))
    }

    /// Exchanges the secret of an address, once, for the cookie of a session.
    pub(crate) fn exchange(&self, secret: &str) -> Option<String> {
        let mut secrets = self.secrets();
        if secrets.next.is_none() || secrets.next != Some(keccak256(secret)) {
            return None;
        }
        secrets.next = None;
        let session = random();
        if secrets.sessions.len() >= MOST_SESSIONS {
            secrets.sessions.pop_front();
        }
        secrets.sessions.push_back((keccak256(&session), Instant::now()));
        drop(secrets);
        Some(format!(
            "{}={session}; Path=/; HttpOnly; SameSite=Strict",
            self.cookie
        ))
    }

    /// Whether a request belongs to a session.
    pub(crate) fn has_session(&self, headers: &HeaderMap) -> bool {
        let mut secrets = self.secrets();
        secrets
            .sessions
            .retain(|(_, opened)| opened.elapsed() < self.lifetime);
        let cookies = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let mut given = cookies
            .flat_map(|value| value.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .filter(|(name, _)| *name == self.cookie)
            .map(|(_, session)| keccak256(session));
        given.any(|given| secrets.sessions.iter().any(|(known, _)| *known == given))
    }

    /// Checks where a request comes from. `opens`: it is for the printed address, which may be opened from
    /// anywhere: its secret is what counts.
    pub(crate) fn check(&self, method: &Method, headers: &HeaderMap, opens: bool) -> Result<(), Refused> {
        self.site.check(method, headers, opens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn opened(guard: &Guard) -> String {
        let address = guard.new_address().unwrap();
        let cookie = guard.exchange(address.rsplit('/').next().unwrap()).unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    #[test]
    fn a_secret_opens_one_session() {
        let guard = Guard::new(80, SESSION_LIFETIME);
        let address = guard.new_address().unwrap();
        assert_eq!(guard.new_address(), None, "there is an unused one");
        let secret = address.rsplit('/').next().unwrap();
        assert_eq!(guard.exchange(&secret.to_uppercase()), None);
        assert_eq!(guard.exchange(""), None);
        let cookie = guard.exchange(secret).unwrap();
        assert!(
            cookie.ends_with("; HttpOnly; SameSite=Strict") && !cookie.contains(secret),
            "{cookie}"
        );
        assert_eq!(guard.exchange(secret), None);
        let cookie = cookie.split(';').next().unwrap();
        assert!(guard.has_session(&headers(&[("cookie", cookie)])));
        assert!(guard.has_session(&headers(&[("cookie", &format!("other=1; {cookie}"))])));
        assert!(!guard.has_session(&headers(&[])));
        assert!(!guard.has_session(&headers(&[("cookie", &cookie[..cookie.len() - 1])])));
        assert!(!guard.has_session(&headers(&[("cookie", &cookie.replace("-80=", "-81="))])));
    }

    #[test]
    fn sessions_end_and_are_few() {
        let guard = Guard::new(80, Duration::ZERO);
        assert!(!guard.has_session(&headers(&[("cookie", &opened(&guard))])));
        let guard = Guard::new(80, SESSION_LIFETIME);
        let cookies: Vec<String> = (0..=MOST_SESSIONS).map(|_| opened(&guard)).collect();
        let is_open = |cookie: &String| guard.has_session(&headers(&[("cookie", cookie)]));
        assert!(!is_open(&cookies[0]));
        assert!(cookies[1..].iter().all(is_open));
    }
}
