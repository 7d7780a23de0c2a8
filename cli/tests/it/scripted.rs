//! An AWS that plays what a local one does not: stacks whose creation fails, that are stuck or somebody else's, a small
//! quota, refused credentials. It answers each call from a script, in the words of AWS's documentation, and notes which were
//! made. The program that asks is the whole one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};

/// What a stack's description begins with if it is ours.
pub(crate) const OURS: &str = "self-runners, stage dev: short-lived machines for GitHub Actions";

/// The task.
const TASK: &str = "arn:aws:ecs:eu-west-1:111122223333:task/self-runners-dev/0123";

/// What is played. Times do not count: each step of a stack is seen by one look.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// Description and status of the stack that is there.
    pub(crate) stack: Option<(String, &'static str)>,
    /// What a deployment ends as.
    pub(crate) becomes: &'static str,
    /// What happens meanwhile: resource, type, status, reason; the oldest first.
    pub(crate) events: Vec<[&'static str; 4]>,
    /// Calls that are refused: code and message.
    pub(crate) refused: BTreeMap<&'static str, [&'static str; 2]>,
    /// Actions that IAM does not allow, and those that it cannot judge.
    pub(crate) denied: Vec<&'static str>,
    pub(crate) open: Vec<&'static str>,
    /// Whose credentials are in use.
    pub(crate) arn: Option<&'static str>,
    /// Whether a runner's task runs in the cluster.
    pub(crate) runs_a_task: bool,
    /// Fargate's processors on demand.
    pub(crate) quota: f64,
    /// Names of the change sets that wait.
    pub(crate) proposals: Vec<&'static str>,
    /// Type of a resource that an update replaces; else a table is made.
    pub(crate) replaces: Option<&'static str>,
    /// Calls that changed something, in order.
    pub(crate) done: Vec<String>,
    /// Whether a change set was carried out.
    pub(crate) executed: bool,
}

/// It listens, until it is dropped.
pub(crate) struct Scripted {
    script: Arc<Mutex<Script>>,
    pub(crate) url: String,
    _runtime: Runtime,
}

impl Scripted {
    pub(crate) fn play(script: Script) -> Self {
        let script = Arc::new(Mutex::new(script));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(script.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { script, url, _runtime: runtime }
    }

    /// What was done, each at its first time.
    pub(crate) fn steps(&self) -> Vec<String> {
        let mut steps = self.done();
        let mut seen = std::collections::BTreeSet::new();
        steps.retain(|step| seen.insert(step.clone()));
        steps
    }

    pub(crate) fn done(&self) -> Vec<String> {
        lock(&self.script).done.clone()
    }
}

fn lock(script: &Arc<Mutex<Script>>) -> MutexGuard<'_, Script> {
    script.lock().unwrap()
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let mut script = lock(&script);
    let text = String::from_utf8_lossy(&body);
    let action = text.split('&').find_map(|pair| pair.strip_prefix("Action=")).map(str::to_owned);
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()?.rsplit('.').next());
    let call = action.or(target.map(str::to_owned)).unwrap_or_else(|| format!("{method} bucket"));
    if let Some([code, message]) = script.refused.get(call.as_str()) {
        if target.is_some() {
            return (StatusCode::BAD_REQUEST, json!({ "__type": code, "message": message }).to_string());
        }
        let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
        let error = if call.ends_with("bucket") {
            format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>")
        } else {
            format!("<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>")
        };
        return (StatusCode::FORBIDDEN, error);
    }
    script.call(&call, &method, uri.path(), &text)
}

impl Script {
    fn call(&mut self, call: &str, method: &Method, path: &str, text: &str) -> (StatusCode, String) {
        let good = |result: &str| {
            (StatusCode::OK, format!("<{call}Response><{call}Result>{result}</{call}Result></{call}Response>"))
        };
        match call {
            "GetCallerIdentity" => {
                let arn = self.arn.unwrap_or("arn:aws:iam::111122223333:user/dev");
                good(&format!("<Arn>{arn}</Arn><UserId>U</UserId><Account>111122223333</Account>"))
            }
            "GetRole" => {
                let arn = "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/Dev";
                let times = "<CreateDate>2026-01-01T00:00:00Z</CreateDate>";
                good(&format!(
                    "<Role><Path>/</Path><RoleName>Dev</RoleName><RoleId>R</RoleId><Arn>{arn}</Arn>{times}</Role>"
                ))
            }
            "SimulatePrincipalPolicy" => good(&self.simulated(text)),
            "GetServiceQuota" => (StatusCode::OK, format!(r#"{{"Quota":{{"Value":{}}}}}"#, self.quota)),
            "ListTasks" => (StatusCode::OK, json!({ "taskArns": self.tasks("RUNNING", text) }).to_string()),
            "DescribeTasks" => (StatusCode::OK, json!({ "tasks": [task()] }).to_string()),
            "DescribeStacks" => match self.shown() {
                Some(stack) => good(&format!("<Stacks><member>{stack}</member></Stacks>")),
                None => (StatusCode::BAD_REQUEST, missing()),
            },
            "CreateChangeSet" => self.does(call, || good("<Id>arn:change</Id><StackId>arn:stack</StackId>")),
            "DescribeChangeSet" => good(&format!(
                "<Status>CREATE_COMPLETE</Status><Changes>{}</Changes>",
                match self.replaces {
                    Some(kind) => change("It", "<Action>Modify</Action><Replacement>True</Replacement>", kind),
                    None => change("StateTable", "<Action>Add</Action>", "AWS::DynamoDB::Table"),
                }
            )),
            "ListChangeSets" => {
                let name = |name: &&str| format!("<member><ChangeSetName>{name}</ChangeSetName></member>");
                good(&format!("<Summaries>{}</Summaries>", self.proposals.iter().map(name).collect::<String>()))
            }
            "ExecuteChangeSet" => {
                self.executed = true;
                self.stack = Some((OURS.to_owned(), self.becomes));
                self.does(call, || good(""))
            }
            "DescribeStackEvents" => good(&format!("<StackEvents>{}</StackEvents>", self.happened())),
            "DeleteStack" => {
                self.stack = None;
                self.does(call, || good(""))
            }
            "DeleteChangeSet" => self.does(call, || good("")),
            _ => self.bucket(method, path),
        }
    }

    /// The verdict on each action that is asked about.
    fn simulated(&self, text: &str) -> String {
        let asked = text.replace("%3A", ":").replace("%2F", "/");
        let principal = asked.split('&').find_map(|pair| pair.strip_prefix("PolicySourceArn="));
        assert!(principal.is_some_and(|arn| !arn.contains("assumed-role")), "{asked}");
        let member = |action: &str| {
            let is_open = self.open.contains(&action);
            let decision = if is_open || self.denied.contains(&action) { "implicitDeny" } else { "allowed" };
            let missing = if is_open { "<member>iam:PassedToService</member>" } else { "" };
            format!(
                "<member><EvalActionName>{action}</EvalActionName><EvalDecision>{decision}</EvalDecision>\
                 <MissingContextValues>{missing}</MissingContextValues></member>"
            )
        };
        let actions = asked.split('&').filter(|pair| pair.starts_with("ActionNames.member."));
        let results: String = actions.filter_map(|pair| Some(member(pair.split_once('=')?.1))).collect();
        format!("<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>")
    }

    fn does<T>(&mut self, call: &str, answer: impl FnOnce() -> T) -> T {
        self.done.push(call.to_owned());
        answer()
    }

    fn shown(&self) -> Option<String> {
        let (description, status) = self.stack.as_ref()?;
        Some(format!(
            "<StackId>arn:stack</StackId><StackName>self-runners-dev</StackName><Description>{description}</Description>\
             <CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>{status}</StackStatus>"
        ))
    }

    fn tasks(&self, desired: &str, asked: &str) -> Vec<&'static str> {
        if self.runs_a_task && asked.contains(desired) { vec![TASK] } else { Vec::new() }
    }

    /// The newest first, as CloudFormation tells them.
    fn happened(&self) -> String {
        let all = self.events.iter().enumerate().filter(|_| self.executed).rev();
        let event = |(n, [id, kind, status, reason]): (usize, &[&str; 4])| {
            format!(
                "<member><StackId>arn:stack</StackId><StackName>self-runners-dev</StackName><EventId>{n}</EventId>\
                 <LogicalResourceId>{id}</LogicalResourceId><ResourceType>{kind}</ResourceType>\
                 <ResourceStatus>{status}</ResourceStatus><ResourceStatusReason>{reason}</ResourceStatusReason>\
                 <Timestamp>2026-01-01T00:00:00Z</Timestamp></member>"
            )
        };
        all.map(event).collect()
    }

    fn bucket(&mut self, method: &Method, path: &str) -> (StatusCode, String) {
        let is_object = path.trim_matches('/').contains('/');
        if *method == Method::PUT && (is_object || !path.trim_matches('/').is_empty()) {
            self.done.push(if is_object { "upload" } else { "bucket" }.to_owned());
        }
        let status = if *method == Method::HEAD && is_object { StatusCode::NOT_FOUND } else { StatusCode::OK };
        (status, String::new())
    }
}

fn task() -> Value {
    let tags = [
        ("self-runners.class", "small"),
        ("self-runners.scope", "acme"),
        ("self-runners.labels", "linux self-hosted"),
        ("self-runners.created-ms", "1"),
    ];
    let tags = tags.map(|(key, value)| json!({ "key": key, "value": value }));
    json!({
        "taskArn": TASK, "startedBy": "self-runners/dev/small/sr-dev-a/1", "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING", "tags": tags,
    })
}

fn change(id: &str, action: &str, kind: &str) -> String {
    format!(
        "<member><Type>Resource</Type><ResourceChange>{action}<LogicalResourceId>{id}</LogicalResourceId>\
         <ResourceType>{kind}</ResourceType></ResourceChange></member>"
    )
}

fn missing() -> String {
    "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id self-runners-dev does not \
     exist</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        .to_owned()
}
