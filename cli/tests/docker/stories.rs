//! The stories. Each ends with a look for leftovers: containers, rows, registrations, processes.

use std::{collections::BTreeSet, future::Future, process::Command};

use fleet::job::Conclusion;
use libtest_mimic::Trial;

use crate::{
    newcomer,
    stage::{PROGRAM, Stage},
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        story("twelve_jobs_run_in_containers_of_their_own_six_at_once", twelve_jobs),
        story("a_job_that_is_cancelled_ends_and_its_container_goes", cancelled),
        story("a_person_stops_a_runner_in_mid_job", stopped_by_a_person),
        story("a_killed_daemon_finds_its_containers_and_starts_no_second_one", daemon_killed),
        story("a_container_that_is_killed_interrupts_its_job_and_no_other", container_killed),
        story("the_engine_ends_and_begins_again", engine_restarted),
        story("jobs_wait_for_an_image_that_is_missing", image_missing),
        story("a_newcomer_practises_with_containers", newcomer::practises),
        story("an_interrupted_demo_takes_everything_away", demo_interrupted),
    ]
}

fn story<F: Future<Output = ()>>(name: &str, tell: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(tell());
        Ok(())
    })
}

async fn twelve_jobs() {
    let mut stage = Stage::of(6).await;
    stage.submit(12, "sleep 0.7 && test \"$(id -u)\" = 1000 && echo ${{ matrix.part }}");
    stage.until_all_ended().await;
    assert_eq!(stage.conclusions(), vec![Some(Conclusion::Success); 12]);
    let play = stage.end().await;
    let runners: BTreeSet<_> = play.watch.lives.iter().filter_map(|life| life.runner.clone()).collect();
    assert_eq!((runners.len(), play.watch.runners_started(), play.watch.peak), (12, 12, 6));
}

async fn cancelled() {
    let mut stage = Stage::of(2).await;
    stage.submit(1, "sleep 300");
    stage.until_all_run().await;
    stage.play.github.cancel(stage.play.watch.lives[0].id);
    stage.until_all_ended().await;
    assert_eq!(stage.conclusions(), [Some(Conclusion::Cancelled)]);
    stage.end().await;
}

async fn stopped_by_a_person() {
    let mut stage = Stage::of(2).await;
    stage.submit(1, "sleep 300");
    stage.until_all_run().await;
    let name = stage.live().await.remove(0);
    let runner = name.rsplit_once('.').unwrap().0;
    let (done, said) = stage.says(&["runners", "stop", runner]);
    assert!(!done && said.contains("would be lost"), "a runner at work is not stopped without force: {said}");
    let (done, said) = stage.says(&["runners", "stop", runner, "--force", "--why", "a test"]);
    assert!(done, "{said}");
    stage.until_all_ended().await;
    let why = stage.why();
    assert!(why.contains("stopped by"), "{why}");
    stage.end().await;
}

async fn daemon_killed() {
    let mut stage = Stage::of(2).await;
    stage.submit(2, "sleep 4");
    stage.until_all_run().await;
    let before = stage.live().await;
    let Stage { play, screen, .. } = &mut stage;
    play.kill_daemon(screen, 500, None).await.unwrap();
    assert_eq!((before.len(), stage.live().await), (2, before.clone()));
    stage.until_all_ended().await;
    assert_eq!(stage.conclusions(), vec![Some(Conclusion::Success); 2]);
    assert_eq!(stage.end().await.watch.runners_started(), 2);
}

async fn container_killed() {
    let mut stage = Stage::of(2).await;
    stage.submit(2, "sleep 3");
    stage.until_all_run().await;
    let victim = stage.live().await.remove(0);
    stage.play.site.machines.kill(&victim).await;
    stage.until_all_ended().await;
    let interrupted: Vec<_> = stage.play.watch.lives.iter().filter(|life| life.interrupted).collect();
    assert_eq!(interrupted.len(), 1);
    let runner = interrupted[0].runner.clone().unwrap();
    assert!(runner.starts_with(victim.rsplit_once('.').unwrap().0), "{runner} on {victim}");
    let why = stage.says(&["why", &interrupted[0].id.to_string()]).1;
    assert!(why.contains("lost its runner"), "{why}");
    stage.end().await;
}

/// Without `live-restore` containers end with their engine. The job in one is interrupted, the job that waits is not lost.
async fn engine_restarted() {
    let mut stage = Stage::of(1).await;
    stage.submit(2, "sleep 2");
    stage.until("one runs", |lives| lives.iter().any(|life| life.running_ms.is_some())).await;
    for action in ["stop", "start"] {
        let line = format!("{} {action}", std::env::var(crate::CONTROL).unwrap());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}");
    }
    stage.until_all_ended().await;
    let lives = &stage.play.watch.lives;
    let ended: BTreeSet<_> = lives.iter().map(|life| life.conclusion == Some(Conclusion::Success)).collect();
    assert_eq!(ended, [false, true].into(), "{lives:#?}");
    // A person is told of it two minutes later, unless the job ended by itself.
    stage.end_but_for("effect notify/job_interrupted").await;
}

async fn image_missing() {
    let mut stage = Stage::of(2).await;
    stage.containers.remove_image().await.unwrap();
    stage.submit(1, "echo hello");
    stage.until("it is seen", |_| true).await;
    for _ in 0..100 {
        stage.play.step(&mut stage.screen).await.unwrap();
        if stage.why().contains("docker load") {
            break;
        }
    }
    let why = stage.why();
    assert!(why.contains("has no image") && why.contains("docker load"), "{why}");
    stage.containers.make_image(PROGRAM.into()).await.unwrap();
    stage.until_all_ended().await;
    assert_eq!(stage.conclusions(), [Some(Conclusion::Success)]);
    stage.end().await;
}

/// As a person does it with Ctrl-C, in the middle.
async fn demo_interrupted() {
    let host = std::env::var(crate::HOST).unwrap();
    let listed = |words: &[&str]| {
        let line = [&["--host", host.as_str()], words].concat();
        let told = Command::new("docker").args(line).output().unwrap();
        assert!(told.status.success(), "{told:?}");
        // Their order is open where two were made within a second.
        String::from_utf8(told.stdout).unwrap().lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let there =
        || [listed(&["ps", "--all", "--quiet"]), listed(&["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"])];
    let before = there();
    let mut demo = tokio::process::Command::new(PROGRAM);
    demo.args(["demo", "--engine", "docker", "--docker-host", &host]).stdout(std::process::Stdio::piped());
    let mut demo = demo.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(demo.stdout.take().unwrap()));
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains(" runs on ") {
            break;
        }
    }
    let pid = rustix::process::Pid::from_raw(demo.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = demo.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(1) && said.contains("interrupted"), "{said}");
    assert_eq!(there(), before);
}
