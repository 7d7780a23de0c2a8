//! The load: so many connections that are kept, each with one request in hand, from one thread.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

/// How long an answer may take; a daemon that is killed never gives one.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// What is sent: the request with this number.
pub(super) type Make = Arc<dyn Fn(u64) -> Vec<u8> + Send + Sync>;

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Numbers of the requests that were answered with 2xx.
    pub(super) good: Vec<u64>,
    /// How long each of them took.
    pub(super) took: Vec<Duration>,
    /// Requests that were answered otherwise, or not.
    pub(super) bad: u64,
    /// From the first request to the last answer.
    pub(super) lasted: Duration,
}

impl Answers {
    /// Good answers a second.
    pub(super) fn rate(&self) -> f64 {
        self.good.len() as f64 / self.lasted.as_secs_f64()
    }

    /// The time within which this share was answered, milliseconds.
    pub(super) fn quantile_ms(&mut self, share: f64) -> f64 {
        quantile(&mut self.took, share).as_secs_f64() * 1e3
    }
}

/// The value below which this share of the values lies.
pub(super) fn quantile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Sends requests 0 to `count` over `connections` connections. Each ends at its first failure.
pub(super) async fn send(address: SocketAddr, connections: usize, count: u64, make: Make) -> Answers {
    let next = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(work(address, next.clone(), count, make.clone()));
    }
    let mut all = Answers::default();
    while let Some(Ok(one)) = tasks.join_next().await {
        all.good.extend(one.good);
        all.took.extend(one.took);
        all.bad += one.bad;
    }
    all.lasted = begin.elapsed();
    all
}

async fn work(address: SocketAddr, next: Arc<AtomicU64>, count: u64, make: Make) -> Answers {
    let mut answers = Answers::default();
    let Ok(mut connection) = Connection::open(address).await else { return answers };
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= count {
            return answers;
        }
        let request = make(n);
        let begin = Instant::now();
        match timeout(ANSWER_WITHIN, connection.exchange(&request)).await {
            Ok(Ok(200..300)) => {
                answers.good.push(n);
                answers.took.push(begin.elapsed());
            }
            Ok(Ok(_)) => answers.bad += 1,
            Ok(Err(_)) | Err(_) => {
                answers.bad += 1;
                return answers;
            }
        }
    }
}

/// A connection to the daemon.
pub(super) struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    /// Opens one.
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(1_024) })
    }

    /// Whether the last answer holds a word.
    pub(super) fn said(&self, word: &str) -> bool {
        self.answer.windows(word.len()).any(|part| part == word.as_bytes())
    }

    /// Sends a request, reads the whole answer; its status.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 || self.answer.len() > ANSWER_BYTES_MAX {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, bytes)) = head(&self.answer)
                && self.answer.len() >= bytes
            {
                return Ok(status);
            }
        }
    }
}

/// The status of an answer and its length, once its head is there.
fn head(answer: &[u8]) -> Option<(u16, usize)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(answer.get(..end)?).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let length = text.lines().filter_map(|line| line.split_once(':'));
    let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Some((status, end + length.next().map_or(0, |(_, value)| value.trim().parse().unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is_there() {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        assert_eq!(head(answer), Some((202, answer.len())));
        assert_eq!(head(&answer[..answer.len() - 2]), Some((202, answer.len())));
        assert_eq!(head(&answer[..30]), None);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let mut values: Vec<Duration> = (1..=10).rev().map(Duration::from_millis).collect();
        let ms = [0.0, 0.5, 0.95, 1.0].map(|share| quantile(&mut values, share).as_millis());
        assert_eq!(ms, [1, 6, 10, 10]);
        assert_eq!(quantile(&mut [], 0.5), Duration::ZERO);
    }
}
