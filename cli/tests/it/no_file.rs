//! `serve` with nothing but a token and a repository: no file, no webhook, no runner program.

use std::{path::Path, process::Command, sync::Arc};

use fleet::{ids::Repo, job::Conclusion};
use self_runners::demo::processes;
use sim::{
    http::{Options, Server, serve},
    hub::{Hub, model::Status},
    standin::package,
    workflow::Workflow,
};
use tokio::runtime::Runtime;

use crate::bench::{Daemon, program, run, until};

const TOKEN: &str = "a token that is never shown";

/// The simulated GitHub, and the threads that it runs on.
struct Hosted {
    runtime: Runtime,
    server: Server,
}

fn repo() -> Repo {
    Repo::parse("acme/web").unwrap()
}

/// A GitHub whose releases hold this package.
fn github(package: Vec<u8>) -> Hosted {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut hub = Hub::new(1);
    hub.add_repo(&repo(), false);
    let options = Options { package: Some(Arc::from(package)), ..Options::new(TOKEN, "unused") };
    let server = runtime.block_on(serve(hub, options)).unwrap();
    Hosted { runtime, server }
}

fn stand_in() -> Vec<u8> {
    package(Path::new(env!("CARGO_BIN_EXE_self-runners"))).unwrap()
}

/// `serve --repo acme/web` in a folder without any file.
fn serve_repo(github: &Hosted, dir: &Path) -> Command {
    let mut command = program();
    command.args(["serve", "--repo", "acme/web", "--listen", "127.0.0.1:0"]).current_dir(dir);
    command.env("GITHUB_TOKEN", TOKEN).env("SELF_RUNNERS_GITHUB_API_URL", github.server.url());
    command.env_remove("GITHUB_WEBHOOK_SECRET").env("XDG_STATE_HOME", dir.join("state"));
    // The tests may run as root, which the runner program refuses.
    command.env("RUNNER_ALLOW_RUNASROOT", "1").env("SELF_RUNNERS_ENGINE_KIND", "process");
    command.env("SELF_RUNNERS_ENGINE_PASS_ENV", "RUNNER_ALLOW_RUNASROOT");
    command
}

#[test]
fn a_job_runs_with_a_token_and_a_repository_alone() {
    let (github, dir) = (github(stand_in()), tempfile::tempdir().unwrap());
    let daemon = Daemon::start_as(serve_repo(&github, dir.path()));
    let text = "on: push\njobs: {build: {runs-on: [self-hosted, linux], steps: [{run: echo built}]}}\n";
    github.server.handle().submit_workflow(&repo(), Workflow::parse(text).unwrap());
    let ended = until("the end of the job", || {
        github.server.handle().look(|hub| {
            hub.true_jobs().find_map(|(_, job)| match job.status() {
                Status::Done { conclusion, .. } => Some(conclusion),
                Status::Waiting | Status::Queued | Status::Assigned { .. } | Status::Running { .. } => None,
            })
        })
    });
    assert_eq!(ended, Conclusion::Success);
    let programs = dir.path().join("state/self-runners/programs");
    let found: Vec<_> = std::fs::read_dir(&programs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(found, ["v2.337.0"]);
    let (code, log) = daemon.end();
    assert!(code == 0 && !log.contains(TOKEN) && !log.contains("ERROR"), "{code}: {log}");
    assert!(log.contains("the runner program is here, verified"), "{log}");
    // A runner that was started for a job which had ended already waits for another one. Nobody adopts that of a test.
    let folder = dir.path().canonicalize().unwrap();
    until("the end of the runners", || {
        let living = processes::below(&folder);
        living.iter().for_each(processes::kill);
        living.is_empty().then_some(())
    });
    drop(github.server);
    github.runtime.shutdown_background();
}

#[test]
fn without_anything_it_says_what_to_give() {
    run(&["serve"]).failed(2, &["--repo OWNER/NAME", "--org NAME", "config init"]);
    let ran = run(&["serve", "--repo", "web"]);
    assert!(ran.code == 2 && ran.err.contains("owner/name"), "{ran:?}");
}
