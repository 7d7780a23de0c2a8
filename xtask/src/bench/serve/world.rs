//! A world for one daemon: the simulated GitHub, the simulated engine, and machines that take jobs at once.

use std::{
    collections::VecDeque,
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use fleet::{
    ids::{JobId, RegistrationId, RunId, Scope},
    job::Conclusion,
    labels::LabelSet,
    wire::env,
};
use sim::{
    http::{Options, Server},
    hub::{
        Hub,
        model::{DEFAULT_GROUP, NewJob, NewRunner},
    },
};
use tokio::runtime::Runtime;

use super::{
    Measured,
    engine::{Engine, Started},
    payload::{LABELS, REPOS, SECRET, repo},
    site::{Daemon, Rules, Site, TOKEN},
    usage::Usage,
};

/// How long the next launch may take to come.
const LAUNCHED_WITHIN: Duration = Duration::from_secs(60);

/// Longer than any measurement.
const LOST_AFTER_MS: u64 = 24 * 3_600_000;

/// Jobs of one workflow run.
const JOBS_PER_RUN: u64 = 200;

/// A machine with its job.
pub(super) struct Machine {
    container: String,
    registration: RegistrationId,
    job: JobId,
}

/// The world. Everything in it ends when it is dropped.
pub(super) struct World {
    pub(super) site: Site,
    pub(super) daemon: Daemon,
    pub(super) runtime: Runtime,
    pub(super) started: Receiver<Started>,
    github: Server,
    engine: Engine,
    /// Machines at work, the oldest first.
    machines: VecDeque<Machine>,
    /// The container whose job is done.
    finished: Option<String>,
    submitted: u64,
    run: Vec<Option<RunId>>,
}

impl World {
    /// Opens it: at most `max` machines, GitHub so far away.
    pub(super) fn open(program: &Path, max: u32, latency_ms: u64) -> Measured<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        let mut hub = Hub::new(0);
        // The machines say nothing while they work.
        hub.times.lost_after_ms = LOST_AFTER_MS;
        (0..REPOS).filter_map(repo).for_each(|repo| hub.add_repo(&repo, false));
        let options = Options { latency_ms, ..Options::new(TOKEN, SECRET) };
        let github = runtime.block_on(sim::http::serve(hub, options)).map_err(|error| format!("no GitHub: {error}"))?;
        let (engine, started) = runtime.block_on(Engine::open())?;
        let section = format!("kind = \"docker\"\nhost = \"{}\"\nimage = \"simulated\"", engine.address());
        let site =
            Site::make(program, &Rules { max, github: github.url().into(), engine: section, ..Rules::closed() })?;
        let daemon = site.start()?;
        site.until("the engine's machines are counted", |status| status["inventoried"] == true)?;
        let run = vec![None; REPOS as usize];
        let (machines, finished, submitted) = (VecDeque::new(), None, 0);
        Ok(Self { site, daemon, runtime, started, github, engine, machines, finished, submitted, run })
    }

    /// From now on GitHub sends its webhooks to the daemon.
    pub(super) fn send_webhooks(&self) {
        let _runtime = self.runtime.enter();
        self.github.handle().send_webhooks_to(&format!("http://{}/webhook", self.daemon.address));
    }

    /// The next launch.
    pub(super) fn next_started(&self) -> Measured<Started> {
        self.started.recv_timeout(LAUNCHED_WITHIN).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("no launch within {LAUNCHED_WITHIN:?}"),
            RecvTimeoutError::Disconnected => "the engine has ended".into(),
        })
    }

    /// Submits jobs, a run of many in each repository.
    pub(super) fn submit(&mut self, jobs: u64) -> Measured<()> {
        for _ in 0..jobs {
            let (place, round) = (self.submitted % REPOS, self.submitted / REPOS);
            let repo = repo(place).ok_or("no repository")?;
            let mut job = NewJob::new(&repo, "build", &LABELS);
            let run = &mut self.run[place as usize];
            job.run = run.filter(|_| round % JOBS_PER_RUN != 0);
            let id = self.github.handle().with(|hub, now_ms| hub.submit(now_ms, job));
            *run = self.github.handle().look(|hub| hub.true_job(id).map(|job| job.facts.run_id));
            self.submitted += 1;
        }
        Ok(())
    }

    /// Takes launches until so many machines more are at work.
    pub(super) fn boot(&mut self, machines: u64) -> Measured<()> {
        let wanted = self.machines.len() + machines as usize;
        while self.machines.len() < wanted {
            let started = self.next_started()?;
            match self.register(&started)? {
                Some(machine) => self.machines.push_back(machine),
                // This occurs when a job ended so soon that the daemon heard of its machine's end before its begin.
                None => self.engine.end(&started.container),
            }
        }
        Ok(())
    }

    /// A machine's runner registers and is given a job, if one waits.
    fn register(&self, started: &Started) -> Measured<Option<Machine>> {
        let name = format!("{}-1", started.variable(env::RUNNER));
        let scope = Scope::try_from(started.scope.clone())?;
        let labels = LabelSet::parse(LABELS).map_err(|error| error.to_string())?;
        let runner = NewRunner { scope, name: name.as_str().into(), labels, group: DEFAULT_GROUP, ephemeral: true };
        let github = self.github.handle();
        let registration = github.with(|hub, now_ms| {
            let id = hub.register(now_ms, runner)?;
            hub.connect(now_ms, id).ok().map(|()| id)
        });
        let registration = registration.ok_or_else(|| format!("the simulated GitHub does not register {name}"))?;
        let job = github.with(|hub, now_ms| {
            let job = hub.assigned(registration)?;
            hub.start(now_ms, job, registration).ok().map(|()| job)
        });
        Ok(job.map(|job| Machine { container: started.container.clone(), registration, job }))
    }

    /// Waits until the daemon knows that so many jobs wait and so many run.
    pub(super) fn until_settled(&self, waiting: u64, running: u64) -> Measured<()> {
        let words = format!("{waiting} jobs wait and {running} run");
        let settled = self.site.until(&words, |status| {
            let jobs = &status["jobs"];
            status["unhandled_webhooks"] == 0 && jobs["queued"] == waiting && jobs["running"] == running
        });
        settled.map(drop)
    }

    /// The daemon is killed and starts again, which begins with a sweep; what it had used at the end of that.
    pub(super) fn restart(&mut self) -> Measured<Usage> {
        self.daemon.kill();
        self.daemon = self.site.start()?;
        self.site.until("a sweep has ended", |status| status["daemon"]["sweep"]["ended_ms"].is_u64())?;
        self.daemon.usage()
    }

    /// A new job comes, and the oldest machine finishes its own. The one that finished before it ends, as a machine does
    /// a while after its job, and the machine for the next job starts.
    pub(super) fn turn(&mut self) -> Measured<()> {
        let machine = self.machines.pop_front().ok_or("no machine is left")?;
        self.submit(1)?;
        let finish = |hub: &mut Hub, now_ms| hub.finish(now_ms, machine.job, machine.registration, Conclusion::Success);
        self.github.handle().with(finish).map_err(|error| format!("a job cannot end: {error:?}"))?;
        self.end_finished()?;
        self.finished = Some(machine.container);
        Ok(())
    }

    /// The machine that finished last ends.
    pub(super) fn end_finished(&mut self) -> Measured<()> {
        match self.finished.take() {
            Some(container) => {
                self.engine.end(&container);
                self.boot(1)
            }
            None => Ok(()),
        }
    }
}
