//! The stories.

use std::{collections::BTreeMap, io::Write as _, process::Command, sync::OnceLock};

use fleet::job::Conclusion;
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sim::hub::faults::HubFaults;

use crate::{
    meter::Calls,
    place::{Place, free_port, start, variable},
    site::{SECRET, Site, TOKEN},
};

/// The functions that jobs call.
const FUNCTIONS: [&str; 3] = ["WebhookHandlerGHA", "ScalerHandler", "AgentHandler"];

/// The cap of each stage.
const CAP: usize = 6;

/// Both stages, side by side in one account.
struct Stages {
    dev: Site,
    qa: Site,
}

static STAGES: OnceLock<Stages> = OnceLock::new();

/// In this order: the last takes everything away.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        story("01_two_stages_live_side_by_side", side_by_side),
        story("02_a_deployed_stage_is_not_deployed_again", again),
        story("03_twelve_jobs_share_six_places", twelve_jobs),
        story("04_a_person_asks_both_stages_and_is_told", asked),
        story("05_a_drain_holds_back_and_a_stop_asks_first", drained),
        story("06_a_webhook_by_hand_is_answered_and_explained", by_hand),
        story("07_a_webhook_that_comes_twice_starts_one_runner", doubled),
        story("08_a_job_that_is_cancelled_before_it_starts_leaves_nothing", cancelled),
        story("09_with_all_webhooks_lost_the_sweep_finds_the_jobs", unheard),
        story("10_a_function_that_is_killed_in_mid_launch_is_made_up_for", function_killed),
        story("11_a_task_that_dies_at_boot_is_replaced", dies_at_boot),
        story("12_a_claim_whose_answer_is_lost_is_made_again", claim_lost),
        story("13_a_job_asks_for_a_size_of_its_own", sized),
        story("14_a_machine_without_a_way_back_is_told_its_credentials", apart),
        story("15_the_doctor_says_what_is_wrong_and_how_to_mend_it", doctor),
        story("16_logs_of_a_job_a_runner_and_a_function_are_shown", logs),
        story("17_a_message_that_nobody_understands_is_put_aside_alone", poisoned),
        story("18_no_secret_is_where_it_must_not_be", secrets),
        story("19_each_call_is_permitted_and_each_permission_is_used", permissions),
        story("20_a_stage_at_work_is_not_destroyed_unless_forced_and_leaves_nothing", destroyed),
    ]
}

fn story<F: Future<Output = ()>>(name: &str, tell: impl FnOnce(&'static Stages) -> F + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let stages = STAGES.get_or_init(deploy);
        Place::get().runtime.block_on(tell(stages));
        Ok(())
    })
}

/// One keeps its state in DynamoDB, the other in Valkey.
fn deploy() -> Stages {
    let place = Place::get();
    let port = free_port();
    let mut valkey = Command::new(variable("TEST_VALKEY_SERVER"));
    valkey.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
    start(valkey.current_dir(place.dir.path()), port, &place.dir.path().join("valkey.log"));
    let dev = Site::deploy("dev", "acme", None);
    let qa = Site::deploy("qa", "beta", Some(port));
    // Nothing is started before two counts that are further apart than a list of ECS may be old.
    for site in [&dev, &qa] {
        let counted = async || !site.ask(&["status"]).1.contains("until the engine's machines are counted");
        place.runtime.block_on(site.until("the machines are counted", counted));
    }
    Stages { dev, qa }
}

/// From the webhook to a container that ran the job, and nothing left: in both, and neither sees the other's.
async fn side_by_side(stages: &'static Stages) {
    let Stages { dev, qa } = stages;
    let (one, other) = (dev.submit(1, "test \"$(id -u)\" = 1000 && sleep 1"), qa.submit(1, "sleep 1"));
    let started = tokio::join!(dev.until_done(one, CAP), qa.until_done(other, CAP));
    assert_eq!(started, (1, 1));
    dev.until_nothing_is_left().await;
    qa.until_nothing_is_left().await;
}

async fn again(stages: &'static Stages) {
    let Site { place, config, .. } = &stages.dev;
    let artifacts = variable("TEST_ARTIFACTS");
    let (well, said) = place.says(&["deploy", "--yes", "--artifacts", &artifacts], config, "");
    assert!(well && said.contains("nothing has changed"), "{said}");
    let text = std::fs::read_to_string(config).unwrap();
    let other = config.with_extension("other.toml");
    std::fs::write(&other, text.replace("max = 6", "max = 5")).unwrap();
    let (well, said) = place.says(&["deploy", "--dry-run", "--artifacts", &artifacts], &other, "");
    assert!(well && said.contains("~ ScalerHandler (AWS::Lambda::Function) changes: Environment"), "{said}");
    let (well, said) = place.says(&["secrets", "list"], config, "");
    assert!(well && said.contains("GITHUB_API_TOKEN: set") && said.contains("GITHUB_WEBHOOK_SECRET: set"), "{said}");
    let (well, said) = place.says(&["deploy", "--artifacts", &artifacts], &other, "");
    assert!(!well && said.contains("--yes"), "{said}");
}

async fn twelve_jobs(stages: &'static Stages) {
    for site in [&stages.dev, &stages.qa] {
        let before = (site.place.meter.calls(), invocations(site));
        let flow = site.submit(12, "sleep 1");
        assert_eq!(site.until_done(flow, CAP).await, 12);
        site.until_nothing_is_left().await;
        tell_calls(site, &before, 12);
    }
}

/// What each job made the functions call, without the sweeps, which come here each few seconds; for `docs/cost.md`.
fn tell_calls(site: &Site, (before, invoked): &(Calls, BTreeMap<&str, usize>), jobs: u64) {
    let mut table = format!("\ncalls of each of {jobs} jobs, stage {}:\n", site.stage);
    for ((function, call), now) in &site.place.meter.calls() {
        let made = now - before.get(&(function.clone(), call.clone())).copied().unwrap_or(0);
        if made > 0 && !function.ends_with("SweepHandler") && function.contains(site.stage) {
            table += &format!("{function} {call} {:.1}\n", made as f64 / jobs as f64);
        }
    }
    for (function, now) in invocations(site) {
        table += &format!("{function} invoked {:.1}\n", (now - invoked[function]) as f64 / jobs as f64);
    }
    // A closed stderr cannot be told.
    let _unheard = std::io::stderr().write_all(table.as_bytes());
}

/// How often each function was called so far.
fn invocations(site: &Site) -> BTreeMap<&'static str, usize> {
    let calls = |function: &str| site.ask(&["logs", function, "--minutes", "600"]).1.matches("START RequestId").count();
    FUNCTIONS.map(|function| (function, calls(function))).into()
}

async fn asked(stages: &'static Stages) {
    for site in [&stages.dev, &stages.qa] {
        let flow = site.submit(1, "sleep 4");
        let job = site.jobs(flow).remove(0).to_string();
        site.until("it runs", async || site.runs(flow)).await;
        site.until("that is heard", async || site.ask(&["jobs"]).1.contains("running")).await;
        let (well, said) = site.ask(&["status"]);
        let runs = "0 queued, 1 running";
        assert!(well && said.contains(&format!("stage     {} in", site.stage)) && said.contains(runs), "{said}");
        let (well, said) = site.ask(&["status", "--json"]);
        assert!(well && said.contains(r#""daemon":null"#) && said.contains(r#""dead_letters":0"#), "{said}");
        let (well, said) = site.ask(&["jobs"]);
        assert!(well && said.contains(&job) && said.contains("running"), "{said}");
        let (well, said) = site.ask(&["runners", "list"]);
        assert!(well && said.contains(&job) && said.contains("busy"), "{said}");
        let (well, said) = site.ask(&["why", &job]);
        assert!(well && said.contains("now: runs for") && said.contains("a runner is started for it"), "{said}");
        site.until_done(flow, 1).await;
        site.until("its end is told", async || site.ask(&["why", &job]).1.contains("ago: success")).await;
        site.until_nothing_is_left().await;
    }
}

async fn drained(stages: &'static Stages) {
    let site = &stages.dev;
    let first = site.submit(1, "sleep 15");
    site.until("it runs", async || site.runs(first)).await;
    let is_busy = || site.ask(&["runners", "list"]).1.lines().find(|line| line.contains("busy")).map(str::to_owned);
    site.until("that is heard", async || is_busy().is_some()).await;
    let runner = is_busy().unwrap().split_whitespace().next().unwrap().to_owned();
    let (well, said) = site.ask(&["runners", "stop", &runner]);
    assert!(!well && said.contains("would be lost"), "{said}");
    let (well, said) = site.ask(&["drain", "--why", "a walk"]);
    assert!(well && said.contains("1 runner still live, 1 of them at work"), "{said}");
    let second = site.submit(1, "sleep 1");
    site.until("the first ends", async || site.ends(first) == [Some(Conclusion::Success)]).await;
    let waits = || site.ask(&["why", &site.jobs(second)[0].to_string()]).1;
    site.until("the second waits", async || waits().contains("a walk")).await;
    assert_eq!(site.ends(second), [None]);
    let (well, said) = site.ask(&["drain", "--end"]);
    assert!(well, "{said}");
    site.until_done(second, 1).await;
    site.until_nothing_is_left().await;
}

/// Signed with the stage's secret, which is not told.
async fn by_hand(stages: &'static Stages) {
    let site = &stages.dev;
    let send = |rest: &[&str]| site.ask(&[&["webhook", "send"][..], rest].concat());
    let made = ["--action", "queued", "--repo", "acme/web", "--job-id", "61000000001", "--labels"];
    let (well, said) = send(&[&made[..], &["self-hosted,no-such-label"]].concat());
    assert!(well && said.contains("202") && said.contains("ignored"), "{said}");
    site.until("it is handled", async || site.ask(&["why", "61000000001"]).0).await;
    let (_, said) = site.ask(&["why", "61000000001"]);
    assert!(said.contains("no-such-label") && said.contains("not served here"), "{said}");
    let (well, said) = send(&["--action", "queued", "--repo", "stranger/web", "--labels", "self-hosted,linux"]);
    assert!(!well && said.contains("403"), "{said}");
}

async fn doubled(stages: &'static Stages) {
    let site = &stages.dev;
    site.github.handle().set_faults(HubFaults { double_permille: 1_000, until_ms: u64::MAX, ..HubFaults::default() });
    let flow = site.submit(2, "sleep 1");
    assert_eq!(site.until_done(flow, 2).await, 2);
    site.github.handle().set_faults(HubFaults::default());
    site.until_nothing_is_left().await;
}

async fn cancelled(stages: &'static Stages) {
    let site = &stages.dev;
    let flow = site.submit(1, "sleep 300");
    site.github.handle().cancel_workflow(flow);
    site.until("the job has ended", async || site.ends(flow) == [Some(Conclusion::Cancelled)]).await;
    site.until_nothing_is_left().await;
}

async fn unheard(stages: &'static Stages) {
    let site = &stages.dev;
    site.github.handle().set_faults(HubFaults { all_lost: true, until_ms: u64::MAX, ..HubFaults::default() });
    let flow = site.submit(2, "sleep 1");
    site.until_done(flow, CAP).await;
    site.until_nothing_is_left().await;
    site.github.handle().set_faults(HubFaults::default());
}

async fn function_killed(stages: &'static Stages) {
    let site = &stages.dev;
    let flow = site.submit(3, "sleep 1");
    let mut killed = 0;
    site.until("a copy is killed", async || {
        if !site.live().await.is_empty() {
            for pid in site.copies("ScalerHandler") {
                killed += u32::from(kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).is_ok());
            }
        }
        killed > 0
    })
    .await;
    site.until_done(flow, CAP).await;
    site.until_nothing_is_left().await;
}

/// The image is broken for a while, as after a bad push.
async fn dies_at_boot(stages: &'static Stages) {
    let site = &stages.dev;
    site.place.break_image();
    let before = site.gap.stopped();
    let flow = site.submit(1, "sleep 1");
    site.until("a task dies", async || site.gap.stopped() > before).await;
    site.place.mend_image();
    site.until_done(flow, CAP).await;
    site.until_nothing_is_left().await;
}

/// The agent claims again and gets another name; what was registered under the first goes.
async fn claim_lost(stages: &'static Stages) {
    let site = &stages.dev;
    site.gap.gate.lose_claims(1);
    let flow = site.submit(1, "sleep 1");
    assert_eq!(site.until_done(flow, 1).await, 1);
    assert_eq!(site.gap.gate.claims_to_lose(), 0);
    site.until_nothing_is_left().await;
}

/// Fargate's memory for two processors begins at 4 GB, which is not asked for; five are out of bounds.
async fn sized(stages: &'static Stages) {
    let site = &stages.dev;
    let flow = site.submit_for("self-hosted, linux, cpu=2", 1, "sleep 8");
    site.until("it runs", async || site.runs(flow)).await;
    let overrides = site.overrides().await;
    let told = |name: &str| overrides.iter().map(|all| all[name].clone()).collect::<Vec<_>>();
    assert_eq!((told("cpu"), told("memory")), (vec!["2048".into()], vec!["4096".into()]), "{overrides:?}");
    let tags = site.tags().await;
    let tag = |key: &str| tags.iter().find(|tag| tag["key"] == key).map(|tag| tag["value"].clone()).unwrap_or_default();
    assert_eq!(
        (tag("self-runners.job"), tag("self-runners.repo")),
        (site.jobs(flow)[0].to_string().into(), "acme/web".into())
    );
    site.until_done(flow, 1).await;
    site.until_nothing_is_left().await;
    let refused = site.submit_for("self-hosted, linux, cpu=5", 1, "true");
    let job = site.jobs(refused).remove(0).to_string();
    site.until("it is refused", async || site.ask(&["why", &job]).1.contains("`cpu=5`: 0.25 to 2 are allowed")).await;
    site.github.handle().cancel_workflow(refused);
}

/// It asks for nothing and reports nothing; its job runs, and nothing of it is left.
async fn apart(stages: &'static Stages) {
    for site in [&stages.dev, &stages.qa] {
        let asked = invocations(site)["AgentHandler"];
        let flow = site.submit_for("self-hosted, apart", 1, "test -z \"$(env | grep SELF_RUNNERS_)\" && sleep 3");
        site.until("it runs", async || site.runs(flow)).await;
        let overrides = serde_json::to_string(&site.overrides().await).unwrap();
        assert!(overrides.contains("SELF_RUNNERS_CREDENTIALS"), "{overrides}");
        assert!(
            !overrides.contains("SELF_RUNNERS_CLAIM_TOKEN") && !overrides.contains("SELF_RUNNERS_URL"),
            "{overrides}"
        );
        assert_eq!(site.until_done(flow, 1).await, 1);
        site.until_nothing_is_left().await;
        assert_eq!(invocations(site)["AgentHandler"], asked);
    }
}

/// Sound, with a wrong token, with a webhook that points elsewhere, which is then made anew.
async fn doctor(stages: &'static Stages) {
    let site = &stages.dev;
    let (_, said) = site.ask(&["doctor"]);
    for part in [
        "ok    credentials",
        "ok    stack",
        "ok    secret",
        "ok    github",
        "ok    queue",
        "ok    permissions",
        "ok    launches",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Somebody who may look and not deploy, as IAM itself says. The local AWS lets them do it all the same.
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["cloudformation:*", "ecs:*", "s3:*", "iam:*"], "Resource": "*" },
    ] });
    let [id, key] = site.place.user("looker", &policy).await;
    let words = ["doctor", "--stage", site.stage, "--endpoint-url", &site.place.url];
    let (_, said) = site.place.says_as(&[&id, &key], &words, &site.config, "");
    assert!(said.contains(":user/looker") && said.contains("?     permissions  IAM does not allow lambda:"), "{said}");
    assert!(!said.contains("iam:CreateRole") && !said.contains("cloudformation:"), "{said}");
    // The simulated GitHub sends to the API's address on this machine, which is not the one that the stack tells.
    assert!(said.contains("FAIL  webhook") && said.contains("deploy --install-webhook --stage dev"), "{said}");
    let artifacts = variable("TEST_ARTIFACTS");
    let (well, said) = site.ask(&["deploy", "--yes", "--install-webhook", "--artifacts", &artifacts]);
    assert!(well && said.contains("the webhook of acme is made"), "{said}");
    let (_, said) = site.ask(&["doctor"]);
    assert!(said.contains("ok    webhook      acme: "), "{said}");
    assert!(!said.contains("FAIL"), "{said}");
    site.hear();

    let (well, said) = site.place.says(&["secrets", "set", "GITHUB_API_TOKEN"], &site.config, "ghp_wrong");
    assert!(well, "{said}");
    let (well, said) = site.ask(&["doctor"]);
    assert!(!well && said.contains("FAIL  github") && !said.contains("ghp_wrong"), "{said}");
    let (well, said) = site.place.says(&["secrets", "set", "GITHUB_API_TOKEN"], &site.config, TOKEN);
    assert!(well, "{said}");
    let (well, said) = site.ask(&["doctor", "--json"]);
    assert!(said.contains(r#""findings":[{"part":"configuration""#), "{well} {said}");
}

/// Of a function that ended well the local AWS keeps only what Lambda itself writes.
async fn logs(stages: &'static Stages) {
    let site = &stages.dev;
    let flow = site.submit(1, "echo a-line-of-the-job");
    let job = site.jobs(flow).remove(0).to_string();
    site.until_done(flow, 1).await;
    site.until("its end is told", async || site.ask(&["why", &job]).1.contains("ago: success")).await;
    site.until_nothing_is_left().await;
    let (well, said) = site.ask(&["logs", &job]);
    assert!(well && said.contains("Running job"), "{said}");
    let (_, why) = site.ask(&["why", &job]);
    let runner = why.split_whitespace().find(|word| word.starts_with("sr-")).unwrap_or_else(|| panic!("{why}"));
    let (well, same) = site.ask(&["logs", runner]);
    assert!(well && same == said, "{same}");
    let (well, said) = site.ask(&["logs", "SweepHandler"]);
    assert!(well && said.contains("REPORT RequestId"), "{said}");
    let (well, said) = site.ask(&["logs", "nonsense"]);
    assert!(!well && said.contains("nor a function: WebhookHandlerGHA"), "{said}");
}

/// Beside it a job's announcement is handled as ever. It comes back after the queue's time, which is shortened here.
async fn poisoned(stages: &'static Stages) {
    let site = &stages.dev;
    let queue = format!("{}/000000000000/self-runners-{}-events", site.place.url, site.stage);
    let set = json!({ "QueueUrl": queue, "Attributes": { "VisibilityTimeout": "1" } });
    site.place.call("AmazonSQS.SetQueueAttributes", &set).await;
    let send = json!({ "QueueUrl": queue, "MessageBody": "{\"no\": \"event\"}" });
    site.place.call("AmazonSQS.SendMessage", &send).await;
    let flow = site.submit(1, "sleep 1");
    assert_eq!(site.until_done(flow, 1).await, 1);
    let told = || site.ask(&["status", "--json"]).1;
    site.until("it is put aside", async || told().contains(r#""dead_letters":1"#)).await;
    let (well, said) = site.ask(&["doctor"]);
    assert!(!well && said.contains("FAIL  dead letters 1 event could not be handled"), "{said}");
    let dead = json!({ "QueueUrl": format!("{queue}-dead") });
    let kept = site.place.call("AmazonSQS.ReceiveMessage", &dead).await;
    assert_eq!(kept["Messages"][0]["Body"], "{\"no\": \"event\"}", "{kept}");
    site.place.call("AmazonSQS.PurgeQueue", &dead).await;
    assert!(told().contains(r#""dead_letters":0"#));
    site.until_nothing_is_left().await;
}

/// Templates, environments, tasks, events, rows and logs, after all that went before. The claim tokens in tasks are what machines
/// start with: they are nowhere else.
async fn secrets(stages: &'static Stages) {
    for site in [&stages.dev, &stages.qa] {
        let tokens = site.told_to_tasks().await;
        assert!(!tokens.is_empty(), "no task is remembered");
        let given = site.gap.gate.given();
        assert!(!given.is_empty(), "no machine was given its credentials");
        let (texts, mut quiet): (Vec<_>, Vec<_>) =
            site.settings().await.into_iter().partition(|(place, _)| place == "tasks");
        quiet.push(("template".into(), site.place.says_offline(&["template"], &site.config, "").1));
        quiet.push(("events in the queue".into(), site.place.meter.events()));
        quiet.push(("events of the stack".into(), site.place.happened(site.stage).await));
        for function in ["WebhookHandlerGHA", "ScalerHandler", "SweepHandler", "AgentHandler"] {
            quiet.push((format!("log of {function}"), site.ask(&["logs", function, "--minutes", "600"]).1));
        }
        quiet.push(("rows".into(), site.rows().await));
        let (_, listed) = site.ask(&["runners", "list", "--all"]);
        for runner in
            listed.lines().filter_map(|line| line.split_whitespace().next()).filter(|it| it.starts_with("sr-"))
        {
            quiet.push((format!("log of {runner}"), site.ask(&["logs", runner]).1));
        }
        for (place, text) in texts.iter().chain(&quiet) {
            assert!(text.len() > 20, "{place} is empty: {text}");
            for secret in [TOKEN, SECRET].into_iter().chain(given.iter().map(String::as_str)) {
                assert!(!text.contains(secret), "{place} has a secret");
            }
        }
        for (place, text) in &quiet {
            assert!(!tokens.iter().any(|token| text.contains(token)), "{place} has what only a task may know");
        }
    }
}

async fn permissions(stages: &'static Stages) {
    let calls = Place::get().meter.calls();
    for site in [&stages.dev, &stages.qa] {
        crate::permissions::judge(site, &calls);
    }
    crate::permissions::judge_variants(&stages.dev);
}

async fn destroyed(stages: &'static Stages) {
    let Stages { dev, qa } = stages;
    for (place, text) in dev.place.inventory().await {
        assert!(!of_stages(&text).is_empty(), "{place}: nothing is there: {text}");
    }
    let flow = dev.submit(1, "sleep 300");
    dev.until("it runs", async || dev.runs(flow)).await;
    let (well, said) = dev.place.says(&["destroy", "--yes", "--wait", "4"], &dev.config, "");
    assert!(!well && said.contains("1 runner still there; the drain is lifted"), "{said}");
    assert_eq!(dev.ends(flow), [None]);
    let (well, said) = dev.place.says(&["destroy", "--yes", "--force"], &dev.config, "");
    assert!(well && said.contains("self-runners-dev is gone") && said.contains("kept: the bucket"), "{said}");
    let (well, said) = qa.place.says(&["destroy", "--yes"], &qa.config, "");
    assert!(well && said.contains("self-runners-qa is gone") && said.contains("nothing is left behind"), "{said}");
    let living = dev.place.docker(&["ps", "--quiet", "--filter", "label=com.amazonaws.ecs.cluster"]);
    assert_eq!(living, "");
    let (well, said) = qa.place.says(&["destroy", "--yes"], &qa.config, "");
    assert!(well && said.contains("there is no self-runners-qa"), "{said}");
    for (place, text) in dev.place.inventory().await {
        assert_eq!(of_stages(&text), [] as [&str; 0], "{place}");
    }
}

/// What in a list is named after a stage.
fn of_stages(text: &str) -> Vec<&str> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-_/:.".contains(letter);
    let words = text.split(|letter| !is_name(letter));
    let is_ours = |word: &&str| word.contains("self-runners-") || word.contains("/RunnersService/");
    words.filter(is_ours).collect()
}
