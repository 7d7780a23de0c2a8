//! The account: a local AWS as a child process, an engine with the runners' image, the program under test.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock},
    time::{Duration, Instant},
};

use reqwest::Client;
use self_runners::demo::machines::Containers;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::meter::Meter;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_self-runners");

/// Where everything is.
pub(crate) const REGION: &str = "eu-central-1";

/// How long a server may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);

/// What was started, and ends with this program.
static CHILDREN: Mutex<Vec<Child>> = Mutex::new(Vec::new());

static PLACE: OnceLock<Place> = OnceLock::new();

/// Ends what was started, and takes the image away.
pub(crate) fn end_all() {
    if let Some(place) = PLACE.get() {
        place.docker(&["image", "rm", "--force", IMAGE, &place.containers.image()]);
    }
    for mut child in CHILDREN.lock().unwrap().drain(..) {
        // It may have ended by itself.
        let _gone = child.kill();
        let _status = child.wait();
    }
}

/// The account.
pub(crate) struct Place {
    pub(crate) runtime: Runtime,
    pub(crate) http: Client,
    /// The local AWS.
    pub(crate) url: String,
    /// This machine's address in the containers' network.
    pub(crate) gateway: IpAddr,
    pub(crate) dir: TempDir,
    /// What the functions call.
    pub(crate) meter: Meter,
    containers: Containers,
}

impl Place {
    /// The one of this program.
    pub(crate) fn get() -> &'static Self {
        PLACE.get_or_init(Self::begin)
    }

    fn begin() -> Self {
        // An error: it is installed already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let host = variable("TEST_DOCKER_HOST");
        let within = runtime.enter();
        let containers = Containers::of(&host).unwrap();
        let gateway = runtime.block_on(async {
            containers.make_image(PathBuf::from(PROGRAM)).await.unwrap();
            containers.gateway().await.unwrap()
        });
        drop(within);
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut ministack = Command::new(variable("TEST_MINISTACK"));
        ministack.env("GATEWAY_PORT", port.to_string()).env("STATE_DIR", dir.path()).env("DOCKER_HOST", &host);
        let url = format!("http://127.0.0.1:{port}");
        let (meter, at) = runtime.block_on(Meter::begin(url.clone(), IpAddr::from([127, 0, 0, 1])));
        // The functions find their way back by this.
        ministack.env("AWS_ENDPOINT_URL", format!("http://{at}")).current_dir(dir.path());
        start(&mut ministack, port, &dir.path().join("ministack.log"));
        let place = Self { runtime, http: Client::new(), url, gateway, dir, meter, containers };
        place.mend_image();
        place
    }

    /// The image is as it should be.
    pub(crate) fn mend_image(&self) {
        self.docker(&["tag", &self.containers.image(), IMAGE]);
    }

    /// The image has nothing that could be started.
    pub(crate) fn break_image(&self) {
        let empty = self.dir.path().join("empty.tar");
        std::fs::write(&empty, [0; 1_024]).unwrap();
        self.docker(&["import", "--change", "ENTRYPOINT [\"/nothing\"]", empty.to_str().unwrap(), IMAGE]);
    }

    /// Docker's own command line, at the engine.
    pub(crate) fn docker(&self, words: &[&str]) -> String {
        let output = Command::new("docker").args(["--host", self.containers.host()]).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the program says to some words; whether it went well.
    pub(crate) fn says(&self, words: &[&str], config: &Path, stdin: &str) -> (bool, String) {
        self.says_offline(&[words, &["--endpoint-url", &self.url]].concat(), config, stdin)
    }

    /// The same of a command that talks to nobody.
    pub(crate) fn says_offline(&self, words: &[&str], config: &Path, stdin: &str) -> (bool, String) {
        self.says_as(&["test", "test"], words, config, stdin)
    }

    /// The same with an access key of somebody else.
    pub(crate) fn says_as(&self, key: &[&str; 2], words: &[&str], config: &Path, stdin: &str) -> (bool, String) {
        let mut command = Command::new(PROGRAM);
        command.args(words).arg("--config").arg(config);
        command.env("AWS_ACCESS_KEY_ID", key[0]).env("AWS_SECRET_ACCESS_KEY", key[1]).env_remove("AWS_PROFILE");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// A call of one of AWS's JSON protocols: `AmazonSQS.SendMessage`.
    pub(crate) async fn call(&self, target: &str, body: &Value) -> Value {
        let service = match target.split('.').next() {
            Some("AmazonSQS") => "sqs",
            Some("secretsmanager") => "secretsmanager",
            Some("Logs_20140328") => "logs",
            Some("ResourceGroupsTaggingAPI_20170126") => "tagging",
            Some("DynamoDB_20120810") => "dynamodb",
            _ => "ecs",
        };
        let asked = self.http.post(&self.url).header("x-amz-target", target).header("authorization", signed(service));
        let asked = asked.header("content-type", "application/x-amz-json-1.1").body(body.to_string());
        let text = asked.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{target}: {text}"))
    }
}

/// What there is in the account, by who was asked. All that bears tags, and what the tags' own service does not know.
impl Place {
    pub(crate) async fn inventory(&self) -> BTreeMap<&'static str, String> {
        let mut all = BTreeMap::new();
        for (name, target) in [
            ("log groups", "Logs_20140328.DescribeLogGroups"),
            ("task definitions", "AmazonEC2ContainerServiceV20141113.ListTaskDefinitions"),
            ("clusters", "AmazonEC2ContainerServiceV20141113.ListClusters"),
            ("secrets", "secretsmanager.ListSecrets"),
            ("tables", "DynamoDB_20120810.ListTables"),
        ] {
            all.insert(name, self.call(target, &json!({})).await.to_string());
        }
        let tagged = self.call("ResourceGroupsTaggingAPI_20170126.GetResources", &json!({})).await;
        let arns = tagged["ResourceTagMappingList"].as_array().into_iter().flatten();
        let arns = arns.filter_map(|one| one["ResourceARN"].as_str());
        // ECS shows tasks that have stopped for an hour, and definitions that are withdrawn for ever; the local DynamoDB
        // keeps the tags of tables that are gone. What there is of these is listed above.
        let remembered = [":task/", ":task-definition/", ":dynamodb:", ":cloudformation:"];
        let arns = arns.filter(|arn| !remembered.iter().any(|part| arn.contains(part)));
        all.insert("tags", arns.collect::<Vec<_>>().join(" "));
        for (name, service, action) in [
            ("networks", "ec2", "DescribeVpcs&Version=2016-11-15"),
            ("subnets", "ec2", "DescribeSubnets&Version=2016-11-15"),
            ("security groups", "ec2", "DescribeSecurityGroups&Version=2016-11-15"),
            ("route tables", "ec2", "DescribeRouteTables&Version=2016-11-15"),
            ("roles", "iam", "ListRoles&Version=2010-05-08"),
        ] {
            all.insert(name, self.query(service, action).await);
        }
        let apis = self.http.get(format!("{}/v2/apis", self.url)).header("authorization", signed("apigateway"));
        all.insert("APIs", apis.send().await.unwrap().text().await.unwrap());
        all
    }
}

impl Place {
    /// A call of AWS's older protocol: `DescribeVpcs&Version=2016-11-15`.
    async fn query(&self, service: &str, action: &str) -> String {
        let ask = self.http.post(&self.url).header("authorization", signed(service));
        let ask = ask.header("content-type", "application/x-www-form-urlencoded");
        ask.body(format!("Action={action}")).send().await.unwrap().text().await.unwrap()
    }

    /// What CloudFormation tells of a stage's stack.
    pub(crate) async fn happened(&self, stage: &str) -> String {
        self.query("cloudformation", &format!("DescribeStackEvents&StackName=self-runners-{stage}&Version=2010-05-15"))
            .await
    }

    /// The access key of a new user who may do what this policy says.
    pub(crate) async fn user(&self, name: &str, policy: &Value) -> [String; 2] {
        let policy = policy.to_string().replace('&', "%26");
        for action in [
            format!("CreateUser&UserName={name}"),
            format!("PutUserPolicy&UserName={name}&PolicyName=p&PolicyDocument={policy}"),
        ] {
            self.query("iam", &format!("{action}&Version=2010-05-08")).await;
        }
        let key = self.query("iam", &format!("CreateAccessKey&UserName={name}&Version=2010-05-08")).await;
        ["AccessKeyId", "SecretAccessKey"].map(|part| {
            let (_, rest) = key.split_once(&format!("<{part}>")).unwrap_or_else(|| panic!("{key}"));
            rest.split('<').next().unwrap_or_default().to_owned()
        })
    }
}

/// What the local AWS finds the Region and the service by; it looks at no signature.
pub(crate) fn signed(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

/// What the runners' image is called: of a registry that nobody asks, since the engine has it.
pub(crate) const IMAGE: &str = "127.0.0.1:5000/self-runners/runner:story";

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a server and waits until it listens.
pub(crate) fn start(command: &mut Command, port: u16, log: &Path) {
    let log = std::fs::File::create(log).unwrap();
    let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    CHILDREN.lock().unwrap().push(child);
    let (address, began) = (SocketAddr::from(([127, 0, 0, 1], port)), Instant::now());
    while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
        assert!(began.elapsed() < LISTENS_WITHIN, "{command:?} does not listen"); // deadline
        std::thread::yield_now();
    }
}
