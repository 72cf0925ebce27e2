//! Connections: accepting, bounds, ending.

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

/// Bounds on connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most connections at a time.
    pub connections: usize,
    /// The maximum size of a request's head, in bytes; at least 8,192.
    pub head: usize,
    /// How long a client may take for the head of a request, and be idle between two.
    pub patience: Duration,
    /// How long a connection may last.
    pub longest: Duration,
}

/// Where connections come from.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket.
    #[cfg(unix)]
    Unix(tokio::net::UnixListener),
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Listener {
    async fn accept(&self) -> io::Result<Box<dyn Duplex>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok(Box::new(stream))
            }
            #[cfg(unix)]
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// A connection that has a place.
struct Place {
    connection: AbortHandle,
    /// Whether it waits for an answer.
    is_busy: Arc<AtomicBool>,
    since: Instant,
}

/// Completes once it is true, or nobody can set it any more.
async fn ended(ending: &mut watch::Receiver<bool>) {
    let _ = ending.wait_for(|is_ending| *is_ending).await;
}

/// Answers requests until `ending` is true: then no connection is accepted, and each ends after the answer
/// that it waits for. Dropping the future ends all at once.
///
/// If all places are taken, a new connection takes the place of the oldest one that waits for no answer. If
/// all do wait, it waits too.
pub async fn serve<S, F>(listener: Listener, bounds: Bounds, ending: watch::Receiver<bool>, respond: S)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    // They end with this one.
    let mut connections = JoinSet::new();
    let mut places: Vec<Place> = Vec::new();
    let mut is_ending = ending.clone();
    loop {
        let stream = tokio::select! {
            biased;
            () = ended(&mut is_ending) => break,
            // Those that have ended are cleared.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok(stream) => stream,
                Err(_) => {
                    // Too many open files, or a client that has already disconnected.
                    sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
        };
        loop {
            places.retain(|place| !place.connection.is_finished());
            if places.len() < bounds.connections.max(1) {
                break;
            }
            let idle = places.iter().enumerate();
            let idle = idle
                .filter(|(_, place)| !place.is_busy.load(Ordering::Relaxed))
                .min_by_key(|(_, place)| place.since);
            if let Some((index, _)) = idle {
                places.swap_remove(index).connection.abort();
            } else {
                sleep(Duration::from_millis(5)).await;
            }
        }
        let is_busy = Arc::new(AtomicBool::new(false));
        let conversation = converse(stream, bounds, ending.clone(), respond.clone(), is_busy.clone());
        places.push(Place {
            connection: connections.spawn(conversation),
            is_busy,
            since: Instant::now(),
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Says that a connection waits for an answer, until it is dropped.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

async fn converse<S, F>(
    stream: Box<dyn Duplex>,
    bounds: Bounds,
    mut ending: watch::Receiver<bool>,
    respond: S,
    is_busy: Arc<AtomicBool>,
) where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let service = service_fn(move |request| {
        is_busy.store(true, Ordering::Relaxed);
        let busy = Busy(is_busy.clone());
        let answer = respond(request);
        async move {
            let answer = answer.await;
            drop(busy);
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.patience)
            .max_buf_size(bounds.head.max(8_192))
            .serve_connection(TokioIo::new(stream), service)
    );
    let whole = async {
        // There is no one to report an error to.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = ended(&mut ending) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    };
    let _ = timeout(bounds.longest, whole).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    const BOUNDS: Bounds = Bounds {
        connections: 2,
        head: 8_192,
        patience: Duration::from_secs(5),
        longest: Duration::from_secs(60),
    };

    async fn start(
        bounds: Bounds,
    ) -> (
        std::net::SocketAddr,
        watch::Sender<bool>,
        tokio::task::JoinHandle<()>,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ending) = watch::channel(false);
        let respond = |request: Request<Incoming>| async move {
            if request.uri().path() == "/slow" {
                sleep(Duration::from_millis(300)).await;
            }
            Response::new(Full::new(Bytes::from_static(b"well")))
        };
        let task = tokio::spawn(serve(Listener::Tcp(listener), bounds, ending, respond));
        (address, end, task)
    }

    async fn ask(stream: &mut TcpStream, path: &str) -> Option<String> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut answer = vec![0; 4_096];
        let length = stream.read(&mut answer).await.ok().filter(|length| *length > 0)?;
        String::from_utf8(answer[..length].to_vec()).ok()
    }

    #[tokio::test]
    async fn idle_connections_do_not_keep_others_out() {
        let (address, _end, _task) = start(BOUNDS).await;
        let mut idle = Vec::new();
        for _ in 0..8 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let mut working = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut working, "/").await.unwrap().ends_with("well"));
        // The first ones were put out.
        assert_eq!(ask(&mut idle[0], "/").await, None);
    }

    #[tokio::test]
    async fn a_connection_that_waits_for_an_answer_keeps_its_place() {
        let (address, _end, _task) = start(Bounds {
            connections: 1,
            ..BOUNDS
        })
        .await;
        let mut first = TcpStream::connect(address).await.unwrap();
        let waiting = tokio::spawn(async move { ask(&mut first, "/slow").await });
        sleep(Duration::from_millis(100)).await;
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut second, "/").await.unwrap().ends_with("well"));
        assert!(waiting.await.unwrap().unwrap().ends_with("well"));
    }

    #[tokio::test]
    async fn slow_heads_and_large_ones_end() {
        let bounds = Bounds {
            patience: Duration::from_millis(100),
            ..BOUNDS
        };
        let (address, _end, _task) = start(bounds).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut rest = Vec::new();
        let ended = timeout(Duration::from_secs(2), slow.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "it stays open");
        let mut large = TcpStream::connect(address).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(20_000));
        let _ = large.write_all(head.as_bytes()).await;
        let mut answer = String::new();
        let _ = large.read_to_string(&mut answer).await;
        assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
    }

    #[tokio::test]
    async fn ending_lets_answers_out() {
        let (address, end, task) = start(BOUNDS).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        let waiting = tokio::spawn(async move { ask(&mut first, "/slow").await });
        let _idle = TcpStream::connect(address).await.unwrap();
        sleep(Duration::from_millis(100)).await;
        end.send(true).unwrap();
        assert!(waiting.await.unwrap().unwrap().ends_with("well"));
        timeout(Duration::from_secs(2), task).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
