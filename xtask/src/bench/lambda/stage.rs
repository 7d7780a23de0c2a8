//! What is around the functions: Secrets Manager, SQS, ECS, GitHub, Valkey; and what their environment says of it.

use std::{
    cell::{Cell, RefCell},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fleet::{
    class::Class,
    labels::LabelSet,
    policy::{Owner, Policy},
};
use serde_json::json;
use sim::{
    aws::ecs::{Ecs, model::Definition, server},
    http::{self, Options},
    hub::Hub,
};

use super::{Measured, calls, cloud::Cloud, program::Variables};
use crate::bench::payload::{self, Jobs, LABELS, REPOS, SECRET};

const STAGE: &str = "bench";
const CLUSTER: &str = "runners";
const TOKEN: &str = "a-token-of-the-bench";

/// How long Valkey may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

/// A function, and what it is called with.
#[derive(Clone, Copy)]
pub(super) struct Function {
    pub(super) name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hello,
    Webhook,
    Agent,
    Sweep,
    Scaler,
}

/// In an order in which none finds more in the store than it needs.
const FUNCTIONS: [Function; 5] = [
    Function { name: "HelloHandler", kind: Kind::Hello },
    Function { name: "WebhookHandlerGHA", kind: Kind::Webhook },
    Function { name: "AgentHandler", kind: Kind::Agent },
    Stage::SWEEP,
    Function { name: "ScalerHandler", kind: Kind::Scaler },
];

/// Everything ends when it is dropped.
pub(super) struct Stage {
    cloud: Cloud,
    github: http::Server,
    ecs: server::Server,
    valkey: Option<Valkey>,
    jobs: Jobs,
    next: Cell<u64>,
    /// What the webhook's function put into the queue.
    queued: RefCell<Vec<String>>,
}

impl Stage {
    /// The function that sweeps.
    pub(super) const SWEEP: Function = Function { name: "SweepHandler", kind: Kind::Sweep };

    pub(super) async fn begin(valkey: Option<&Path>) -> Measured<Self> {
        let secrets = vec![
            ("webhook", json!({ "webhook_secret": SECRET })),
            ("token", json!({ "GITHUB_API_TOKEN": TOKEN })),
            ("peer", json!(SECRET)),
        ];
        let mut hub = Hub::new(1);
        (0..REPOS).filter_map(payload::repo).for_each(|repo| hub.add_repo(&repo, false));
        let mut ecs = Ecs::new(1);
        ecs.add_cluster(CLUSTER, &["FARGATE"]);
        ecs.add_definition(Definition::new("runner"));
        Ok(Self {
            cloud: Cloud::begin(secrets).await?,
            github: http::serve(hub, Options::new(TOKEN, SECRET)).await.map_err(|error| error.to_string())?,
            ecs: server::serve(ecs).await.map_err(|error| error.to_string())?,
            valkey: valkey.map(Valkey::begin).transpose()?,
            jobs: Jobs::new().ok_or("no delivery can be made")?,
            next: Cell::new(0),
            queued: RefCell::default(),
        })
    }

    /// Those that can be measured; says which cannot.
    pub(super) fn functions(&self) -> Vec<Function> {
        if self.valkey.is_some() {
            return FUNCTIONS.to_vec();
        }
        eprintln!("functions with a store are not measured: name a server with `--valkey PATH`");
        FUNCTIONS.into_iter().filter(|function| [Kind::Hello, Kind::Webhook].contains(&function.kind)).collect()
    }

    /// Whether it launches: nothing is launched before two sweeps have counted the engine's machines.
    pub(super) fn launches(&self, function: Function) -> bool {
        function.kind == Kind::Scaler
    }

    /// What its environment says.
    pub(super) fn environment(&self, function: Function) -> Variables {
        let mut variables = self.aws();
        let mut add = |some: &[(&str, &str)]| variables.extend(some.iter().map(|(name, value)| pair(name, value)));
        add(&[("STAGE", STAGE)]);
        if function.kind == Kind::Hello {
            return variables;
        }
        add(&[("POLICY", &policy()), ("QUEUE_URL", &format!("{}/123456789012/queue", self.cloud.url()))]);
        if function.kind == Kind::Webhook {
            add(&[("GITHUB_WEBHOOK_SECRET_ARN", "webhook")]);
            return variables;
        }
        let url = self.valkey.as_ref().map(Valkey::url).unwrap_or_default();
        add(&[("VALKEY_URL", &url), ("VALKEY_SECRET_ARN", ""), ("GITHUB_API_TOKEN_ARN", "token")]);
        add(&[("PUBLIC_URL", "https://bench.test"), ("WEBHOOK_URL", "https://bench.test/webhook")]);
        add(&[
            ("GITHUB_API_URL", self.github.url()),
            ("HEARTBEAT_MS", "30000"),
            ("REDELIVER", "false"),
            ("DISCOVER", "false"),
        ]);
        if function.kind != Kind::Agent {
            add(&[("CLUSTER_NAME", CLUSTER), ("SERVICE_NAME", "RunnersService"), ("ASSIGN_PUBLIC_IP", "ENABLED")]);
            add(&[("TASK_DEFINITION_ARN", "standard=runner:1"), ("VPC_PUBLIC_SUBNETS", "subnet-a")]);
            add(&[("SECURITY_GROUP_ID", "sg-1"), ("SPOT_CLASSES", "")]);
        }
        variables
    }

    /// What the peer `cdk-github-microvm-runners` (0.1.19) is told: it serves the same jobs.
    pub(super) fn peer_environment(&self) -> Variables {
        let mut variables = self.aws();
        variables.extend([
            pair("GH_WEBHOOK_SECRET_ARN", "peer"),
            pair("QUEUE_URL", &format!("{}/q", self.cloud.url())),
            pair("SCOPE_JSON", r#"{"kind":"org","org":"acme"}"#),
            pair("SIZE_CLASS_LABELS", &json!(LABELS).to_string()),
        ]);
        variables
    }

    /// How many messages were put into the queue since this was asked last.
    pub(super) fn queued_since(&self) -> usize {
        self.cloud.take_queue().len()
    }

    fn aws(&self) -> Variables {
        vec![
            pair("AWS_LAMBDA_FUNCTION_NAME", "f"),
            pair("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            pair("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            pair("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/f"),
            pair("AWS_LAMBDA_LOG_STREAM_NAME", "s"),
            pair("AWS_REGION", "eu-central-1"),
            pair("AWS_ACCESS_KEY_ID", "AKIABENCH"),
            pair("AWS_SECRET_ACCESS_KEY", "a-key-of-the-bench"),
            pair("AWS_ENDPOINT_URL", self.cloud.url()),
            pair("AWS_ENDPOINT_URL_ECS", self.ecs.url()),
        ]
    }

    /// The next call of a function.
    pub(super) fn call(&self, function: Function) -> Measured<String> {
        match function.kind {
            Kind::Hello => calls::request(b"GET / HTTP/1.1\r\nhost: bench.test\r\n\r\n").ok_or_else(unwritten),
            Kind::Webhook => self.delivery(),
            Kind::Agent => {
                let claim = payload::from_agent("/agent/v1/claim", "no-token-of-ours", "{\"version\":1}");
                calls::request(&claim).ok_or_else(unwritten)
            }
            Kind::Sweep => Ok("{}".to_owned()),
            Kind::Scaler => self.batch(),
        }
    }

    /// Whether what was called for was done: a function that does nothing is quick.
    pub(super) fn has_worked(&self) -> Measured<()> {
        let tasks = self.ecs.handle().look(|ecs| ecs.tasks().count());
        if self.valkey.is_none() || tasks > 0 { Ok(()) } else { Err("no task was started".to_owned()) }
    }

    /// A delivery that nobody has seen.
    pub(super) fn delivery(&self) -> Measured<String> {
        let n = self.next.replace(self.next.get() + 1);
        calls::request(&self.jobs.queued(n)).ok_or_else(unwritten)
    }

    /// A message that the webhook's function put into the queue.
    fn batch(&self) -> Measured<String> {
        let mut queued = self.queued.borrow_mut();
        queued.extend(self.cloud.take_queue());
        let message = queued.pop().ok_or("the webhook's function has put nothing into the queue")?;
        Ok(calls::batch(&[message]))
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn unwritten() -> String {
    "a call cannot be written".to_owned()
}

fn policy() -> String {
    let class =
        Class { name: "standard".into(), labels: LabelSet::parse(LABELS).unwrap_or_default(), ..Class::default() };
    let owner = Owner { organization: true, repositories: None };
    let policy = Policy {
        stage: STAGE.into(),
        classes: vec![class],
        owners: [("acme".into(), owner)].into(),
        ..Policy::default()
    };
    serde_json::to_string(&policy).unwrap_or_default()
}

/// A Valkey server that keeps nothing.
struct Valkey {
    child: Child,
    port: u16,
}

impl Valkey {
    fn begin(program: &Path) -> Measured<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        drop(listener);
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let valkey = Self { child, port };
        valkey.listens()?;
        Ok(valkey)
    }

    fn listens(&self) -> Measured<()> {
        let (address, began) = (SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), Instant::now());
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if began.elapsed() > LISTENS_WITHIN {
                return Err("Valkey does not listen".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
