//! `practice`: the simulated GitHub alone, over HTTP on this machine, so that a person can set `serve` up against it step
//! by step as against the real one. Jobs are queued and looked at with `curl`; each change is told on the terminal.
//!
//! Its token and secret are known to everybody: they open nothing but this simulation.

mod pages;
mod tell;

use std::{
    net::{IpAddr, Ipv4Addr},
    process::ExitCode,
};

use axum::Router;
use fleet::ids::Repo;
use sim::{
    http::{Handle, Options, Server, serve_beside},
    hub::Hub,
};

use crate::{
    demo::{
        self,
        machines::{Containers, EngineArgs},
    },
    failure::Failure,
    terminal,
};

/// What `practice` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct PracticeArgs {
    /// Address to listen on. Without: 127.0.0.1, or with `--engine docker` that of the engine's bridge
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
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
    #[command(flatten)]
    engine: EngineArgs,
    /// Let its clock be so many seconds ahead of this machine's, or behind
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    clock_ahead: i64,
}

fn repository(text: &str) -> Result<Repo, String> {
    Repo::parse(text).ok_or_else(|| "write it as owner/name".to_owned())
}

/// What a person steers it with.
pub fn pages(handle: Handle, repo: Repo) -> Router {
    pages::router(handle, repo)
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
    let containers = args.engine.containers(STAGE)?;
    let server = open(args, address(args, containers.as_ref()).await?).await?;
    if let Some(containers) = &containers {
        let program = std::env::current_exe();
        let program = program.map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?;
        containers.make_image(program).await?;
    }
    introduce(args, server.url(), containers.as_ref());
    tokio::select! {
        () = tell::changes(server.handle()) => {}
        () = asked.next() => {}
    }
    terminal::say("the simulated GitHub is gone, and its jobs with it");
    if let Some(containers) = &containers
        && let Err(failure) = containers.remove_image().await
    {
        let image = containers.image();
        terminal::say(&format!("the image {image} stays: {failure}. Later: docker rmi {image}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn address(args: &PracticeArgs, containers: Option<&Containers>) -> Result<IpAddr, Failure> {
    match (args.address, containers) {
        (Some(address), _) => Ok(address),
        (None, Some(containers)) => containers.gateway().await,
        (None, None) => Ok(Ipv4Addr::LOCALHOST.into()),
    }
}

async fn open(args: &PracticeArgs, address: IpAddr) -> Result<Server, Failure> {
    let mut hub = Hub::new(fastrand::u64(..));
    hub.add_repo(&args.repo, false);
    // A stand-in for the runner program, whose programs are links to this one, is what its releases hold.
    let package = std::env::current_exe()
        .and_then(|program| sim::standin::package(&program))
        .map_err(|error| Failure::failed(format!("cannot make the stand-in for the runner program: {error}")))?;
    let options = Options {
        address,
        port: args.port,
        webhook_url: args.webhook.clone(),
        package: Some(package.into()),
        ..Options::new(TOKEN, WEBHOOK_SECRET)
    };
    let repo = args.repo.clone();
    let server = serve_beside(hub, options, |handle| pages::router(handle, repo)).await.map_err(|error| {
        let port = args.port;
        Failure::failed(format!("cannot listen on {address}:{port}: {error}; give another `--port` or `--address`"))
    })?;
    args.forbid.iter().for_each(|permission| server.handle().forbid(permission));
    server.handle().set_clock_ahead(args.clock_ahead.saturating_mul(1_000));
    Ok(server)
}

fn introduce(args: &PracticeArgs, url: &str, containers: Option<&Containers>) {
    let repo = &args.repo;
    let init = containers.map(|containers| format!(" --engine docker --image {}", containers.image()));
    let elsewhere = containers.map(Containers::host).filter(|host| *host != local::docker::HOST_DEFAULT);
    let host = elsewhere.map(|host| format!(" SELF_RUNNERS_ENGINE_HOST={host}"));
    let (init, host) = (init.unwrap_or_default(), host.unwrap_or_default());
    let webhooks = match &args.webhook {
        Some(to) => format!("Webhooks go to {to}."),
        None => "No webhooks are sent: `serve` must ask for the jobs.".to_owned(),
    };
    terminal::say(&format!(
        "A simulated GitHub is at {url}, with the private repository {repo}. {webhooks}
It ends with Ctrl-C. In another terminal:

  export GITHUB_TOKEN={TOKEN} GITHUB_WEBHOOK_SECRET={WEBHOOK_SECRET}{host}
  self-runners config init --repo {repo} --api-url {url}{init}
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

/// Part of the image's name.
const STAGE: &str = "practice";

/// Opens nothing but this simulation.
const TOKEN: &str = "practice-token";

/// Signs nothing but this simulation's webhooks.
const WEBHOOK_SECRET: &str = "practice-secret";
