//! What a job can see of the agent: nothing that matters.

use std::fs;

use fleet::wire::{Report, env};

use crate::bench::Bench;
use crate::plane::{JIT, Plane, TOKEN, run};

#[test]
fn a_job_sees_the_operators_variables_and_nothing_of_ours() {
    let bench = Bench::new(Plane::start([run()]), "env > listener.env; say Listening for Jobs")
        .var("MY_VAR", "mine")
        .var(env::DEBUG, "1")
        .var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/secret")
        .var("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2")
        .var("ACTIONS_RUNNER_INPUT_URL", "https://elsewhere");
    assert_eq!(bench.start().ends(), Some(0));
    let vars = bench.read("listener.env");
    for wanted in ["MY_VAR=mine", &format!("ACTIONS_RUNNER_INPUT_JITCONFIG={JIT}"), "RUNNER_MANUALLY_TRAP_SIG=1"] {
        assert!(vars.contains(wanted), "{wanted} is missing in {vars}");
    }
    assert!(vars.contains("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1"));
    for unwanted in ["SELF_RUNNERS_", TOKEN, "AWS_", "ECS_", "ACTIONS_RUNNER_INPUT_URL", "\nDEBUG="] {
        assert!(!vars.contains(unwanted), "{unwanted} is in {vars}");
    }
}

#[test]
fn the_agent_shows_no_token() {
    let listener = r#"
        tr '\0' '\n' < /proc/$PPID/cmdline > parent.args
        ls -l /proc/self/fd > fds
        say Listening for Jobs; until_file never"#;
    let bench = Bench::new(Plane::start([run()]), listener).var("MY_VAR", "mine");
    let mut agent = bench.start();
    bench.plane.wait_for(&Report::Registered);
    let proc = |file: &str| fs::read(format!("/proc/{}/{file}", agent.pid()));
    match proc("environ") {
        // We are root, or else not even this may be read.
        Ok(environ) => {
            let environ = String::from_utf8_lossy(&environ).into_owned();
            assert!(!environ.contains("SELF_RUNNERS_") && !environ.contains(TOKEN), "{environ}");
            assert!(environ.contains("MY_VAR=mine"));
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
    assert!(!String::from_utf8_lossy(&proc("cmdline").unwrap()).contains(TOKEN));
    assert_eq!(proc("comm").unwrap(), b"agent\n");
    // Files under /proc of a process that is not dumpable belong to root, whoever runs it.
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{}/environ", agent.pid())).unwrap());
    assert_eq!(owner, 0);
    assert!(!bench.read("parent.args").contains(JIT));
    let fds = bench.read("fds");
    assert!(!fds.contains("task/lock"), "the runner holds the agent's lock: {fds}");
    agent.terminate();
    assert_eq!(agent.ends(), Some(143));
    assert_nothing_written(&bench);
}

/// No file of the runner's folder holds what was given to the agent.
fn assert_nothing_written(bench: &Bench) {
    for file in fs::read_dir(bench.path("")).unwrap().chain(fs::read_dir(bench.path("task")).unwrap()) {
        let path = file.unwrap().path();
        let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        assert!(!text.contains(TOKEN) && !text.contains(JIT), "{}", path.display());
    }
}
