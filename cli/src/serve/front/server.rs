//! The connections: accepted while there are places, served by hyper, cut off when their other side is slow, ended
//! politely. What is answered is the routes' business.
//!
//! `axum::serve` would do, but it sets no time limit for heads and no limit of connections.

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use axum::{Router, extract::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::JoinSet,
};
use tower_service::Service as _;
use tracing::warn;

use super::{
    complaints::Complaints,
    seats::{Seats, Taking},
};

/// How long a request's head may take, and how long a connection may do nothing between two requests. GitHub gives up
/// after 10 s (FACTS §1).
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// The largest head, and what is read ahead of a body. GitHub's heads have about 1 kB.
const BUFFER_BYTES: usize = 32 * 1_024;

/// Connections of agents at once: each is made for one call.
const AGENT_SEATS: usize = 64;

/// Pause after a connection that could not be accepted, so that a lack of files is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `ending` comes or its sender is gone, then answers what is in hand.
pub(crate) async fn serve(listener: TcpListener, router: Router, ending: oneshot::Receiver<()>) {
    serve_at(Arc::new(Seats::within_limits()), HEAD_WITHIN, listener, router, ending).await;
}

/// The same for agents in containers, with places of their own: jobs can take these, and none of the others.
pub(crate) async fn serve_agents(listener: TcpListener, router: Router, ending: oneshot::Receiver<()>) {
    serve_at(Arc::new(Seats::new(AGENT_SEATS)), HEAD_WITHIN, listener, router, ending).await;
}

async fn serve_at(
    seats: Arc<Seats>,
    head_within: Duration,
    listener: TcpListener,
    router: Router,
    mut ending: oneshot::Receiver<()>,
) {
    let complaints = Complaints::default();
    let http = Arc::new(http(head_within));
    let (end, ends) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // Also when the other half is dropped: then the daemon is ending too.
            _asked = &mut ending => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match seats.take() {
                    Some(place) => drop(connections.spawn(serve_one(http.clone(), stream, router.clone(), place, ends.clone()))),
                    None => complain(&complaints, "all places for connections are taken; one was refused"),
                },
                Err(error) => unaccepted(&error, &seats, &complaints).await,
            },
        }
    }
    drop(listener);
    drop(end);
    while connections.join_next().await.is_some() {}
}

fn http(head_within: Duration) -> http1::Builder {
    let mut http = http1::Builder::new();
    // A request that is complete is answered even if its sender has closed its half.
    http.timer(TokioTimer::new()).header_read_timeout(head_within).max_buf_size(BUFFER_BYTES).half_close(true);
    http
}

/// A connection that was gone before it was accepted is nothing; a lack of files is mended by an idle one's end.
async fn unaccepted(error: &io::Error, seats: &Seats, complaints: &Complaints) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        complain(complaints, &format!("a connection could not be accepted: {error}; an idle one is ended"));
        seats.cut_idlest();
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

fn complain(complaints: &Complaints, what: &str) {
    if let Some(times) = complaints.due("connections") {
        warn!(times, "{what}");
    }
}

async fn serve_one(
    http: Arc<http1::Builder>,
    stream: TcpStream,
    router: Router,
    place: Taking,
    mut ends: watch::Receiver<()>,
) {
    // Answers are small and complete: waiting for more of them only delays. Where it cannot be set it is slower.
    let _set = stream.set_nodelay(true);
    let service = service_fn(|request| answer(&router, &place, request));
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let mut ending = false;
    loop {
        tokio::select! {
            // What failed on the way is the other side's to know.
            _ended = connection.as_mut() => return,
            () = place.cut() => return,
            _asked = ends.changed(), if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(router: &Router, place: &Taking, request: hyper::Request<Incoming>) -> Result<Response, Infallible> {
    place.moved();
    let mut request: Request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(place.seat());
    let response = router.clone().call(request).await;
    place.moved();
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        task::JoinHandle,
    };

    use super::*;

    /// How long anything may take.
    const WITHIN: Duration = Duration::from_secs(10);
    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

    struct Served {
        address: SocketAddr,
        end: oneshot::Sender<()>,
        ended: JoinHandle<()>,
    }

    async fn served(places: usize, head_within: Duration) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "fine"));
        let (end, ending) = oneshot::channel();
        let seats = Arc::new(Seats::new(places));
        Served { address, end, ended: tokio::spawn(serve_at(seats, head_within, listener, router, ending)) }
    }

    async fn dial(served: &Served, sent: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        stream
    }

    async fn answer_of(stream: &mut TcpStream) -> String {
        let mut answer = [0; 512];
        let read = tokio::time::timeout(WITHIN, stream.read(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned()
    }

    /// Waits for the other side to close; an error is an end as well.
    async fn closes(mut stream: TcpStream) {
        let mut rest = Vec::new();
        let _reset = tokio::time::timeout(WITHIN, stream.read_to_end(&mut rest)).await.unwrap();
    }

    #[tokio::test]
    async fn a_head_that_never_ends_and_an_idle_connection_are_cut_off() {
        let served = served(8, Duration::from_millis(50)).await;
        closes(dial(&served, b"").await).await;
        closes(dial(&served, b"GET / HTTP/1.1\r\nhost: he").await).await;
        let mut kept = dial(&served, GET).await;
        assert!(answer_of(&mut kept).await.ends_with("fine"));
        closes(kept).await;
    }

    #[tokio::test]
    async fn idle_connections_do_not_keep_others_out() {
        let served = served(4, WITHIN * 9).await;
        let mut idle = Vec::new();
        for _ in 0..40 {
            idle.push(dial(&served, b"GET /").await);
        }
        let mut fine = dial(&served, GET).await;
        assert!(answer_of(&mut fine).await.ends_with("fine"));
        closes(idle.remove(0)).await;
    }

    #[tokio::test]
    async fn a_sender_that_closed_its_half_is_answered() {
        let served = served(8, WITHIN * 9).await;
        let mut stream = dial(&served, GET).await;
        stream.shutdown().await.unwrap();
        assert!(answer_of(&mut stream).await.ends_with("fine"));
        closes(stream).await;
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let served = served(8, WITHIN * 9).await;
        let endless = [b"GET / HTTP/1.1\r\nx: ", vec![b'y'; 2 * BUFFER_BYTES].as_slice()].concat();
        assert!(answer_of(&mut dial(&served, &endless).await).await.starts_with("HTTP/1.1 431 "));
    }

    #[tokio::test]
    async fn it_ends_when_asked_and_idle_connections_do_not_hold_it() {
        let served = served(8, WITHIN * 9).await;
        let mut kept = dial(&served, GET).await;
        assert!(answer_of(&mut kept).await.ends_with("fine"));
        served.end.send(()).unwrap();
        tokio::time::timeout(WITHIN, served.ended).await.unwrap().unwrap();
        closes(kept).await;
    }
}
