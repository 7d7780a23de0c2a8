//! The connection: one for all callers, made again when it broke; to a cluster if the server is part of one.

use std::{sync::Arc, time::Duration};

use controller::ports::{PortResult, Secret};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisFuture, RedisResult,
    ScriptInvocation, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
};
use tokio::sync::Mutex;

use super::{
    ServerUrl,
    words::{Words, invalid_url, refuses},
};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take. A commit is well under a millisecond of the server's time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A server and the connection to it.
#[derive(Debug)]
pub(super) struct Server {
    url: Arc<dyn ServerUrl>,
    words: Words,
    link: Mutex<Slot>,
}

/// The present connection and what makes the next one.
#[derive(Debug)]
struct Slot {
    client: Client,
    link: Option<Link>,
}

/// A connection that many callers share.
#[derive(Clone)]
enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One",
            Self::Cluster(_) => "Cluster",
        })
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(link) => link.req_packed_command(cmd),
            Self::Cluster(link) => link.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(link) => link.req_packed_commands(pipeline, offset, count),
            Self::Cluster(link) => link.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(link) => link.get_db(),
            Self::Cluster(link) => link.get_db(),
        }
    }
}

impl Server {
    /// Connects, so that what is wrong with the URL is told at once.
    pub(super) async fn open(url: Arc<dyn ServerUrl>) -> PortResult<Self> {
        let client = client(&url.current().await?)?;
        let words = Words::of(client.get_connection_info());
        let server = Self { url, words, link: Mutex::new(Slot { client, link: None }) };
        server.link().await?;
        Ok(server)
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    async fn link(&self) -> PortResult<Link> {
        let mut slot = self.link.lock().await;
        if let Some(link) = &slot.link {
            return Ok(link.clone());
        }
        let mut made = connect(&slot.client).await;
        if made.as_ref().is_err_and(refuses)
            && let Some(url) = self.url.again().await?
        {
            slot.client = client(&url)?;
            made = connect(&slot.client).await;
        }
        let link = made.map_err(|error| self.words.failed(&error))?;
        slot.link = Some(link.clone());
        Ok(link)
    }

    /// Reads. A connection that broke while nobody used it is made again.
    pub(super) async fn ask(&self, pipe: &Pipeline) -> PortResult<Vec<Value>> {
        let mut link = self.link().await?;
        match pipe.query_async(&mut link).await {
            Err(error) if self.broke(&error).await => {
                let mut link = self.link().await?;
                self.keep(pipe.query_async(&mut link).await).await
            }
            other => other.map_err(|error| self.words.failed(&error)),
        }
    }

    /// Writes; never twice, because whether it was done is not known when no answer came.
    pub(super) async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> PortResult<T> {
        let mut link = self.link().await?;
        self.keep(call.invoke_async(&mut link).await).await
    }

    async fn keep<T>(&self, result: RedisResult<T>) -> PortResult<T> {
        if let Err(error) = &result {
            self.broke(error).await;
        }
        result.map_err(|error| self.words.failed(&error))
    }

    /// Whether the connection is good for nothing any more; then the next caller makes one.
    async fn broke(&self, error: &RedisError) -> bool {
        let broke = error.is_io_error() || error.is_unrecoverable_error() || refuses(error);
        if broke {
            self.link.lock().await.link = None;
        }
        broke
    }
}

fn client(url: &Secret) -> PortResult<Client> {
    Client::open(url.expose()).map_err(|error| invalid_url(&error))
}

async fn connect(client: &Client) -> RedisResult<Link> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT));
    let mut one = client.get_multiplexed_async_connection_with_config(&config).await?;
    let told: RedisResult<String> = redis::cmd("INFO").arg("cluster").query_async(&mut one).await;
    // A server that does not tell is taken for one on its own, unless it does not let us in.
    let is_cluster = match told {
        Ok(text) => text.contains("cluster_enabled:1"),
        Err(error) if may_be_one(&error) => false,
        Err(error) => return Err(error),
    };
    if !is_cluster {
        return Ok(Link::One(one));
    }
    let cluster = ClusterClient::builder([client.get_connection_info().clone()])
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(ANSWER_TIMEOUT)
        .build()?;
    cluster.get_async_connection().await.map(Link::Cluster)
}

/// Whether the server answered, only not to this question.
fn may_be_one(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) && error.code() != Some("NOAUTH")
}
