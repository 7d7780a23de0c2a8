//! The running daemon: its tasks, how it begins and how it ends.
//!
//! It ends as if it crashed, only politely: no new launches, requests in hand answered, the store closed. Runners go on
//! and are found again at the next start.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use controller::{
    letters::Letters,
    ports::{Inbox, Ports, Store},
    service::Controller,
    settings::Settings,
    token::ClaimKeys,
};
use fleet::rota::Pace;
use local::word::Word;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    task::{JoinError, JoinHandle, JoinSet},
    time::timeout,
};
use tracing::{info, warn};

use super::{
    bridge::{self, Bridge},
    clock::WallClock,
    credentials, engine_words,
    front::{self, Front},
    notices::LogNotifier,
    parts::Parts,
    plan::Plan,
    vitals::Vitals,
    writable::Writable,
};
use crate::{
    control::{Control, Server},
    failure::Failure,
    terminal,
};

/// Runs until a signal asks it to end.
pub(crate) async fn run(plan: Plan) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let claim_key = plan.claim_key()?;
    let parts = Parts::open(&plan).await?;
    let control = Server::open(&plan.data_dir)?;
    let listener = bind(plan.listen).await?;
    let address = listener.local_addr().map_err(|error| Failure::failed(format!("cannot listen: {error}")))?;
    let bridge = bridge::open(&plan, parts.gateway, address).await?;
    let url = plan.public_url.clone().or_else(|| bridge.as_ref().map(|bridge| bridge.url.clone()));
    let url = url.unwrap_or_else(|| format!("http://{address}"));
    let controller = Arc::new(Controller::new(
        Ports {
            github: parts.github.clone(),
            compute: parts.compute.clone(),
            store: parts.store.clone(),
            notifier: Arc::new(LogNotifier),
            clock: Arc::new(WallClock),
        },
        plan.policy.clone(),
        settings(&plan, url),
        ClaimKeys::new(&plan.policy.stage, vec![claim_key]),
        &format!("serve-{}-{:x}", std::process::id(), fastrand::u64(..)),
    ));
    let look = pin!(credentials::look(&parts.github, &plan.policy));
    let polls = plan.file.github.poll_share_percent > 0;
    let vitals = Arc::new(Vitals::new(format!("http://{address}"), plan.file.sweep_interval_ms, polls));
    let writable = Arc::new(Writable::new(parts.store.clone()));
    let front = face(&plan, &parts, controller.clone(), vitals.clone(), writable.clone());
    let known = parts.store.scan().await.map_err(|error| Failure::failed(error.message))?;
    front.remember(&known.open_jobs);
    let mut tasks = Tasks::begin(&plan, parts.words, &front);
    tasks.others.spawn(control.serve(Control { controller, vitals, writable }));
    let (end_server, server_ends) = oneshot::channel::<()>();
    let mut server = tokio::spawn(front::server::serve(listener, front::router(front.clone()), server_ends));
    info!(stage = plan.policy.stage, %address, max = plan.policy.max, data = %plan.data_dir.display(), "serving");
    let mut said = format!("listening on http://{address}");
    let mut end_agents = None;
    if let Some(Bridge { url, listener }) = bridge {
        let only = if listener.is_some() { " (/agent/v1/* only)" } else { "" };
        said.push_str(&format!("\ncontainers reach it at {url}{only}"));
        end_agents = listener.map(|listener| serve_agents(listener, &front));
    }
    terminal::say(&said);
    let result = tokio::select! {
        asked = signals.next() => {
            info!(signal = asked.name, "ending: no new launches; running jobs go on and are adopted at the next start");
            Ok(())
        }
        Err(refused) = look => Err(refused),
        Some(ended) = tasks.others.join_next() => Err(fallen(ended)),
        ended = &mut tasks.executor => Err(fallen(ended)),
        ended = &mut server => Err(Failure::failed(format!("the HTTP server ended: {ended:?}; start again"))),
    };
    let ending = async {
        tasks.end(&front).await;
        drop((end_server, end_agents));
        if !server.is_finished() && timeout(ENDING, &mut server).await.is_err() {
            warn!("requests that took too long were cut off; their senders come again");
        }
        parts.store.close().await;
    };
    tokio::select! {
        () = ending => result,
        again = signals.next() => Err(at_once(&again)),
    }
}

/// A second signal: whoever sends it does not want to wait. What was not finished is done at the next start, as after a
/// crash.
fn at_once(again: &Asked) -> Failure {
    let text = format!(
        "ended at once at the second signal ({}); nothing is lost: the next start goes on from here",
        again.name
    );
    Failure::signalled(again.number, text)
}

/// Answers agents in containers until the sender is dropped.
fn serve_agents(listener: TcpListener, front: &Arc<Front>) -> oneshot::Sender<()> {
    let (end, ends) = oneshot::channel();
    tokio::spawn(front::server::serve_agents(listener, front::agents_router(front.clone()), ends));
    end
}

fn settings(plan: &Plan, url: String) -> Settings {
    Settings {
        url,
        heartbeat_ms: plan.file.heartbeat_ms,
        redeliver: plan.file.github.redeliver && credentials::know_our_webhook(plan),
        discover: plan.file.github.discover,
        pace: Pace {
            share_percent: plan.file.github.poll_share_percent,
            covered_ms: plan.file.sweep_interval_ms,
            ..Pace::default()
        },
    }
}

fn face(
    plan: &Plan,
    parts: &Parts,
    controller: Arc<Controller>,
    vitals: Arc<Vitals>,
    writable: Arc<Writable>,
) -> Arc<Front> {
    let inbox: Arc<dyn Inbox> = parts.store.clone();
    Arc::new(Front::new(controller, inbox, writable, plan.secrets.webhook.clone(), vitals))
}

/// What runs for as long as the daemon does.
struct Tasks {
    executor: JoinHandle<()>,
    others: JoinSet<()>,
}

impl Tasks {
    fn begin(plan: &Plan, words: mpsc::Receiver<Word>, front: &Front) -> Self {
        let controller = &front.controller;
        let mut others = JoinSet::new();
        let letters =
            Letters { controller: controller.clone(), inbox: front.inbox.clone(), arrived: front.arrived.clone() };
        others.spawn(letters.work());
        others.spawn(engine_words::listen(words, controller.clone()));
        if plan.file.github.poll_share_percent > 0 {
            others.spawn(controller.clone().run_poller());
        }
        others.spawn(controller.clone().run_sweeper(Duration::from_millis(plan.file.sweep_interval_ms)));
        Self { executor: tokio::spawn(controller.clone().run_executor()), others }
    }

    /// Nothing new is begun; what is under way outside is finished if that does not take long, because a launch that is
    /// cut off waits a while at the next start.
    async fn end(&mut self, front: &Front) {
        front.ending.store(true, Ordering::Relaxed);
        front.controller.end();
        self.others.shutdown().await;
        if !self.executor.is_finished() && timeout(ENDING, &mut self.executor).await.is_err() {
            self.executor.abort();
            warn!("what took too long outside was cut off; it is done again at the next start");
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let other = "choose another with `--listen ADDRESS:PORT`";
        Failure::failed(if error.kind() == std::io::ErrorKind::AddrInUse {
            format!("{address} is taken by another program: stop it, or {other}")
        } else {
            format!("cannot listen on {address}: {error}; {other}")
        })
    })
}

/// The tasks run for ever, so one that ended has panicked.
fn fallen(ended: Result<(), JoinError>) -> Failure {
    let what = ended.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
    Failure::failed(format!(
        "a part of the daemon broke down ({what}); nothing is lost: start it again and report this"
    ))
}

/// The signals that ask the daemon to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let open = |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")));
        Ok(Self { terminate: open(SignalKind::terminate())?, interrupt: open(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> Asked {
        let of = |name, kind: SignalKind| Asked { name, number: kind.as_raw_value() };
        tokio::select! {
            _ = self.terminate.recv() => of("SIGTERM", SignalKind::terminate()),
            _ = self.interrupt.recv() => of("SIGINT", SignalKind::interrupt()),
        }
    }
}

/// A signal that asked the daemon to end.
struct Asked {
    name: &'static str,
    number: i32,
}

/// How long what is in hand may take when the daemon ends: first effects, then requests.
const ENDING: Duration = Duration::from_secs(5);
