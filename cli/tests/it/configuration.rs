//! `config check`, `show` and the page that is made from the definition.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value;

use crate::bench::{Place, Ran, program, ran, run, write};

#[test]
fn a_good_configuration_has_nothing_wrong() {
    let place = Place::new();
    let ran = place.look("check", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.ends_with("self-runners.toml: nothing is wrong\n"), "{ran:?}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_line_and_remedy() {
    let place = Place::new();
    let secret = place.path("token");
    write(&secret, "ghp_planted");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let text = faulty(&secret);
    write(&place.config(), &text);
    let ran = place.look("check", &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    for (line, words) in [
        (2, "maximum: there is no such key; did you mean `max`?"),
        (9, "github.runner_dir: this key belongs below [engine]"),
        (14, "owners.acme corp.organization: this is a text; write true or false"),
        (20, "classes.small.max: -1 is below 0: write a whole number from 0 on"),
        (24, "classes.small.size.arch: `mips` is none of those that there are: write one of `arm64`, `x86_64`"),
    ] {
        expect(&ran, line, words);
    }
    // What hides behind those is told when they are mended.
    let mended = text.replace("maximum = 4\n", "\n").replace("runner_dir = \"/r\"\n", "\n").replace("\"yes\"", "true");
    let mended = mended.replace("kind = \"process\"", "runner_dir = \"/nowhere\"").replace("\"mips\"", "\"x64\"");
    write(&place.config(), &mended.replace("max = -1", "max = 11"));
    // Without the variable, so that the token's file counts.
    let check = |more: &[&str]| {
        crate::bench::ran(
            program().args(["config", "check", "--config"]).arg(place.config()).args(more).output().unwrap(),
        )
    };
    let told = check(&[]);
    for (line, words) in [
        (1, "stage: `Pro duction` cannot be part of runners' names"),
        (3, "max: 40 is above 10: if that is meant, write `max_above_ten = true`"),
        (4, "sweep_interval_ms: 60 milliseconds are too few"),
        (6, "github.token_file: everybody on this machine may read"),
        (7, "github.webhook_secret_file: cannot read /nowhere/secret"),
        (8, "github.api_url: `api.github.com` is no URL"),
        (11, "engine.runner_dir: no runner program in `/nowhere`"),
        (12, "engine.pass_env.0: GITHUB_TOKEN is this daemon's secret"),
        (13, "owners.acme corp: `acme corp` is no name"),
        (16, "owners.acme.repositories.1: `other/web` is no repository of acme"),
        (19, "classes.small.labels: label `a,b` cannot be registered"),
        (20, "classes.small.max: 11 is above 10"),
        (22, "classes.small.name: a class before it is named `small` too"),
        (23, "classes.small.labels: `self-hosted` is not among them"),
        (24, "classes.small.size.cpu_milli: a machine without any"),
    ] {
        expect(&told, line, words);
    }
    assert!(!told.out.contains("ghp_planted"), "{told:?}");
    let told: Value = serde_json::from_str(&check(&["--json"]).out).unwrap();
    assert_eq!(told["errors"], 15, "{told}");
    place.serve_fails().failed(2, &["self-runners.toml:1: stage:", "12 more: `self-runners config check --config "]);
}

#[test]
fn bounds_of_what_jobs_may_ask_for_are_checked() {
    let place = Place::new();
    let good = fs::read_to_string(place.config()).unwrap();
    let lines = good.trim_end().lines().count();
    let check = |allow: &str| {
        write(&place.config(), &format!("{}\n[classes.allow]\n{allow}\n", good.trim_end()));
        place.look("check", &[])
    };
    let fine = "cpu_milli = [1000, 8000]\ntimeout_ms = [600000, 7200000]\narch = true\nspot = true";
    assert_eq!(check(fine).code, 0, "{:?}", check(fine));
    let told = check("cpu_milli = [8000, 1000]\nmemory_mb = [0, 4096]\ntimeout_ms = [5, 90]\nspot = \"yes\"\ngpu = 1");
    assert_eq!(told.code, 2, "{told:?}");
    expect(&told, lines + 5, "classes.small.allow.spot: this is a text; write true or false");
    expect(&told, lines + 6, "classes.small.allow.gpu: there is no such key");
    let told = check("cpu_milli = [8000, 1000]\nmemory_mb = [0, 4096]\ndisk_gb = [50, 50]\ntimeout_ms = [5, 90]");
    for (line, words) in [
        (2, "allow.cpu_milli: 8000 to 1000 are no bounds: write the least above 0, then the most"),
        (3, "allow.memory_mb: 0 to 4096 are no bounds"),
        (5, "allow.timeout_ms: 5 milliseconds are too few"),
    ] {
        expect(&told, lines + line, words);
    }
    let faults: Vec<&str> = told.out.lines().filter(|line| line.starts_with("error")).collect();
    assert!(!faults.iter().any(|line| line.contains("disk_gb")), "{told:?}");
    // What has no effect on this machine is said all the same.
    assert!(told.out.contains("allow.disk_gb: the disk of processes is not limited"), "{told:?}");
    assert!(check(fine).out.contains("allow.spot: this machine has no spare capacity"));
}

/// As many faults as there is room for.
fn faulty(secret: &Path) -> String {
    format!(
        r#"stage = "Pro duction"
maximum = 4
max = 40
sweep_interval_ms = 60
[github]
token_file = {secret:?}
webhook_secret_file = "/nowhere/secret"
api_url = "api.github.com"
runner_dir = "/r"
[engine]
kind = "process"
pass_env = ["GITHUB_TOKEN"]
[owners."acme corp"]
organization = "yes"
[owners.acme]
repositories = ["web", "other/web"]
[[classes]]
name = "small"
labels = ["self-hosted", "a,b"]
max = -1
[[classes]]
name = "small"
labels = ["linux"]
size = {{ cpu_milli = 0, arch = "mips" }}
"#
    )
}

fn expect(ran: &Ran, line: usize, words: &str) {
    let place = format!("self-runners.toml:{line}: ");
    let found = ran.out.lines().any(|one| one.starts_with("error: ") && one.contains(&place) && one.contains(words));
    assert!(found, "`{words}` of line {line} is not in\n{}", ran.out);
}

#[test]
fn every_syntax_error_is_told() {
    let place = Place::new();
    write(&place.config(), "stage = = 1\nmax = = 3\n");
    let ran = place.look("check", &[]);
    assert_eq!((ran.code, ran.out.lines().count()), (2, 3), "{ran:?}");
    expect(&ran, 1, "this is no TOML");
    expect(&ran, 2, "this is no TOML");
}

#[test]
fn a_first_file_is_written_that_is_good_and_never_overwritten() {
    let place = Place::new();
    fs::remove_file(place.config()).unwrap();
    let init = |more: &[&str]| {
        let mut command = program();
        command.args(["config", "init", "--config"]).arg(place.config()).args(more);
        ran(command.arg("--runner-dir").arg(place.path("runner")).output().unwrap())
    };
    init(&[]).failed(2, &["whose jobs?", "--owner NAME"]);
    init(&["--owner", "ac me"]).failed(2, &["nothing was written: owners.ac me: `ac me` is no name"]);
    init(&["--owner", "acme", "--label", "gpu"]).failed(2, &["nothing was written: classes.linux.labels"]);
    assert!(!place.config().exists());
    let made = init(&["--repo", "acme/web", "--api-url", "http://127.0.0.1:9", "--label", "self-hosted"]);
    assert_eq!(made.code, 0, "{made:?}");
    assert!(made.out.contains("self-runners serve --config"), "{made:?}");
    let checked = place.look("check", &[]);
    assert!(checked.code == 0 && !checked.out.contains("error"), "{checked:?}");
    let before = fs::read_to_string(place.config()).unwrap();
    assert!(before.contains("[owners.acme]\nrepositories = [\"acme/web\"]"), "{before}");
    init(&["--owner", "acme"]).failed(2, &["is there already and was not changed"]);
    assert_eq!(fs::read_to_string(place.config()).unwrap(), before);
}

#[test]
fn each_value_is_shown_with_its_origin_and_secrets_are_not() {
    let place = Place::new();
    let mut command = program();
    command.args(["config", "show", "--json", "--listen", "127.0.0.1:9", "--config"]).arg(place.config());
    command.env("SELF_RUNNERS_MAX", "3").env("SELF_RUNNERS_DATA", "/short").env("GITHUB_TOKEN", "ghp_planted");
    command.env("SELF_RUNNERS_ENGINE_PASS_ENV", "LANG, TZ").env("SELF_RUNNERS_STAGE", "fromenv");
    let ran = ran(command.output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.out.contains("ghp_planted"), "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    let row = |key: &str| {
        let row = told["values"].as_array().unwrap().iter().find(|row| row["key"] == key);
        row.unwrap_or_else(|| panic!("{key} is not in {told}")).clone()
    };
    for (key, value, from) in [
        ("listen", "\"127.0.0.1:9\"", "--listen"),
        ("max", "3", "SELF_RUNNERS_MAX"),
        ("stage", "\"fromenv\"", "SELF_RUNNERS_STAGE"),
        ("data_dir", "\"/short\"", "SELF_RUNNERS_DATA"),
        ("github.api_url", "\"http://127.0.0.1:9\"", "5"),
        ("engine.pass_env", "[\"LANG\",\"TZ\"]", "SELF_RUNNERS_ENGINE_PASS_ENV"),
        ("engine.keep_logs", "false", "default"),
        ("owners.Acme.repositories", "[\"web\"]", "11"),
        ("classes.small.labels", "[\"self-hosted\",\"Linux\"]", "14"),
        ("classes.small.size.disk_gb", "75", "default"),
        ("public_url", "null", "default"),
        ("github.token", "\"***\"", "GITHUB_TOKEN"),
        ("github.webhook_secret", "null", "default"),
    ] {
        let row = row(key);
        assert_eq!(row["value"].to_string(), value, "{key}");
        let origin = &row["origin"];
        let said = [&origin["flag"], &origin["variable"], &origin["line"], &origin["from"]];
        let said = said.into_iter().find(|word| !word.is_null()).unwrap();
        assert_eq!(said.to_string().trim_matches('"'), from, "{key}");
    }
}

#[test]
fn without_a_file_it_shows_what_holds_all_the_same() {
    let place = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["config", "show", "--repo", "acme/web"]).current_dir(place.path()).env("XDG_STATE_HOME", "/state");
    let ran = ran(command.output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    let line = |key: &str| ran.out.lines().find(|line| line.split("  ").next() == Some(key)).unwrap_or(&ran.out);
    assert!(line("data_dir").ends_with("default") && line("data_dir").contains("\"/state/self-runners\""), "{ran:?}");
    assert!(line("classes.default.labels").contains("\"self-hosted\""), "{ran:?}");
    assert!(line("owners.acme.repositories").contains("[\"web\"]"), "{ran:?}");
    assert!(line("owners.acme.repositories").ends_with("--repo"), "{ran:?}");
}

#[test]
fn variables_and_flags_go_over_the_file_in_the_daemon_too() {
    let place = Place::new();
    let output = place.serve().env("SELF_RUNNERS_LISTEN", "nowhere").output().unwrap();
    ran(output).failed(2, &["SELF_RUNNERS_LISTEN: listen: cannot listen on `nowhere`"]);
    let output = place.serve().env("SELF_RUNNERS_LISTEN", "nowhere").args(["--listen", "here"]).output().unwrap();
    ran(output).failed(2, &["--listen: listen: cannot listen on `here`"]);
    let output = place.serve().env("SELF_RUNNERS_MAX", "many").output().unwrap();
    ran(output).failed(2, &["SELF_RUNNERS_MAX: ", "write the value as in the file"]);
}

#[test]
fn a_variable_of_no_key_is_warned_about() {
    let place = Place::new();
    let mut command = program();
    command.args(["config", "check", "--config"]).arg(place.config()).env("SELF_RUNNERS_MAXX", "3");
    let ran = ran(command.env("GITHUB_TOKEN", "t").output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("warning: SELF_RUNNERS_MAXX: no key has this variable"), "{ran:?}");
    assert!(ran.out.ends_with("1 warning\n"), "{ran:?}");
}

/// What `serve` would refuse when it begins is told where it is written.
#[test]
fn a_token_that_would_go_out_in_clear_is_told_before_it_does() {
    let place = Place::new();
    for (key, variable) in
        [("api_url", "SELF_RUNNERS_GITHUB_API_URL"), ("releases_url", "SELF_RUNNERS_GITHUB_RELEASES_URL")]
    {
        let mut command = program();
        command
            .args(["config", "check", "--config"])
            .arg(place.config())
            .env(variable, "http://ghe.example.com/api/v3");
        let ran = ran(command.env("GITHUB_TOKEN", "t").output().unwrap());
        let words = format!(
            "{variable}: github.{key}: GitHub's base URL `http://ghe.example.com/api/v3` must begin with https"
        );
        assert!(ran.code == 2 && ran.out.contains(&words), "{ran:?}");
    }
}

#[test]
fn dockers_own_variable_counts_where_nothing_of_ours_names_a_host() {
    let place = Place::new();
    let show = |text: &str| {
        write(&place.config(), text);
        let mut command = program();
        command.args(["config", "show", "--config"]).arg(place.config()).env("DOCKER_HOST", "tcp://127.0.0.1:2375");
        ran(command.env("GITHUB_TOKEN", "t").output().unwrap()).out
    };
    let docker = "[owners.acme]\n[engine]\nkind = \"docker\"\n";
    let named = format!("{docker}host = \"unix:///own.sock\"\n");
    let line = |out: String| out.lines().find(|line| line.starts_with("engine.host")).map(str::to_owned);
    assert!(
        line(show(docker)).is_some_and(|line| line.contains("tcp://127.0.0.1:2375") && line.contains("DOCKER_HOST"))
    );
    assert!(line(show(&named)).is_some_and(|line| line.contains("unix:///own.sock")));
    assert_eq!(line(show("[owners.acme]\n[engine]\nkind = \"process\"\n")), None);
}

#[test]
fn the_file_of_the_current_folder_is_the_usual_one() {
    let place = Place::new();
    let mut command = program();
    command.args(["config", "check"]).env("GITHUB_TOKEN", "t").current_dir(place.path(""));
    let ran = ran(command.output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (0, "self-runners.toml: nothing is wrong\n"), "{ran:?}");
}

#[test]
fn the_page_in_docs_is_that_of_the_code() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md"));
    let made = run(&["config", "docs"]).out;
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, &made).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/configuration.md is not what the code says: run `cargo xtask docs` and look at the diff"
    );
}

#[test]
fn the_schema_is_one_for_editors() {
    let schema: Value = serde_json::from_str(&run(&["config", "schema"]).out).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["stage"]["description"].is_string(), "{schema}");
}
