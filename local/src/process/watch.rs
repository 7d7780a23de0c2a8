//! Waits for the ends of agents, cleans up behind them, reports; and asks them to end.
//!
//! A task is reported gone only when nothing of it lives any more, because that report frees its place under the limits.

use std::{process::ExitStatus, sync::Arc, time::Duration};

use controller::ports::{PortError, PortResult};
use fleet::{event::Event, ids::TaskId, runner::RunnerInput};
use rustix::{
    io::Errno,
    process::{Signal, pidfd_send_signal},
};
use tokio::{process::Child, sync::oneshot, time::Instant};

use super::{Inner, Watched, blocking, cgroup, folder::Folder, tree};
use crate::{disk, word};

/// The agent's word for "another has, or had, this folder".
const ALREADY_STARTED: i32 = 75;

/// Time between two looks at what does not die, first and at the most.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Looks after which a person is told.
const LOOKS_PATIENT: u32 = 30;

/// Waits for an agent that this life spawned.
pub(super) async fn child(inner: Arc<Inner>, id: TaskId, mut child: Child) {
    let leader = child.id().map(u32::cast_signed);
    let status = child.wait().await;
    let dir = inner.folders.of(&id);
    if is_of_another(&dir, status.as_ref().ok()) {
        // This occurs when an earlier life of the daemon was killed right after its spawn: its agent was first.
        inner.watched(&id).set_agent(None);
        return adopted(inner, id).await;
    }
    let why = status.map_or_else(|error| format!("its end could not be waited for: {error}"), words);
    finish(&inner, &id, leader, why).await;
}

/// Whether the folder is in another agent's hands although ours has ended. If none has begun there, none will.
fn is_of_another(dir: &Folder, status: Option<&ExitStatus>) -> bool {
    if status.is_some_and(|status| status.code() == Some(ALREADY_STARTED)) {
        return true;
    }
    if dir.path("started").exists() { dir.is_locked() } else { !dir.fence().unwrap_or(true) }
}

/// Waits for an agent of an earlier life.
pub(super) async fn adopted(inner: Arc<Inner>, id: TaskId) {
    let dir = inner.folders.of(&id);
    let watched = inner.watched(&id);
    let deadline = Instant::now() + inner.settings.unborn_grace;
    let mut look = LOOK_FIRST;
    while !dir.path("started").exists() && !dir.path("ended").exists() {
        // An agent of that life may be just about to begin; nothing tells of it, so it is looked for.
        let _ = tokio::time::timeout(look, watched.changed.notified()).await;
        look = (look * 2).min(LOOK_MAX);
        let _gate = watched.gate.lock().await;
        if watched.agent().is_some() || !dir.is_open() || !Arc::ptr_eq(&watched, &inner.watched(&id)) {
            // Its launch was repeated meanwhile: that failed, or has a watch of its own.
            return;
        }
        if Instant::now() >= deadline {
            // This occurs when we were killed between folder and spawn, and the launch is not wanted any more. Where
            // the fence fails, somebody holds the lock and is about to begin.
            let _ = dir.fence();
        }
    }
    if let Ok(Some(why)) = dir.text("ended") {
        return report(&inner, &id, why).await;
    }
    let leader = dir.agent();
    watched.set_agent(leader.and_then(|(pid, start_time)| tree::handle(pid, start_time)));
    wait_unlocked(dir.clone()).await;
    let why = if dir.is_fenced() {
        "the daemon ended while it was being started; it never began"
    } else {
        "it ended; how is not known, because the daemon was started anew meanwhile"
    };
    finish(&inner, &id, leader.map(|(pid, _)| pid), why.into()).await;
}

/// On a thread of its own: it may take hours, and the event loop's threads must be free when the daemon ends.
async fn wait_unlocked(dir: Folder) {
    let (done, is_free) = oneshot::channel::<()>();
    let waiting = std::thread::Builder::new().name("runner".into()).spawn(move || {
        if let Err(error) = dir.wait_unlocked() {
            tracing::warn!("cannot wait for {}: {error}", dir.dir().display());
        }
        drop(done);
    });
    if let Err(error) = waiting {
        tracing::error!("cannot start a thread to wait for a runner: {error}");
    }
    // The other end is dropped, which is all that is waited for.
    let _ = is_free.await;
}

/// Kills what is left of a task, writes its end down, reports it.
async fn finish(inner: &Arc<Inner>, id: &TaskId, leader: Option<i32>, how: String) {
    let dir = inner.folders.of(id);
    let why = match inner.watched(id).stopping() {
        Some(why) => format!("stopped: {why} ({how})"),
        None => how,
    };
    let mut look = LOOK_FIRST;
    let mut looks = 0_u32;
    while kill(id, &dir, leader).await > 0 {
        looks += 1;
        if looks == LOOKS_PATIENT {
            // A process that waits for dead hardware or a dead network disk does not die. Its place stays taken.
            tracing::error!("processes of {id} do not die; look at their state D with ps");
        }
        tokio::time::sleep(look).await;
        look = (look * 2).min(LOOK_MAX);
    }
    if let Err(error) = dir.write("ended", &why) {
        // This occurs when the disk is full. The report below is what counts; a next life finds the lock free.
        tracing::warn!("cannot note the end of {id}: {error}");
    }
    report(inner, id, why).await;
}

async fn kill(id: &TaskId, dir: &Folder, leader: Option<i32>) -> usize {
    let (id, dir) = (id.clone(), dir.clone());
    let killed = blocking(move || {
        cgroup::kill(&dir);
        Ok(tree::kill(&id, &dir, leader) + usize::from(cgroup::is_populated(&dir)))
    });
    killed.await.unwrap_or(0)
}

/// Reports a task gone, then takes its folder away.
async fn report(inner: &Arc<Inner>, id: &TaskId, why: String) {
    let dir = inner.folders.of(id);
    match dir.read() {
        Ok(Some(task)) => {
            let event =
                Event::Runner { runner: task.runner, input: RunnerInput::TaskGone { why: why.as_str().into() } };
            if !word::say(&inner.words, event).await {
                // This occurs when the daemon is ending. The next life reports it.
                return;
            }
        }
        Ok(None) => {}
        Err(error) => tracing::error!("{id} has ended ({why}) and cannot be reported: {error}"),
    }
    tracing::debug!("{id} is gone: {why}");
    let (inner, id) = (inner.clone(), id.clone());
    let cleared = blocking(move || {
        // The name first: between the two a repeated launch must not find a free place.
        inner.folders.remember(&id).map_err(|error| disk::failed("note the end in", dir.dir(), &error))?;
        cgroup::remove(&dir);
        dir.clear(inner.settings.keep);
        inner.forget(&id);
        Ok(())
    });
    if let Err(error) = cleared.await {
        tracing::warn!("{error}");
    }
}

/// Asks a task to end, and sees to it when the grace is over. Returns once it is asked.
pub(super) async fn stop(inner: Arc<Inner>, id: &TaskId, why: &str) -> PortResult<()> {
    let dir = inner.folders.of(id);
    let watched = inner.watched(id);
    let is_first = watched.begin_stopping(why);
    {
        let _gate = watched.gate.lock().await;
        if agent_of(&watched, &dir).is_none() && !dir.path("started").exists() {
            // Launched by a life that ended before the spawn: there is nobody to ask, and nobody may begin any more.
            let fenced = dir.fence().map_err(|error| disk::failed("close", dir.dir(), &error))?;
            watched.changed.notify_one();
            if fenced {
                return Ok(());
            }
        }
    }
    signal(&watched, &dir, Signal::TERM)?;
    if is_first {
        tokio::spawn(end_of_grace(inner, id.clone(), watched));
    }
    Ok(())
}

async fn end_of_grace(inner: Arc<Inner>, id: TaskId, watched: Arc<Watched>) {
    tokio::time::sleep(inner.settings.stop_grace).await;
    let dir = inner.folders.of(&id);
    if !dir.is_open() || dir.path("ended").exists() {
        return;
    }
    tracing::warn!("{id} did not end in its grace; it is killed");
    cgroup::kill(&dir);
    if let Err(error) = signal(&watched, &dir, Signal::KILL) {
        tracing::error!("{id} cannot be killed: {error}");
    }
}

/// A handle on the agent, from this life or from what the agent wrote.
fn agent_of(watched: &Watched, dir: &Folder) -> Option<Arc<rustix::fd::OwnedFd>> {
    watched.agent().or_else(|| dir.agent().and_then(|(pid, start)| tree::handle(pid, start)).map(Arc::new))
}

fn signal(watched: &Watched, dir: &Folder, signal: Signal) -> PortResult<()> {
    let Some(agent) = agent_of(watched, dir) else { return Ok(()) };
    match pidfd_send_signal(&*agent, signal) {
        // It ended by itself just now; its watch sees that.
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(PortError::retry(format!("cannot signal the agent in {}: {error}", dir.dir().display()))),
    }
}

/// An exit status in words.
fn words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the agent exited with {code}"),
        (None, Some(signal)) => format!("the agent was killed by signal {signal}"),
        (None, None) => "the agent ended".into(),
    }
}
