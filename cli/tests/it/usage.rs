//! What is typed wrongly, and what the program says of itself.

use crate::bench::{Place, run, write};

#[test]
fn help_is_as_reviewed() {
    for (name, args) in [
        ("help", &["--help"][..]),
        ("help_demo", &["demo", "--help"]),
        ("help_practice", &["practice", "--help"]),
        ("help_serve", &["serve", "--help"]),
        ("help_config", &["config", "--help"]),
        ("help_config_init", &["config", "init", "--help"]),
        ("help_config_check", &["config", "check", "--help"]),
        ("help_template", &["template", "--help"]),
        ("help_deploy", &["deploy", "--help"]),
        ("help_destroy", &["destroy", "--help"]),
        ("help_doctor", &["doctor", "--help"]),
        ("help_logs", &["logs", "--help"]),
        ("help_cost", &["cost", "--help"]),
        ("help_secrets", &["secrets", "--help"]),
        ("help_secrets_set", &["secrets", "set", "--help"]),
        ("help_github_setup", &["github", "setup", "--help"]),
        ("help_why", &["why", "--help"]),
        ("help_status", &["status", "--help"]),
        ("help_jobs", &["jobs", "--help"]),
        ("help_runners", &["runners", "--help"]),
        ("help_runners_stop", &["runners", "stop", "--help"]),
        ("help_drain", &["drain", "--help"]),
        ("help_webhook_send", &["webhook", "send", "--help"]),
    ] {
        let ran = run(args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        insta::assert_snapshot!(name, ran.out);
    }
}

#[test]
fn wrong_arguments_are_usage_errors() {
    for args in [&[][..], &["serv"], &["demo", "--jobs", "0"], &["demo", "--jobs", "2", "--workflow", "x"], &["why"]] {
        let ran = run(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {ran:?}");
    }
    run(&["serve"]).failed(2, &["--config FILE", "config init"]);
    run(&["status"]).failed(2, &["--config FILE", "--data DIR"]);
    run(&["why", "web", "--data", "x"]).failed(2, &["`web` is neither"]);
}

#[test]
fn the_agent_alone_says_what_it_misses() {
    let ran = run(&["agent"]);
    assert_eq!(ran.code, 64, "{ran:?}");
    assert!(ran.err.contains("SELF_RUNNERS_"), "{ran:?}");
}

#[test]
fn a_bad_workflow_is_refused_with_its_line() {
    let place = Place::new();
    let file = place.path("ci.yml");
    let path = file.to_str().unwrap();
    write(&file, "jobs:\n  a:\n    runs-on: self-hosted\n    needs: b\n    steps: [{run: make}]\n");
    run(&["demo", "--workflow", path]).failed(2, &["ci.yml", "line ", "needs `b`"]);
    write(&file, "jobs: {a: {runs-on: ubuntu-latest, steps: [{run: make}]}}\n");
    run(&["demo", "--workflow", path]).failed(2, &["ubuntu-latest", "runs-on: [self-hosted, linux]"]);
    write(&file, "jobs: [");
    run(&["demo", "--workflow", path]).failed(2, &["line "]);
    run(&["demo", "--workflow", "nowhere.yml"]).failed(2, &["cannot read nowhere.yml"]);
}

#[test]
fn a_bad_configuration_is_refused_with_what_to_do() {
    let place = Place::new();
    place.configure("maximum = 3");
    place.serve_fails().failed(2, &["self-runners.toml:1: maximum", "did you mean `max`"]);
    place.configure("stage = \"A B\"");
    place.serve_fails().failed(2, &["stage: `A B`", "lower-case"]);
    place.configure("public_url = \"here\"");
    place.serve_fails().failed(2, &["public_url", "http://"]);
    place.configure("");
    std::fs::remove_file(place.path("runner/run.sh")).unwrap();
    place.serve_fails().failed(2, &["no runner program", "runner_dir"]);
}

#[test]
fn without_a_token_it_says_where_one_goes() {
    let place = Place::new();
    let output = place.serve().env_remove("GITHUB_TOKEN").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("set GITHUB_TOKEN in the environment"));
}
