//! The server: JSON-RPC, health and metrics, over a unix socket or loopback HTTP.

use crate::{
    metrics::TEXT,
    rpc::{MOST_IN_BATCH, Request as Asked, RpcError, answer as answer_to, code},
    service::Service,
};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde_json::{Value, json};
use session_key_loopback::{Bounds, Listener, Refused, Site, body, serve};
use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch};

/// The maximum size of a body, in bytes.
pub const MAX_BODY: usize = 256 << 10;
/// The maximum number of connections. A further one takes the place of one that waits for no
/// answer, or waits.
pub const MOST_CONNECTIONS: usize = 256;
/// How long a client may take for the head of a request, and for its body.
pub const PATIENCE: Duration = Duration::from_secs(5);

const BOUNDS: Bounds = Bounds {
    connections: MOST_CONNECTIONS,
    head: 16 << 10,
    patience: PATIENCE,
    longest: Duration::from_secs(60 * 60),
};

type Answer = Response<Full<Bytes>>;

/// Where the service listens.
#[derive(Debug)]
pub struct Place {
    listener: Listener,
    /// Of a socket that browsers can reach.
    site: Option<Site>,
    port: Option<u16>,
    #[cfg(unix)]
    path: Option<std::path::PathBuf>,
}

impl Place {
    /// A port of 127.0.0.1; 0: a free one. Requests that name another host, and those of
    /// websites, are refused.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub async fn loopback(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self {
            listener: Listener::Tcp(listener),
            site: Some(Site::new(port)),
            port: Some(port),
            #[cfg(unix)]
            path: None,
        })
    }

    /// A unix socket, for its owner alone. A socket at the path that nobody listens at is replaced.
    ///
    /// # Errors
    ///
    /// The operating system's; [`io::ErrorKind::AddrInUse`] if another process listens, or the path is
    /// something else.
    #[cfg(unix)]
    pub async fn unix(path: impl Into<std::path::PathBuf>) -> io::Result<Self> {
        use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
        let path = path.into();
        if let Ok(found) = std::fs::symlink_metadata(&path) {
            let is_free =
                found.file_type().is_socket() && tokio::net::UnixStream::connect(&path).await.is_err();
            if !is_free {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(&path)?;
        }
        // It is never there with more rights: it is made beside, and moved.
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let _ = std::fs::remove_file(&beside);
        let folder = tempfolder(&path);
        let listener = tokio::net::UnixListener::bind(&beside)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&beside, &path)?;
        Ok(Self {
            listener: Listener::Unix(listener),
            site: None,
            port: None,
            path: Some(path),
        })
    }

    /// Returns the address: a URL, or the socket's path.
    #[must_use]
    pub fn address(&self) -> String {
        #[cfg(unix)]
        if let Some(path) = &self.path {
            return path.display().to_string();
        }
        self.site
            .as_ref()
            .map_or_else(String::new, |site| site.origin().to_owned())
    }

    /// Returns the port, if it is one.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }
}

#[cfg(unix)]
fn tempfolder(path: &std::path::Path) -> std::path::PathBuf {
    path.parent()
        .map(std::path::Path::to_path_buf)
        .unwrap_or_default()
}

/// Serves until `ending` is true, and the answers that are waited for are out.
pub async fn run(service: Service, place: Place, ending: watch::Receiver<bool>) {
    let Place { listener, site, .. } = place;
    let site = Arc::new(site);
    let respond = move |request| {
        let (service, site) = (service.clone(), site.clone());
        async move { secured(respond(&service, site.as_ref().as_ref(), request).await) }
    };
    serve(listener, BOUNDS, ending, respond).await;
    #[cfg(unix)]
    if let Some(path) = place.path {
        let _ = std::fs::remove_file(path);
    }
}

fn secured(mut answer: Answer) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
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

fn json_of(status: StatusCode, value: &Value) -> Answer {
    answer(status, "application/json", value.to_string())
}

/// Refuses a request that was not read, and ends the connection.
fn turned_away(status: StatusCode, error: RpcError) -> Answer {
    let mut refused = json_of(status, &answer_to(&Value::Null, Err(error)));
    refused
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    refused
}

async fn respond(service: &Service, site: Option<&Site>, request: Request<Incoming>) -> Answer {
    let metrics = service.metrics();
    if request.uri().authority().is_some() {
        metrics.turn_away("host");
        let error = RpcError::new(code::REQUEST, "this is no proxy");
        return turned_away(StatusCode::MISDIRECTED_REQUEST, error);
    }
    if let Some(Err(refused)) = site.map(|site| site.check_program(request.headers())) {
        let (status, reason) = match refused {
            Refused::Host => (StatusCode::MISDIRECTED_REQUEST, "host"),
            Refused::Origin => (StatusCode::FORBIDDEN, "origin"),
        };
        metrics.turn_away(reason);
        return turned_away(status, RpcError::new(code::UNAUTHORIZED, refused.to_string()));
    }
    let allowed = match request.uri().path() {
        "/" => Method::POST,
        "/health" | "/metrics" => Method::GET,
        _ => {
            metrics.turn_away("path");
            return turned_away(
                StatusCode::NOT_FOUND,
                RpcError::new(code::REQUEST, "there is nothing here"),
            );
        }
    };
    if request.method() != allowed {
        metrics.turn_away("path");
        let error = RpcError::new(code::REQUEST, format!("the method here is {allowed}"));
        let mut refused = turned_away(StatusCode::METHOD_NOT_ALLOWED, error);
        if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
            refused.headers_mut().insert(ALLOW, allowed);
        }
        return refused;
    }
    if request.uri().path() == "/health" {
        return if service.is_stopping() {
            json_of(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "stopping" }))
        } else {
            json_of(StatusCode::OK, &json!({ "status": "ok" }))
        };
    }
    let given = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let token = given
        .and_then(|given| given.strip_prefix(b"Bearer "))
        .unwrap_or_default();
    let unknown = || {
        metrics.turn_away("token");
        turned_away(
            StatusCode::UNAUTHORIZED,
            RpcError::new(code::UNAUTHORIZED, "no client has this token"),
        )
    };
    if request.uri().path() == "/metrics" {
        return if service.may_read_metrics(token) {
            answer(StatusCode::OK, TEXT, metrics.text())
        } else {
            unknown()
        };
    }
    let Some(client) = service.client_of(token) else {
        return unknown();
    };
    let received = match body(request, MAX_BODY, PATIENCE).await {
        Ok(received) => received,
        Err(failed) => {
            metrics.turn_away("body");
            return turned_away(failed.status(), RpcError::new(code::REQUEST, failed.to_string()));
        }
    };
    match serde_json::from_slice::<Value>(&received) {
        Ok(Value::Array(requests)) if requests.is_empty() || requests.len() > MOST_IN_BATCH => {
            let message = format!("a batch has between 1 and {MOST_IN_BATCH} requests");
            json_of(
                StatusCode::OK,
                &answer_to(&Value::Null, Err(RpcError::new(code::REQUEST, message))),
            )
        }
        Ok(Value::Array(requests)) => {
            let mut answers = Vec::new();
            for request in requests {
                answers.push(asked(service, client, request).await);
            }
            json_of(StatusCode::OK, &Value::Array(answers))
        }
        Ok(request) => json_of(StatusCode::OK, &asked(service, client, request).await),
        Err(_) => {
            let error = RpcError::new(code::PARSE, "this is not JSON");
            json_of(StatusCode::OK, &answer_to(&Value::Null, Err(error)))
        }
    }
}

async fn asked(service: &Service, client: usize, request: Value) -> Value {
    match Asked::read(request) {
        Ok(Asked { id, method, params }) => answer_to(&id, service.answer(client, &method, params).await),
        Err((id, error)) => answer_to(&id, Err(error)),
    }
}
