//! The server: connections, limits, routes, headers.

use crate::{
    Review,
    act::{MOST_REVOKED, Wish},
    guard::Guard,
    page,
    track::{Said, Tracks},
};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE},
};
use maud::Markup;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use session_key_client::{
    alloy::primitives::{Address, B256},
    permissions::{parse_address, plan::LimitMode},
};
use session_key_loopback::{Bounds, Listener, Refused, body as received, serve};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc, watch},
    task::JoinHandle,
};

/// The maximum size of a body, in bytes.
pub const MAX_BODY: usize = 64 << 10;
/// The maximum number of connections. A further one takes the place of one that waits for no
/// answer, or waits.
pub const MOST_CONNECTIONS: usize = 64;
/// The maximum size of a request's head, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// How long a client may take for the head of a request, and for its body.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may last.
const LONGEST_CONNECTION: Duration = Duration::from_secs(15 * 60);

const STYLE: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/wallet.js");

/// Nothing but this server's own style, script and answers; no frame, no form, no other base.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'none'; \
                      base-uri 'none'; frame-ancestors 'none'";

type Answer = Response<Full<Bytes>>;

/// A page that is served. Dropping it ends it, and its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
    addresses: mpsc::UnboundedReceiver<String>,
}

impl Server {
    pub(crate) async fn start(review: Review, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let (send, addresses) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            guard: Guard::new(address.port(), review.lifetime),
            review,
            tracks: Tracks::default(),
            addresses: send,
            reading: Mutex::new(()),
        });
        state.offer_address();
        Ok(Self {
            address,
            accepting: tokio::spawn(accept(listener, state)),
            addresses,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next address to open: the first at once, a further one each time that someone asks for the page
    /// without a session and there is no unused address, as from a second browser. Each opens the page once.
    /// It is a secret of whoever may read the page: show it to the user, and nowhere else.
    pub async fn next_address(&mut self) -> String {
        match self.addresses.recv().await {
            Some(address) => address,
            // The server has ended.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Debug)]
struct State {
    review: Review,
    guard: Guard,
    tracks: Tracks,
    addresses: mpsc::UnboundedSender<String>,
    /// Held while the account is read: one reading at a time.
    reading: Mutex<()>,
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let bounds = Bounds {
        connections: MOST_CONNECTIONS,
        head: MAX_HEAD,
        patience: state.review.patience,
        longest: LONGEST_CONNECTION,
    };
    // It ends by being dropped.
    let (_end, ending) = watch::channel(false);
    let respond = move |request| {
        let state = state.clone();
        async move { secured(respond(&state, request).await) }
    };
    serve(Listener::Tcp(listener), bounds, ending, respond).await;
}

/// Adds the headers that every answer has.
fn secured(mut answer: Answer) -> Answer {
    let fields = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        // Not `no-referrer`: browsers would send the origin `null` with what this page posts.
        ("referrer-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin-allow-popups"),
        (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=(), payment=()",
        ),
    ];
    for (name, value) in fields {
        let headers = answer.headers_mut();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn html(status: StatusCode, page: Markup) -> Answer {
    answer(status, "text/html; charset=utf-8", page.into_string())
}

fn json_of(status: StatusCode, value: &serde_json::Value) -> Answer {
    answer(status, "application/json", value.to_string())
}

fn said_no(status: StatusCode, title: &str, words: &str) -> Answer {
    html(
        status,
        page::message(title, words, Some(("/", "Back to all keys"))),
    )
}

fn error(status: StatusCode, words: &str) -> Answer {
    json_of(status, &json!({ "error": words }))
}

impl State {
    /// Makes an address for the user to open, unless there is an unused one.
    fn offer_address(&self) {
        if let Some(address) = self.guard.new_address() {
            // Nobody may listen any more.
            let _ = self.addresses.send(address);
        }
    }
}

/// What the wallet said, as the page reports it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Report {
    Hash(B256),
    Declined(()),
}

/// What the page asks a transaction for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    wish: Wish,
    owner: Address,
    /// The fingerprint of what was shown.
    shown: B256,
}

async fn respond(state: &State, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let opens = path.starts_with("/open/");
    // A target with a host of its own is for a proxy.
    if request.uri().authority().is_some() {
        return answer(
            StatusCode::MISDIRECTED_REQUEST,
            "text/plain",
            "this is no proxy\n",
        );
    }
    match state.guard.check(&method, request.headers(), opens) {
        Ok(()) => {}
        Err(Refused::Host) => {
            return answer(
                StatusCode::MISDIRECTED_REQUEST,
                "text/plain",
                "this is another host\n",
            );
        }
        Err(Refused::Origin) => {
            return answer(
                StatusCode::FORBIDDEN,
                "text/plain",
                "this request comes from another site\n",
            );
        }
    }
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let allowed = match segments.as_slice() {
        ["transactions"] => Method::POST,
        ["transactions", _] if method == Method::POST => Method::POST,
        _ => Method::GET,
    };
    if method != allowed {
        let mut refused = answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "another method\n");
        if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
            refused.headers_mut().insert(ALLOW, allowed);
        }
        return refused;
    }
    match segments.as_slice() {
        ["style.css"] => return answer(StatusCode::OK, "text/css; charset=utf-8", STYLE),
        ["wallet.js"] => return answer(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT),
        ["open", secret] => return open(state, secret),
        _ => {}
    }
    if !state.guard.has_session(request.headers()) {
        state.offer_address();
        let words = "This browser has not opened the page. Open the address that the command has printed last: it opens the page \
                     once, in one browser.";
        return html(
            StatusCode::UNAUTHORIZED,
            page::message("Not open in this browser", words, None),
        );
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    match segments.as_slice() {
        [""] => start(state).await,
        ["revoke"] => match keys_of(&query) {
            Some(keys) => confirm(state, Wanted::Revoke(keys)).await,
            None => bad_request(),
        },
        ["offers", index] => match (index.parse(), limits_of(&query)) {
            (Ok(index), Some(limits)) => confirm(state, Wanted::Offer(index, limits)).await,
            _ => bad_request(),
        },
        ["transactions"] => match body(state, request).await {
            Ok(asked) => hand_over(state, asked).await,
            Err(refused) => refused,
        },
        ["transactions", id] if method == Method::POST => {
            let id = (*id).to_owned();
            match body(state, request).await {
                Ok(report) => note(state, &id, &report),
                Err(refused) => refused,
            }
        }
        ["transactions", id] => transaction(state, id).await,
        ["transactions", id, "state"] => match state.tracks.find(id) {
            Some(tracked) => {
                let standing = state.review.standing(&tracked, &state.tracks).await;
                json_of(StatusCode::OK, &json!({ "state": standing.code }))
            }
            None => error(
                StatusCode::NOT_FOUND,
                "this command does not know the transaction",
            ),
        },
        _ => said_no(
            StatusCode::NOT_FOUND,
            "There is nothing here",
            "The address may be misspelt.",
        ),
    }
}

fn bad_request() -> Answer {
    said_no(
        StatusCode::BAD_REQUEST,
        "This address makes no sense",
        "It is not one of this page’s links.",
    )
}

/// Exchanges the secret of a printed address for a session.
fn open(state: &State, secret: &str) -> Answer {
    match state
        .guard
        .exchange(secret)
        .map(|cookie| HeaderValue::from_str(&cookie))
    {
        Some(Ok(cookie)) => {
            let mut opened = html(StatusCode::OK, page::opened());
            opened.headers_mut().insert(SET_COOKIE, cookie);
            opened
        }
        _ => {
            state.offer_address();
            let words = "An address opens the page once, in one browser. If it was this browser, go on to the page. Else open the \
                         address that the command has printed last.";
            let page = page::message("This address was used", words, Some(("/", "Go on to the page")));
            html(StatusCode::GONE, page)
        }
    }
}

/// Reads a body of JSON.
async fn body<T: DeserializeOwned>(state: &State, request: Request<Incoming>) -> Result<T, Answer> {
    let is_json = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/json");
    if !is_json {
        return Err(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "JSON is expected"));
    }
    let received = received(request, MAX_BODY, state.review.patience).await;
    let bytes = received.map_err(|failed| error(failed.status(), &failed.to_string()))?;
    serde_json::from_slice(&bytes)
        .map_err(|_| error(StatusCode::BAD_REQUEST, "the request is not as expected"))
}

/// The keys named in a query, `key=0x…&key=0x…`; empty for `all`. `None`: it is neither.
fn keys_of(query: &str) -> Option<Vec<Address>> {
    if query == "all" {
        return Some(Vec::new());
    }
    let keys = query
        .split('&')
        .map(|part| parse_address(part.strip_prefix("key=")?).ok());
    keys.collect()
}

/// What happens to amounts used, by a query. `None`: it is something else.
fn limits_of(query: &str) -> Option<LimitMode> {
    match query {
        "" | "limits=keep" => Some(LimitMode::Keep),
        "limits=afresh" => Some(LimitMode::Afresh),
        _ => None,
    }
}

/// What a link asks for.
enum Wanted {
    /// Keys to revoke; none: all.
    Revoke(Vec<Address>),
    Offer(usize, LimitMode),
}

async fn start(state: &State) -> Answer {
    let _one = state.reading.lock().await;
    match state.review.snapshot().await {
        Ok(account) => html(StatusCode::OK, state.review.start(&account, &state.tracks.open())),
        Err(error) => html(StatusCode::BAD_GATEWAY, Review::unread(&error)),
    }
}

async fn confirm(state: &State, wanted: Wanted) -> Answer {
    let _one = state.reading.lock().await;
    let account = match state.review.snapshot().await {
        Ok(account) => account,
        Err(error) => return html(StatusCode::BAD_GATEWAY, Review::unread(&error)),
    };
    let wish = match wanted {
        Wanted::Revoke(keys) if keys.is_empty() => Wish::Revoke {
            keys: account
                .keys()
                .iter()
                .take(MOST_REVOKED)
                .map(|key| key.session_key)
                .collect(),
        },
        Wanted::Revoke(keys) => Wish::Revoke { keys },
        Wanted::Offer(index, limits) => Wish::Offer {
            index,
            limits,
            at: None,
        },
    };
    match state.review.prepare(wish, &account).await {
        Ok(prepared) => html(StatusCode::OK, state.review.confirm(&prepared, &account)),
        Err(words) => said_no(StatusCode::CONFLICT, "This cannot be done", &words),
    }
}

/// Makes the transaction for the wallet.
async fn hand_over(state: &State, asked: Asked) -> Answer {
    let _one = state.reading.lock().await;
    let account = match state.review.snapshot().await {
        Ok(account) => account,
        Err(failed) => return error(StatusCode::BAD_GATEWAY, &crate::read::words_of(&failed)),
    };
    let prepared = match state.review.prepare(asked.wish, &account).await {
        Ok(prepared) => prepared,
        Err(words) => return error(StatusCode::CONFLICT, &words),
    };
    if prepared.fingerprint() != asked.shown {
        return error(
            StatusCode::CONFLICT,
            "The key has changed since this page was loaded, so nothing was given to the wallet: load the page again, and look at it \
             once more.",
        );
    }
    match state.review.hand_over(prepared, asked.owner, &state.tracks).await {
        Ok(for_wallet) => json_of(StatusCode::OK, &json!(for_wallet)),
        Err(words) => error(StatusCode::CONFLICT, &words),
    }
}

/// Notes what the wallet said.
fn note(state: &State, id: &str, report: &Report) -> Answer {
    let said = match report {
        Report::Hash(hash) => Said::Sent(*hash),
        Report::Declined(_) => Said::Declined,
    };
    if state.tracks.note(id, said) {
        json_of(StatusCode::OK, &json!({}))
    } else {
        error(
            StatusCode::NOT_FOUND,
            "this command does not know the transaction",
        )
    }
}

async fn transaction(state: &State, id: &str) -> Answer {
    let Some(tracked) = state.tracks.find(id) else {
        return said_no(
            StatusCode::NOT_FOUND,
            "Not known",
            "This command does not know the transaction: it may have been started anew. The page shows the keys as they are.",
        );
    };
    let _one = state.reading.lock().await;
    let standing = state.review.standing(&tracked, &state.tracks).await;
    if standing.is_over {
        state.tracks.end(id);
    }
    let account = if standing.is_over {
        state.review.snapshot().await.ok()
    } else {
        None
    };
    html(
        StatusCode::OK,
        state.review.transaction(&tracked, &standing, account.as_ref()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_strictly() {
        let key = Address::repeat_byte(0x11);
        assert_eq!(keys_of("all"), Some(Vec::new()));
        assert_eq!(keys_of(&format!("key={key}&key={key}")), Some(vec![key, key]));
        for other in ["", "all=1", "key=", "key=0x12", "keys=0x12", "key=%3Cscript%3E"] {
            assert_eq!(keys_of(other), None, "{other}");
        }
        assert_eq!(limits_of(""), Some(LimitMode::Keep));
        assert_eq!(limits_of("limits=afresh"), Some(LimitMode::Afresh));
        assert_eq!(limits_of("limits=raw"), None);
    }

    // The wallet is the only one that the page's script is for: it stays small, and loads nothing.
    #[test]
    fn the_assets_are_plain() {
        assert!(SCRIPT.lines().count() <= 300);
        for asset in [STYLE, SCRIPT] {
            for other in [
                "http:",
                "https:",
                "//cdn",
                "@import",
                "url(",
                "eval(",
                "innerHTML",
            ] {
                assert!(!asset.contains(other), "{other}");
            }
        }
    }
}
