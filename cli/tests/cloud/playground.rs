//! `./test playground`: the account of the stories for a person to use by hand, as the README tells it. It deploys nothing: it
//! starts the local AWS and the simulated GitHub, prints the steps, and supplies what is missing there ([`crate::gap`])
//! until it is ended.

use std::{io::Write as _, path::PathBuf, time::Duration};

use fleet::ids::Repo;
use self_runners::practice;
use sim::{
    http::{Options, Server, serve_beside},
    hub::Hub,
    standin,
};

use crate::{
    gap::Gap,
    place::{PROGRAM, Place, variable},
    site::configuration,
};

const STAGE: &str = "dev";
const OWNER: &str = "acme";
const TOKEN: &str = "practice-token";

/// Between two looks.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// A sweep each so many looks, as AWS's schedule has it.
const LOOKS_A_SWEEP: u64 = 60;

/// Stays until the process is ended.
pub(crate) fn stay() -> ! {
    let place = Place::get();
    let _within = place.runtime.enter();
    let repo = Repo::parse(&format!("{OWNER}/web")).unwrap();
    let github = github(place, &repo);
    let folder = PathBuf::from(variable("PLAYGROUND"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("self-runners.toml"), configuration(STAGE, OWNER, github.url(), "")).unwrap();
    tell(&steps(place, &folder, github.url()));
    let gap = place.runtime.block_on(Gap::open(place, STAGE));
    place.runtime.block_on(async {
        let mut look = 0_u64;
        loop {
            look += 1;
            if gap.reach().await.is_some() {
                gap.tell_of_stopped().await;
                if look.is_multiple_of(LOOKS_A_SWEEP) {
                    // The schedule tries again: a stage may have no secret yet, or be about to go.
                    let _failed = gap.sweep().await.map_err(|why| tell(&why));
                }
            }
            tokio::time::sleep(LOOK_EACH).await; // deadline
        }
    })
}

fn github(place: &Place, repo: &Repo) -> Server {
    let mut hub = Hub::new(fastrand::u64(..));
    hub.add_repo(repo, false);
    let package = standin::package(PROGRAM.as_ref()).unwrap();
    let options =
        Options { address: place.gateway, package: Some(package.into()), ..Options::new(TOKEN, "practice-secret") };
    let repo = repo.clone();
    place.runtime.block_on(serve_beside(hub, options, |handle| practice::pages(handle, repo))).unwrap()
}

fn steps(place: &Place, folder: &std::path::Path, github: &str) -> String {
    let (aws, folder) = (&place.url, folder.display());
    let (program, code) = (PathBuf::from(PROGRAM), variable("TEST_ARTIFACTS"));
    let programs = program.parent().unwrap().display();
    format!(
        "
A local AWS is at {aws}, a simulated GitHub at {github}, with the private repository {OWNER}/web. They end with Ctrl-C.
In another terminal:

  cd {folder} && export PATH={programs}:$PATH
  export AWS_ENDPOINT_URL={aws} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
  self-runners deploy --stage {STAGE} --yes --artifacts {code}
  echo {TOKEN} | self-runners secrets set GITHUB_API_TOKEN --stage {STAGE}
  self-runners deploy --stage {STAGE} --yes --install-webhook --artifacts {code}
  self-runners doctor --stage {STAGE}

  curl -X POST {github}/practice/runs                   # queues nine jobs, one of them for no class
  self-runners jobs --stage {STAGE}                     # and status, runners list
  self-runners why JOB --stage {STAGE}                  # a job's id
  self-runners webhook send --stage {STAGE} --action queued --repo {OWNER}/web --labels self-hosted,linux
  self-runners logs JOB --stage {STAGE}
  self-runners destroy --stage {STAGE} --yes

The first jobs wait for two sweeps, up to two minutes.
"
    )
}

fn tell(text: &str) {
    // Nobody reads it any more.
    let _unheard = std::io::stdout().write_all(text.as_bytes());
}
