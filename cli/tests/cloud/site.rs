//! A deployed stage with a GitHub of its own.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    time::Duration,
};

use fleet::{
    ids::{JobId, Repo},
    job::Conclusion,
};
use serde_json::{Value, json};
use sim::{
    http::{FlowId, Options, Server, serve},
    hub::{Hub, model::Status},
    workflow::Workflow,
};

use crate::{
    gap::{Gap, TOLD},
    place::{IMAGE, Place, REGION, signed, variable},
};

pub(crate) const TOKEN: &str = "a-token-of-the-story";
pub(crate) const SECRET: &str = "a-webhook-secret-of-the-story";

/// Between two looks.
const LOOK_EACH: Duration = Duration::from_millis(200);

/// Whatever a story waits for comes within so many, or it has failed.
const LOOKS_MAX: u32 = 700;

/// A sweep each so many looks: AWS's schedule is one a minute.
const LOOKS_A_SWEEP: u32 = 25;

/// The local AWS runs functions and containers on this machine, so they are of its kind.
const ARCH: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

/// A stage.
pub(crate) struct Site {
    pub(crate) place: &'static Place,
    pub(crate) stage: &'static str,
    pub(crate) github: Server,
    pub(crate) config: PathBuf,
    /// Where the API answers on this machine.
    pub(crate) api: String,
    /// What the local AWS lacks.
    pub(crate) gap: Gap,
    repo: Repo,
    valkey: Option<u16>,
}

impl Site {
    /// Deploys a stage that serves this owner. `valkey`: the port of the server that keeps its state; else that is in a
    /// table.
    pub(crate) fn deploy(stage: &'static str, owner: &str, valkey: Option<u16>) -> Self {
        let place = Place::get();
        let state = valkey.map(|port| format!("state = \"valkey\"\n[aws.valkey]\nurl = \"redis://127.0.0.1:{port}\""));
        let _within = place.runtime.enter();
        let repo = Repo::parse(&format!("{owner}/web")).unwrap();
        let mut hub = Hub::new(7);
        hub.add_repo(&repo, false);
        let options = Options { address: place.gateway, ..Options::new(TOKEN, SECRET) };
        let github = place.runtime.block_on(serve(hub, options)).unwrap();
        let config = place.dir.path().join(format!("{stage}.toml"));
        std::fs::write(&config, configuration(stage, owner, github.url(), &state.unwrap_or_default())).unwrap();
        let artifacts = variable("TEST_ARTIFACTS");
        let (well, said) = place.says(&["deploy", "--yes", "--artifacts", &artifacts], &config, "");
        assert!(well && said.contains(&format!("deployed self-runners-{stage}")), "{said}");
        for (name, value) in [("GITHUB_API_TOKEN", TOKEN), ("GITHUB_WEBHOOK_SECRET", SECRET)] {
            let (well, said) = place.says(&["secrets", "set", name], &config, value);
            assert!(well && !said.contains(value), "{said}");
        }
        let gap = place.runtime.block_on(Gap::open(place, stage));
        let api = place.runtime.block_on(gap.reach()).unwrap();
        let site = Self { place, stage, github, config, api, gap, repo, valkey };
        site.hear();
        site
    }

    /// Webhooks come from now on.
    pub(crate) fn hear(&self) {
        self.github.handle().send_webhooks_to(&format!("{}/webhook", self.api));
    }

    /// Queues as many jobs, each with this step.
    pub(crate) fn submit(&self, jobs: u32, step: &str) -> FlowId {
        self.submit_for("self-hosted, linux", jobs, step)
    }

    /// The same, for these labels.
    pub(crate) fn submit_for(&self, labels: &str, jobs: u32, step: &str) -> FlowId {
        let parts: Vec<String> = (0..jobs).map(|part| part.to_string()).collect();
        let text = format!(
            "jobs: {{job: {{runs-on: [{labels}], strategy: {{fail-fast: false, matrix: {{part: [{}]}}}}, \
             steps: [{{run: {step:?}}}]}}}}",
            parts.join(", ")
        );
        self.github.handle().submit_workflow(&self.repo, Workflow::parse(&text).unwrap())
    }

    /// The jobs of a workflow.
    pub(crate) fn jobs(&self, flow: FlowId) -> Vec<JobId> {
        self.github.handle().jobs_of(flow).into_iter().collect()
    }

    /// Whether one of them runs.
    pub(crate) fn runs(&self, flow: FlowId) -> bool {
        let jobs = self.github.handle().jobs_of(flow);
        self.github.handle().look(|hub| hub.true_jobs().any(|(id, job)| jobs.contains(&id) && job.is_running()))
    }

    /// What the program says of this stage.
    pub(crate) fn ask(&self, words: &[&str]) -> (bool, String) {
        self.place.says(&[words, &["--stage", self.stage]].concat(), &self.config, "")
    }

    /// How the jobs of a workflow ended, as far as they have.
    pub(crate) fn ends(&self, flow: FlowId) -> Vec<Option<Conclusion>> {
        let handle = self.github.handle();
        let jobs = handle.jobs_of(flow);
        let end = |status: Status| match status {
            Status::Done { conclusion, .. } => Some(conclusion),
            Status::Waiting | Status::Queued | Status::Assigned { .. } | Status::Running { .. } => None,
        };
        handle
            .look(|hub| hub.true_jobs().filter(|(id, _)| jobs.contains(id)).map(|(_, job)| end(job.status())).collect())
    }

    /// Goes on until all jobs of a workflow have ended well, with at most `cap` tasks at a time; how many there were.
    pub(crate) async fn until_done(&self, flow: FlowId, cap: usize) -> usize {
        let mut seen = BTreeSet::new();
        self.until("all jobs end", async || {
            let live = self.live().await;
            assert!(live.len() <= cap, "{live:?}");
            seen.extend(live);
            let ends = self.ends(flow);
            !ends.is_empty() && ends.iter().all(|end| *end == Some(Conclusion::Success))
        })
        .await;
        seen.len()
    }

    /// Goes on until nothing of a runner is left: no task, no registration, no open row, nothing to be done.
    pub(crate) async fn until_nothing_is_left(&self) {
        self.until("nothing is left", async || {
            let registered = self.github.handle().look(|hub| hub.true_runners().count());
            registered == 0 && self.live().await.is_empty()
        })
        .await;
        self.until("no row is left", async || {
            let (well, said) = self.ask(&["status", "--json"]);
            let status: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
            let none = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64) == Some(0);
            well && ["/jobs/waiting", "/jobs/queued", "/jobs/running", "/runners/live", "/effects"]
                .into_iter()
                .all(none)
        })
        .await;
    }

    /// Looks, tells of what stopped, and sweeps, until `holds`.
    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        for look in 1..=LOOKS_MAX {
            if holds().await {
                return;
            }
            self.gap.tell_of_stopped().await;
            if look % LOOKS_A_SWEEP == 0 {
                self.gap.sweep().await.unwrap();
            }
            tokio::time::sleep(LOOK_EACH).await; // deadline
        }
        let jobs = self.github.handle().look(|hub| {
            let open = hub.true_jobs().filter(|(_, job)| !matches!(job.status(), Status::Done { .. }));
            open.map(|(id, job)| format!("{id}: {:?}", job.status())).collect::<Vec<_>>()
        });
        let log = std::fs::read_to_string(self.place.dir.path().join("ministack.log")).unwrap_or_default();
        let log = log.lines().rev().take(40).collect::<Vec<_>>().join("\n");
        panic!("never: {what}; stage {}, open jobs {jobs:?}, live {:?}\n{log}", self.stage, self.live().await);
    }

    /// What ECS was asked for beyond the task definitions of the tasks that live.
    pub(crate) async fn overrides(&self) -> Vec<Value> {
        let body = json!({ "cluster": self.gap.cluster(), "tasks": self.live().await });
        let described = self.place.call("AmazonEC2ContainerServiceV20141113.DescribeTasks", &body).await;
        let tasks = described["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
        tasks.iter().map(|task| task["overrides"].clone()).collect()
    }

    /// The tags of the task that lives.
    pub(crate) async fn tags(&self) -> Vec<Value> {
        let body = json!({ "cluster": self.gap.cluster(), "tasks": self.live().await, "include": ["TAGS"] });
        let described = self.place.call("AmazonEC2ContainerServiceV20141113.DescribeTasks", &body).await;
        described["tasks"][0]["tags"].as_array().cloned().unwrap_or_default()
    }

    /// What the functions are told, and what ECS shows of all tasks that it remembers: each with where it is from.
    pub(crate) async fn settings(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for function in TOLD {
            let asked = self
                .place
                .http
                .get(self.gap.url(function))
                .header("authorization", signed("lambda"))
                .send()
                .await
                .unwrap();
            all.push((format!("settings of {function}"), asked.text().await.unwrap()));
        }
        let body =
            json!({ "cluster": self.gap.cluster(), "tasks": self.gap.listed("STOPPED").await, "include": ["TAGS"] });
        let described = self.place.call("AmazonEC2ContainerServiceV20141113.DescribeTasks", &body).await;
        all.push(("tasks".into(), described.to_string()));
        all
    }

    /// What the tasks that ECS remembers were told that nobody else may know: claim tokens, and credentials of runners that
    /// claim none.
    pub(crate) async fn told_to_tasks(&self) -> BTreeSet<String> {
        let body = json!({ "cluster": self.gap.cluster(), "tasks": self.gap.listed("STOPPED").await });
        let described = self.place.call("AmazonEC2ContainerServiceV20141113.DescribeTasks", &body).await;
        let tasks = described["tasks"].as_array().into_iter().flatten();
        let variables = tasks.flat_map(|task| task["overrides"]["containerOverrides"][0]["environment"].as_array());
        let value = |name: &str, variable: &Value| {
            (variable["name"] == name).then(|| variable["value"].as_str().unwrap_or_default().to_owned())
        };
        let mut told = BTreeSet::new();
        for variable in variables.flatten() {
            told.extend(value("SELF_RUNNERS_CLAIM_TOKEN", variable));
            let credentials = value("SELF_RUNNERS_CREDENTIALS", variable).unwrap_or_default();
            // The configuration itself: the longest word.
            told.extend(credentials.split('"').max_by_key(|word| word.len()).map(str::to_owned));
        }
        told.retain(|word| word.len() > 30);
        told
    }

    /// All that the store holds, as it stands there.
    pub(crate) async fn rows(&self) -> String {
        if let Some(port) = self.valkey {
            return self.valkey_rows(port);
        }
        let table = json!({ "TableName": format!("self-runners-{}-state", self.stage) });
        self.place.call("DynamoDB_20120810.Scan", &table).await.to_string()
    }

    /// Written to its disk as they are.
    fn valkey_rows(&self, port: u16) -> String {
        let mut link = TcpStream::connect(("127.0.0.1", port)).unwrap();
        link.write_all(b"CONFIG SET rdbcompression no\r\nSAVE\r\nQUIT\r\n").unwrap();
        let mut told = String::new();
        link.read_to_string(&mut told).unwrap();
        assert_eq!(told, "+OK\r\n".repeat(3));
        let rows = std::fs::read(self.place.dir.path().join("dump.rdb")).unwrap();
        String::from_utf8_lossy(&rows).into_owned()
    }

    /// The tasks that have not stopped.
    pub(crate) async fn live(&self) -> Vec<String> {
        self.gap.listed("RUNNING").await
    }

    /// The processes of a function: each is a copy of it.
    pub(crate) fn copies(&self, function: &str) -> Vec<i32> {
        let name = format!("AWS_LAMBDA_FUNCTION_NAME={}\0", self.gap.function(function));
        let processes =
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_one = |pid: &i32| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| String::from_utf8_lossy(&environ).contains(&name))
        };
        processes.filter(is_one).collect()
    }
}

pub(crate) fn configuration(stage: &str, owner: &str, github: &str, state: &str) -> String {
    format!(
        "stage = \"{stage}\"\nmax = 6\n\
         [github]\napi_url = \"{github}\"\n\
         [owners.{owner}]\norganization = true\n\
         [aws]\nregion = \"{REGION}\"\narch = \"{ARCH}\"\nimage = \"{IMAGE}\"\n{state}\n\
         [[classes]]\nname = \"small\"\nidle_timeout_ms = 20000\nlabels = [\"self-hosted\", \"linux\"]\n\
         size = {{ cpu_milli = 1000, memory_mb = 2048, disk_gb = 21, arch = \"{ARCH}\" }}\n\
         allow = {{ cpu_milli = [250, 2000], memory_mb = [512, 8192] }}\n\
         [[classes]]\nname = \"apart\"\nlabels = [\"self-hosted\", \"apart\"]\ncredentials = \"env\"\n\
         size = {{ cpu_milli = 1000, memory_mb = 2048, disk_gb = 21, arch = \"{ARCH}\" }}\n"
    )
}
