//! The simulated GitHub's HTTP face, over real connections: REST, webhooks, the runner's broker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use fleet::ids::Repo;
use serde_json::{Value, json};
use sim::http::{Handle, Options, Server, serve};
use sim::hub::Hub;
use sim::hub::model::{NewJob, OwnerKind, Status};
use sim::standin::wire;
use sim::workflow::Workflow;
use sim::workflow::spec::{Conclusion, JobSpec};
use tokio::net::TcpListener;

const TOKEN: &str = "ghp_test";
const DEADLINE: Duration = Duration::from_secs(20);

/// One answer, as the tests look at it.
#[derive(Debug)]
struct Seen {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Value,
}

/// A blocking client on its own thread; `auth` is the whole header.
async fn ask(
    method: &'static str,
    url: String,
    auth: Option<String>,
    etag: Option<String>,
    body: Option<Value>,
) -> Seen {
    let call = move || {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let agent = ureq::Agent::new_with_config(config);
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        if let Some(auth) = auth {
            request = request.header("Authorization", auth);
        }
        if let Some(etag) = etag {
            request = request.header("If-None-Match", etag);
        }
        let bytes = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.header("Content-Type", "application/json").body(bytes).unwrap();
        let mut answer = agent.run(request).unwrap();
        let headers = answer.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let text = answer.body_mut().read_to_string().unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Seen { status: answer.status().as_u16(), headers, body }
    };
    tokio::task::spawn_blocking(call).await.unwrap()
}

async fn rest(server: &Server, method: &'static str, path: &str, body: Option<Value>) -> Seen {
    ask(method, format!("{}{path}", server.url()), Some(format!("Bearer {TOKEN}")), None, body).await
}

async fn get(server: &Server, path: &str) -> Seen {
    rest(server, "GET", path, None).await
}

fn repo() -> Repo {
    Repo::parse("acme/web").unwrap()
}

async fn github() -> Server {
    let mut hub = Hub::new(5);
    hub.add_repo(&repo(), false);
    hub.add_owner("mona", OwnerKind::User);
    hub.add_repo(&Repo::parse("mona/site").unwrap(), false);
    serve(hub, Options::new(TOKEN, "secret")).await.unwrap()
}

async fn until(handle: &Handle, what: &str, holds: impl Fn(&Hub) -> bool) {
    tokio::time::timeout(DEADLINE, handle.until(holds)).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn jit(name: &str) -> Value {
    json!({ "name": name, "runner_group_id": 1, "labels": ["self-hosted", "linux"], "work_folder": "_work" })
}

/// What took webhooks: headers and body.
type Inbox = Arc<Mutex<Vec<(HeaderMap, Vec<u8>)>>>;

async fn receiver(status: StatusCode) -> (String, Inbox) {
    let inbox = Inbox::default();
    let take = move |State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes| {
        inbox.lock().unwrap().push((headers, body.to_vec()));
        std::future::ready(status)
    };
    let app = Router::new().route("/webhook", post(take)).with_state(inbox.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, inbox)
}

#[tokio::test]
async fn a_wrong_token_is_401_in_githubs_shape() {
    let server = github().await;
    let url = format!("{}/rate_limit", server.url());
    for (auth, message) in [(None, "Requires authentication"), (Some("Bearer no".to_owned()), "Bad credentials")] {
        let seen = ask("GET", url.clone(), auth, None, None).await;
        assert_eq!((seen.status, &seen.body["message"], &seen.body["status"]), (401, &json!(message), &json!("401")));
        assert!(seen.body["documentation_url"].is_string());
    }
    assert_eq!(ask("GET", url, Some(format!("token {TOKEN}")), None, None).await.status, 200);
}

#[tokio::test]
async fn runners_are_registered_listed_read_and_deleted() {
    let server = github().await;
    for base in ["/orgs/acme/actions/runners", "/repos/acme/web/actions/runners"] {
        for name in ["r-1", "r-2", "r-3"] {
            let made = rest(&server, "POST", &format!("{base}/generate-jitconfig"), Some(jit(name))).await;
            assert_eq!((made.status, &made.body["runner"]["name"]), (201, &json!(name)));
        }
        let again = rest(&server, "POST", &format!("{base}/generate-jitconfig"), Some(jit("r-1"))).await;
        assert_eq!(again.status, 409);
        let page = get(&server, &format!("{base}?per_page=2")).await;
        assert_eq!((page.body["total_count"].as_u64(), page.body["runners"].as_array().unwrap().len()), (Some(3), 2));
        let link = &page.headers["link"];
        assert!(link.contains("page=2>; rel=\"next\"") && link.contains("per_page=2"), "{link}");
        let found = get(&server, &format!("{base}?name=r-2")).await;
        let id = found.body["runners"][0]["id"].as_u64().unwrap();
        let read = get(&server, &format!("{base}/{id}")).await;
        assert_eq!((&read.body["status"], &read.body["busy"]), (&json!("offline"), &json!(false)));
        assert_eq!(rest(&server, "DELETE", &format!("{base}/{id}"), None).await.status, 204);
        assert_eq!(rest(&server, "DELETE", &format!("{base}/{id}"), None).await.status, 404);
        assert_eq!(get(&server, &format!("{base}/{id}")).await.status, 404);
    }
}

#[tokio::test]
async fn a_jit_config_has_the_real_ones_shape_and_size() {
    let server = github().await;
    let path = "/orgs/acme/actions/runners/generate-jitconfig";
    let made = rest(&server, "POST", path, Some(jit("r-1"))).await;
    let text = made.body["encoded_jit_config"].as_str().unwrap();
    assert!((2_500..8_192).contains(&text.len()), "{}", text.len());
    let files = wire::decode_jit_config(text).unwrap();
    let settings: wire::Settings = serde_json::from_slice(&files[wire::SETTINGS_FILE]).unwrap();
    assert_eq!((settings.agent_name.as_str(), settings.server_url.as_str()), ("r-1", server.url()));
    assert_eq!(settings.agent_id, made.body["runner"]["id"].as_u64().unwrap());
}

#[tokio::test]
async fn every_answer_tells_the_rate_and_an_unchanged_one_costs_nothing() {
    let server = github().await;
    let path = "/repos/acme/web/actions/runs?status=queued";
    let first = get(&server, path).await;
    assert_eq!(first.headers["x-ratelimit-remaining"], "4999");
    let url = format!("{}{path}", server.url());
    let etag = first.headers["etag"].clone();
    let again = ask("GET", url, Some(format!("Bearer {TOKEN}")), Some(etag), None).await;
    assert_eq!((again.status, again.headers["x-ratelimit-remaining"].as_str()), (304, "4999"));
    server.handle().with(|hub, _| hub.faults.rest_rate_secondary = Some(0));
    let refused = get(&server, path).await;
    assert_eq!((refused.status, refused.headers.contains_key("retry-after")), (403, true));
}

#[tokio::test]
async fn runs_and_jobs_are_listed_read_and_run_again() {
    let server = github().await;
    let job = server.handle().with(|hub, now_ms| hub.submit(now_ms, NewJob::new(&repo(), "build", &["linux"])));
    let runs = get(&server, "/repos/acme/web/actions/runs?status=queued").await;
    let run = runs.body["workflow_runs"][0]["id"].as_u64().unwrap();
    assert_eq!(get(&server, "/repos/acme/web/actions/runs?status=pending").await.body["total_count"], 0);
    let jobs = get(&server, &format!("/repos/acme/web/actions/runs/{run}/jobs?filter=latest")).await;
    assert_eq!(jobs.body["jobs"][0]["id"], job.0);
    let path = format!("/repos/acme/web/actions/jobs/{job}");
    assert_eq!(get(&server, &path).await.body["status"], "queued");
    assert_eq!(rest(&server, "POST", &format!("{path}/rerun"), None).await.status, 403);
    server.handle().cancel(job);
    assert_eq!(get(&server, &path).await.body["conclusion"], "cancelled");
    assert_eq!(rest(&server, "POST", &format!("{path}/rerun"), None).await.status, 201);
    assert_eq!(get(&server, "/repos/acme/web/actions/jobs/1").await.status, 404);
}

#[tokio::test]
async fn owners_groups_tokens_and_releases_are_there() {
    let server = github().await;
    assert_eq!(get(&server, "/orgs/acme/repos").await.body[0]["full_name"], "acme/web");
    assert_eq!(get(&server, "/orgs/mona/repos").await.status, 404);
    assert_eq!(get(&server, "/user/repos").await.body[0]["full_name"], "mona/site");
    let groups = get(&server, "/orgs/acme/actions/runner-groups?visible_to_repository=web").await;
    assert_eq!(groups.body["runner_groups"][0]["name"], "Default");
    for path in ["/orgs/acme/actions/runners/registration-token", "/repos/acme/web/actions/runners/remove-token"] {
        let made = rest(&server, "POST", path, None).await;
        assert_eq!((made.status, made.body["expires_at"].is_string()), (201, true));
    }
    assert!(get(&server, "/orgs/acme/actions/runners/downloads").await.body[0]["sha256_checksum"].is_string());
    let release = get(&server, "/repos/actions/runner/releases/latest").await;
    let digest = release.body["assets"][0]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    assert!(release.body["body"].as_str().unwrap().contains(&digest));
    assert!(get(&server, "/meta").await.body["hooks"].is_array());
}

#[tokio::test]
async fn webhooks_are_signed_and_what_nobody_takes_can_be_sent_again() {
    let server = github().await;
    let handle = server.handle();
    // A port that nobody listens on: the daemon is down.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    handle.with(|hub, now_ms| hub.submit(now_ms, NewJob::new(&repo(), "build", &["linux"])));
    handle.send_webhooks_to(&format!("http://{}/webhook", closed.local_addr().unwrap()));
    drop(closed);
    let failed = |hub: &Hub| hub.kept_deliveries().any(|record| record.is_failed());
    until(handle, "a failed delivery", failed).await;
    let (url, inbox) = receiver(StatusCode::OK).await;
    handle.send_webhooks_to(&url);
    let hook = get(&server, "/orgs/acme/hooks").await;
    assert_eq!(hook.body[0]["config"]["url"], url);
    let base = format!("/orgs/acme/hooks/{}/deliveries", hook.body[0]["id"]);
    let listed = get(&server, &format!("{base}?status=failure&per_page=10")).await;
    let (id, guid) = (listed.body[0]["id"].as_u64().unwrap(), listed.body[0]["guid"].clone());
    assert_eq!(rest(&server, "POST", &format!("{base}/{id}/attempts"), None).await.status, 202);
    until(handle, "a taken delivery", |hub| hub.kept_deliveries().any(|record| record.status == Some(200))).await;
    let taken = inbox.lock().unwrap().clone();
    let of = |headers: &HeaderMap, name: &str| headers[name].to_str().unwrap().to_owned();
    let (headers, body) = taken.iter().find(|(headers, _)| of(headers, "x-github-event") == "workflow_job").unwrap();
    assert_eq!(of(headers, "x-github-delivery"), guid.as_str().unwrap());
    assert!(of(headers, "x-hub-signature-256").starts_with("sha256="));
    assert!(of(headers, "user-agent").starts_with("GitHub-Hookshot/"));
    assert_eq!(of(headers, "x-github-hook-installation-target-type"), "organization");
    let payload: Value = serde_json::from_slice(body).unwrap();
    assert_eq!((&payload["action"], &payload["repository"]["full_name"]), (&json!("queued"), &json!("acme/web")));
    assert!(listed.body[0]["status_code"] == 0 && listed.body[0]["action"] == "queued");
}

/// A runner program that only speaks the wire.
struct Runner {
    base: String,
    id: u64,
    auth: String,
    session: String,
}

impl Runner {
    async fn connect(server: &Server, name: &str) -> Self {
        let made = rest(server, "POST", "/orgs/acme/actions/runners/generate-jitconfig", Some(jit(name))).await;
        let files = wire::decode_jit_config(made.body["encoded_jit_config"].as_str().unwrap()).unwrap();
        let settings: wire::Settings = serde_json::from_slice(&files[wire::SETTINGS_FILE]).unwrap();
        let credentials: wire::Credentials = serde_json::from_slice(&files[wire::CREDENTIALS_FILE]).unwrap();
        let auth = format!("Bearer {}", credentials.data.key);
        let mut runner = Self { base: settings.server_url, id: settings.agent_id, auth, session: String::new() };
        let hello = json!({ "name": name, "version": wire::RUNNER_VERSION, "os": "Linux", "arch": "X64" });
        let opened = runner.call("POST", &wire::runner_path(runner.id, "session"), Some(hello)).await;
        assert_eq!(opened.status, 200);
        runner.session = opened.body["session"].as_str().unwrap().to_owned();
        runner
    }

    async fn call(&self, method: &'static str, path: &str, body: Option<Value>) -> Seen {
        ask(method, format!("{}{path}", self.base), Some(self.auth.clone()), None, body).await
    }

    async fn message(&self) -> Seen {
        let path = format!("{}?session={}", wire::runner_path(self.id, "message"), self.session);
        self.call("GET", &path, None).await
    }

    async fn job(&self, job: u64, kind: &str, body: Value) -> Seen {
        self.call("POST", &wire::job_path(self.id, job, kind), Some(body)).await
    }

    async fn acquire(&self, message: &Seen) -> (u64, Seen) {
        let job = message.body["job_id"].as_u64().unwrap();
        let body = json!({ "request_id": message.body["request_id"], "session": self.session });
        (job, self.job(job, "acquire", body).await)
    }
}

fn spec(name: &str) -> JobSpec {
    let json = json!({ "key": "build", "name": name, "steps": [], "timeout_ms": 60_000 });
    serde_json::from_value(json).unwrap()
}

#[tokio::test]
async fn a_waiting_runner_is_woken_by_a_job_executes_it_and_is_gone() {
    let server = github().await;
    let handle = server.handle();
    let runner = Runner::connect(&server, "r-1").await;
    let poll = runner.message();
    let submit = async { handle.submit(NewJob::new(&repo(), "build", &["linux"]), spec("build")) };
    let (message, id) = tokio::join!(poll, submit);
    assert_eq!(message.status, 200);
    let (job, answer) = runner.acquire(&message).await;
    assert_eq!((job, &answer.body["spec"]["name"]), (id.0, &json!("build")));
    assert_eq!(answer.body["github"]["repository"], "acme/web");
    // The answer got lost: asked again, it is the same.
    assert_eq!(runner.acquire(&message).await.1.status, 200);
    let shown = get(&server, &format!("/orgs/acme/actions/runners/{}", runner.id)).await;
    assert_eq!((&shown.body["busy"], &shown.body["status"]), (&json!(true), &json!("online")));
    let line = |text: &str| json!({ "step": 1, "at_ms": 1, "text": text });
    let batch = json!({ "first": 0, "lines": [line("one"), line("two")] });
    assert_eq!(runner.job(job, "log", batch).await.status, 204);
    let batch = json!({ "first": 1, "lines": [line("two"), line("three")] });
    assert_eq!(runner.job(job, "log", batch).await.status, 204);
    let texts: Vec<String> = handle.log(id).into_iter().map(|line| line.text).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert_eq!(runner.job(job, "renew", json!({})).await.body["cancel"], false);
    handle.cancel(id);
    assert_eq!(runner.job(job, "renew", json!({})).await.body["cancel"], true);
    let done = json!({ "conclusion": "cancelled", "outputs": { "a": "b" } });
    assert_eq!(runner.job(job, "complete", done).await.status, 204);
    assert_eq!(handle.completed(id).unwrap().outputs["a"], "b");
    assert_eq!(runner.message().await.status, 404);
    assert_eq!(handle.look(|hub| hub.true_runners().count()), 0);
    assert!(!handle.notes().is_empty());
}

#[tokio::test]
async fn sessions_are_checked() {
    let server = github().await;
    let mut runner = Runner::connect(&server, "r-1").await;
    let path = wire::runner_path(runner.id, "session");
    let hello = json!({ "name": "r-1", "version": "1", "os": "Linux", "arch": "X64" });
    assert_eq!(runner.call("POST", &path, Some(hello.clone())).await.status, 409);
    server.handle().refuse_versions(true);
    assert_eq!(runner.message().await.status, 426);
    server.handle().refuse_versions(false);
    let closed = runner.call("DELETE", &format!("{path}?session={}", runner.session), None).await;
    assert_eq!(closed.status, 204);
    runner.auth = "Bearer wrong".into();
    assert_eq!(runner.call("POST", &path, Some(hello)).await.status, 401);
}

#[tokio::test]
async fn a_token_registers_runners_for_config_sh() {
    let server = github().await;
    let token = rest(&server, "POST", "/orgs/acme/actions/runners/registration-token", None).await;
    let body = |name: &str, url: &str| {
        json!({
            "url": format!("{}/{url}", server.url()), "token": token.body["token"], "name": name, "labels": ["linux"],
            "ephemeral": true, "version": wire::RUNNER_VERSION, "work_folder": "_work",
        })
    };
    let register =
        |body: Value| ask("POST", format!("{}{}", server.url(), wire::REGISTER_PATH), None, None, Some(body));
    let answer = register(body("c-1", "acme")).await;
    assert_eq!((answer.status, &answer.body["settings"]["agentName"]), (200, &json!("c-1")));
    assert_eq!(register(body("c-1", "acme")).await.status, 409);
    assert_eq!(register(body("c-2", "acme/web")).await.status, 404);
}

#[tokio::test]
async fn a_workflow_goes_on_as_its_jobs_end() {
    let server = github().await;
    let handle = server.handle();
    let text =
        "jobs:\n  a: {runs-on: linux, steps: [{run: make}]}\n  b: {needs: a, runs-on: linux, steps: [{run: make}]}\n";
    let flow = handle.submit_workflow(&repo(), Workflow::parse(text).unwrap());
    assert_eq!((handle.jobs_of(flow).len(), handle.workflow_jobs()), (1, 2));
    for (n, key) in ["a", "b"].into_iter().enumerate() {
        let runner = Runner::connect(&server, &format!("r-{n}")).await;
        let message = runner.message().await;
        let (job, answer) = runner.acquire(&message).await;
        assert_eq!(answer.body["spec"]["key"], key);
        assert_eq!(runner.job(job, "complete", json!({ "conclusion": Conclusion::Success })).await.status, 204);
    }
    until(handle, "both jobs have ended", |hub| hub.open_count() == 0).await;
    let jobs = handle.jobs_of(flow);
    let done = |id| handle.look(|hub| matches!(hub.true_job(id).unwrap().status(), Status::Done { .. }));
    assert!(jobs.len() == 2 && jobs.into_iter().all(done));
}
