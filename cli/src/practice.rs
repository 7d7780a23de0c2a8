//! `practice`: the simulated GitHub alone, over HTTP on this machine, so that a person can set `serve` up against it step
//! by step as against the real one. Jobs are queued and looked at with `curl`; each change is told on the terminal.
//!
//! Its token and secret are known to everybody: they open nothing but this simulation.

mod pages;
mod tell;

use std::{net::IpAddr, process::ExitCode};

use fleet::ids::Repo;
use sim::{
    http::{Options, Server, serve_beside},
    hub::Hub,
};

use crate::{demo, failure::Failure, terminal};

/// What `practice` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct PracticeArgs {
    /// Address to listen on. With runners in containers: that of their bridge, mostly 172.17.0.1
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    address: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = PORT)]
    port: u16,
    /// Its private repository
    #[arg(long, value_name = "OWNER/NAME", default_value = "acme/web", value_parser = repository)]
    repo: Repo,
    /// Where it sends webhooks, as http://127.0.0.1:8080/webhook. Without: nowhere, as where GitHub cannot reach you
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Take a permission from its token, to see how that looks; may be repeated
    #[arg(long, value_name = "PERMISSION", value_parser = PERMISSIONS)]
    forbid: Vec<String>,
    /// Let its clock be so many seconds ahead of this machine's, or behind
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    clock_ahead: i64,
}

fn repository(text: &str) -> Result<Repo, String> {
    Repo::parse(text).ok_or_else(|| "write it as owner/name".to_owned())
}

/// Runs it until it is asked to end.
pub(crate) fn command(args: &PracticeArgs) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    runtime.block_on(run(args))
}

async fn run(args: &PracticeArgs) -> Result<ExitCode, Failure> {
    let mut asked = demo::Asked::listen()?;
    let server = open(args).await?;
    introduce(args, server.url());
    tokio::select! {
        () = tell::changes(server.handle()) => {}
        () = asked.next() => {}
    }
    terminal::say("the simulated GitHub is gone, and its jobs with it");
    Ok(ExitCode::SUCCESS)
}

async fn open(args: &PracticeArgs) -> Result<Server, Failure> {
    let mut hub = Hub::new(fastrand::u64(..));
    hub.add_repo(&args.repo, false);
    // A stand-in for the runner program, whose programs are links to this one, is what its releases hold.
    let package = std::env::current_exe()
        .and_then(|program| sim::standin::package(&program))
        .map_err(|error| Failure::failed(format!("cannot make the stand-in for the runner program: {error}")))?;
    let options = Options {
        address: args.address,
        port: args.port,
        webhook_url: args.webhook.clone(),
        package: Some(package.into()),
        ..Options::new(TOKEN, WEBHOOK_SECRET)
    };
    let repo = args.repo.clone();
    let server = serve_beside(hub, options, |handle| pages::router(handle, repo)).await.map_err(|error| {
        let (address, port) = (args.address, args.port);
        Failure::failed(format!("cannot listen on {address}:{port}: {error}; give another `--port` or `--address`"))
    })?;
    args.forbid.iter().for_each(|permission| server.handle().forbid(permission));
    server.handle().set_clock_ahead(args.clock_ahead.saturating_mul(1_000));
    Ok(server)
}

fn introduce(args: &PracticeArgs, url: &str) {
    let repo = &args.repo;
    let webhooks = match &args.webhook {
        Some(to) => format!("Webhooks go to {to}."),
        None => "No webhooks are sent: `serve` must ask for the jobs.".to_owned(),
    };
    terminal::say(&format!(
        "A simulated GitHub is at {url}, with the private repository {repo}. {webhooks}
It ends with Ctrl-C. In another terminal:

  export GITHUB_TOKEN={TOKEN} GITHUB_WEBHOOK_SECRET={WEBHOOK_SECRET}
  self-runners config init --repo {repo} --api-url {url}
  self-runners serve

and in a third one:

  curl -X POST {url}/practice/runs                              # queue a built-in workflow,
  curl --data-binary @WORKFLOW.yml {url}/practice/runs          # or your own
  curl {url}/practice/jobs                                      # the jobs and how they stand
  self-runners why JOB
"
    ));
}

/// What a token may that serves organisations and repositories.
const PERMISSIONS: [&str; 5] =
    ["administration", "actions", "organization_self_hosted_runners", "repository_hooks", "organization_hooks"];

/// A port that nothing well-known uses.
const PORT: u16 = 7380;

/// Opens nothing but this simulation.
const TOKEN: &str = "practice-token";

/// Signs nothing but this simulation's webhooks.
const WEBHOOK_SECRET: &str = "practice-secret";
