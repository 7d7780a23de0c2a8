//! Tests of the simulated GitHub: one for each rule of FACTS §1–2 that it follows.

mod faults;
mod jobs;
mod rest;
mod runners;
mod webhooks;

use fleet::ids::{JobId, RegistrationId, Repo, Scope};
use fleet::labels::LabelSet;

use super::Hub;
use super::delivery::Delivery;
use super::model::{DEFAULT_GROUP, NewJob, NewRunner};

/// When the tests begin, milliseconds.
const T0: u64 = 1_000_000;

fn repo() -> Repo {
    Repo::parse("acme/web").unwrap()
}

fn org() -> Scope {
    Scope::Org("acme".into())
}

fn hub() -> Hub {
    let mut hub = Hub::new(7);
    hub.add_repo(&repo(), false);
    hub
}

fn runner(scope: Scope, name: &str, labels: &[&str]) -> NewRunner {
    let labels = LabelSet::parse(labels).unwrap();
    NewRunner { scope, name: name.into(), labels, group: DEFAULT_GROUP, ephemeral: true }
}

impl Hub {
    fn job_of(&mut self, labels: &[&str]) -> JobId {
        self.submit(T0, NewJob::new(&repo(), "build", labels))
    }

    fn connected(&mut self, name: &str, labels: &[&str]) -> RegistrationId {
        let id = self.register(T0, runner(org(), name, labels)).unwrap();
        self.connect(T0, id).unwrap();
        id
    }

    /// A job and the runner that runs it since T0.
    fn running(&mut self) -> (JobId, RegistrationId) {
        let job = self.job_of(&["linux"]);
        let runner = self.connected("r-1", &["linux"]);
        self.tick(T0);
        self.start(T0, job, runner).unwrap();
        (job, runner)
    }

    fn actions(&mut self, now_ms: u64) -> Vec<String> {
        self.due(now_ms).iter().map(said).collect()
    }
}

fn said(delivery: &Delivery) -> String {
    format!("{}/{}", delivery.action.word(), delivery.job.status.word())
}
