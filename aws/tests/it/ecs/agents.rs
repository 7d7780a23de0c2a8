//! What happens in the containers of a story: each agent claims with what its task's overrides told it, connects to the
//! simulated GitHub, runs the job that it is given, and ends. The real agent is the crate `agent`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use controller::service::Controller;
use fleet::{
    ids::{JobId, RegistrationId, Scope},
    job::Conclusion,
    wire::{ClaimAnswer, ClaimRequest, EndReason, PROTOCOL, Report, ReportAnswer, ReportRequest, env},
};
use sim::{
    aws::ecs::{model::Happening, server::Handle as Ecs},
    http::Handle as GitHub,
    hub::Hub,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

/// How often an agent says that it lives, and looks whether it is still wanted.
const BEAT: Duration = Duration::from_millis(200);

/// How long a job takes at the least: one that ends before the webhook of its start arrives still counts as waiting.
const WORK: Duration = Duration::from_millis(300);

/// The world that agents live in.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) controller: Arc<Controller>,
    pub(crate) github: GitHub,
    pub(crate) ecs: Ecs,
    pub(crate) scope: Scope,
    /// Whether jobs may end.
    pub(crate) gate: watch::Receiver<bool>,
}

/// Plays all containers until ECS ends.
pub(crate) async fn play(site: Site, mut happenings: mpsc::UnboundedReceiver<Happening>) {
    while let Some(happening) = happenings.recv().await {
        if let Happening::Started { arn, environment } = happening {
            let agent = Agent { site: site.clone(), environment };
            tokio::spawn(async move {
                let code = agent.live().await;
                agent.site.ecs.with(|ecs, now_ms| ecs.exit(now_ms, &arn, code, None));
            });
        }
    }
}

struct Agent {
    site: Site,
    environment: BTreeMap<String, String>,
}

impl Agent {
    fn told(&self, name: &str) -> &str {
        &self.environment[name]
    }

    async fn live(&self) -> i32 {
        let Some((name, idle)) = self.claim().await else { return 0 };
        let Some(id) = self.registration(&name) else { return 1 };
        if !self.github(|hub, now_ms| hub.connect(now_ms, id).is_ok()) {
            return 1;
        }
        self.report(Report::Registered).await;
        match self.job(id, idle).await {
            Some(job) => self.work(job, id).await,
            None => self.report(Report::Ended { ran_job: false, exit_code: Some(0), why: EndReason::Idle }).await,
        };
        0
    }

    /// Name to register with, and how long to wait for a job.
    async fn claim(&self) -> Option<(String, Duration)> {
        let attempt = self.told(env::ATTEMPT).parse().unwrap();
        let request = ClaimRequest { protocol: PROTOCOL, runner: self.told(env::RUNNER).to_owned(), attempt };
        loop {
            match self.site.controller.claim(self.told(env::CLAIM_TOKEN), &request).await {
                Ok(ClaimAnswer::Run { name, idle_timeout_ms, .. }) => {
                    return Some((name, Duration::from_millis(idle_timeout_ms)));
                }
                Ok(ClaimAnswer::Go) => return None,
                Ok(ClaimAnswer::Wait { .. }) => sleep(BEAT).await, // deadline
                Err(refusal) => panic!("refused: {refusal:?}"),
            }
        }
    }

    fn registration(&self, name: &str) -> Option<RegistrationId> {
        self.site.github.look(|hub| hub.true_runner_named(&self.site.scope, name).map(|runner| runner.id))
    }

    fn github<T>(&self, work: impl FnOnce(&mut Hub, u64) -> T) -> T {
        self.site.github.with(work)
    }

    /// The job that GitHub gives; `None`: none came, or it is not wanted any more.
    async fn job(&self, id: RegistrationId, idle: Duration) -> Option<JobId> {
        let until = Instant::now() + idle;
        loop {
            let given = timeout(BEAT, self.site.github.until(|hub| hub.assigned(id).is_some())).await;
            if given.is_ok()
                && let Some(job) = self.site.github.look(|hub| hub.assigned(id))
                && self.github(|hub, now_ms| hub.start(now_ms, job, id).is_ok())
            {
                return Some(job);
            }
            let unwanted = self.report(Report::Idle).await == Some(ReportAnswer::EndIfIdle);
            if unwanted || Instant::now() >= until {
                self.github(|hub, now_ms| hub.disconnect(now_ms, id));
                return None;
            }
        }
    }

    async fn work(&self, job: JobId, id: RegistrationId) -> Option<ReportAnswer> {
        self.report(Report::JobStarted).await;
        sleep(WORK).await; // deadline
        let mut gate = self.site.gate.clone();
        gate.wait_for(|open| *open).await.unwrap();
        self.github(|hub, now_ms| hub.finish(now_ms, job, id, Conclusion::Success)).unwrap();
        self.report(Report::Ended { ran_job: true, exit_code: Some(0), why: EndReason::Exited }).await
    }

    async fn report(&self, report: Report) -> Option<ReportAnswer> {
        let (runner, attempt) = (self.told(env::RUNNER).to_owned(), self.told(env::ATTEMPT).parse().unwrap());
        let request = ReportRequest { protocol: PROTOCOL, runner, attempt, report };
        self.site.controller.report(self.told(env::CLAIM_TOKEN), &request).await.ok()
    }
}
