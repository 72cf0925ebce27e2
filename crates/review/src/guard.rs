//! Who may ask: the secret in the printed address, sessions, and where a request comes from.
//!
//! A page on the loopback interface can be reached by every program on the machine and by every website in the
//! browser. Programs do not know the secret. Websites reach it through the browser, which says where a request
//! comes from: under the name of a host (DNS rebinding), an origin, and a `Sec-Fetch-Site`.

use hyper::{
    HeaderMap, Method,
    header::{COOKIE, HOST, HeaderName, ORIGIN},
};
use rand::{RngCore as _, rngs::OsRng};
use session_key_client::alloy::{
    hex,
    primitives::{B256, keccak256},
};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long a session lasts.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// The maximum number of sessions. A further one ends the oldest.
pub const MOST_SESSIONS: usize = 8;

/// Set by browsers; pages cannot change it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It names another host.
    Host,
    /// It comes from another site.
    Origin,
}

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
    host: String,
    origin: String,
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
        let host = format!("127.0.0.1:{port}");
        Self {
            origin: format!("http://{host}"),
            host,
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
        Some(format!("{}/open/{secret}", self.origin))
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
        let mut hosts = headers.get_all(HOST).iter();
        let is_host = hosts
            .next()
            .is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(self.host.as_bytes()));
        if !is_host || hosts.next().is_some() {
            return Err(Refused::Host);
        }
        let origin = headers.get(ORIGIN);
        let is_own = origin.is_some_and(|origin| origin.as_bytes() == self.origin.as_bytes());
        // Browsers send an origin with everything that may change something.
        if (origin.is_some() || method != Method::GET) && !is_own {
            return Err(Refused::Origin);
        }
        // Another port of this host is another origin, but the same site: it would get along with the cookie.
        match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
            None | Some(b"same-origin") => Ok(()),
            Some(b"none") if method == Method::GET => Ok(()),
            Some(_) if opens => Ok(()),
            Some(_) => Err(Refused::Origin),
        }
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

    #[test]
    fn other_hosts_origins_and_sites_are_refused() {
        let guard = Guard::new(8000, SESSION_LIFETIME);
        let host = ("host", "127.0.0.1:8000");
        let get = |fields: &[_]| guard.check(&Method::GET, &headers(fields), false);
        let post = |fields: &[_]| guard.check(&Method::POST, &headers(fields), false);
        assert_eq!(get(&[host]), Ok(()));
        for other in [
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost:8000",
            "evil.example:8000",
            "127.0.0.1:8000.evil.example",
            "",
        ] {
            assert_eq!(get(&[("host", other)]), Err(Refused::Host), "{other}");
        }
        assert_eq!(get(&[]), Err(Refused::Host));
        assert_eq!(get(&[host, host]), Err(Refused::Host));
        let own = ("origin", "http://127.0.0.1:8000");
        assert_eq!(post(&[host, own]), Ok(()));
        assert_eq!(post(&[host]), Err(Refused::Origin));
        for other in [
            "null",
            "http://127.0.0.1:8001",
            "https://127.0.0.1:8000",
            "http://localhost:8000",
        ] {
            assert_eq!(post(&[host, ("origin", other)]), Err(Refused::Origin), "{other}");
            assert_eq!(get(&[host, ("origin", other)]), Err(Refused::Origin), "{other}");
        }
        for (site, expected) in [
            ("same-origin", Ok(())),
            ("none", Ok(())),
            ("same-site", Err(Refused::Origin)),
            ("cross-site", Err(Refused::Origin)),
        ] {
            assert_eq!(get(&[host, ("sec-fetch-site", site)]), expected, "{site}");
        }
        assert_eq!(
            post(&[host, own, ("sec-fetch-site", "none")]),
            Err(Refused::Origin)
        );
        let clicked = headers(&[host, ("sec-fetch-site", "cross-site")]);
        assert_eq!(guard.check(&Method::GET, &clicked, true), Ok(()));
    }
}
