//! What the daemon says of its credentials when it begins: wrong, lacking, late; and that it goes on while GitHub is away.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use fleet::ids::Repo;
use sim::{
    http::{APP_KEY_PEM, Options, Server, serve},
    hub::Hub,
};
use tokio::runtime::Runtime;

use crate::bench::{Daemon, Place, ran, until};

/// The simulated GitHub, and what drives it.
pub(crate) struct GitHub {
    _runtime: Runtime,
    pub(crate) server: Server,
}

impl GitHub {
    pub(crate) fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut hub = Hub::new(3);
        for name in ["acme/web", "mona/site"] {
            hub.add_repo(&Repo::parse(name).unwrap(), false);
        }
        let server = runtime.block_on(serve(hub, Options::new("ghp_right", "secret"))).unwrap();
        Self { _runtime: runtime, server }
    }

    /// A daemon that asks it, with this token.
    fn daemon(&self, place: &Place, token: &str) -> Command {
        let mut command = place.serve();
        command.env("SELF_RUNNERS_GITHUB_API_URL", self.server.url()).env("GITHUB_TOKEN", token);
        command
    }

    /// A daemon that asks it as the App.
    fn app_daemon(&self, place: &Place) -> Command {
        let mut command = self.daemon(place, "");
        command.env("GITHUB_APP_ID", "15368").env("GITHUB_APP_PRIVATE_KEY", APP_KEY_PEM);
        command
    }
}

/// It refuses to work, in these words.
fn refuses(mut command: Command, words: &[&str]) {
    let ran = ran(command.output().unwrap());
    ran.failed(1, words);
    assert!(!ran.err.contains("ghp_") && !ran.err.contains("PRIVATE"), "{ran:?}");
}

#[test]
fn a_wrong_token_ends_the_daemon_with_what_to_do() {
    let (place, github) = (Place::new(), GitHub::open());
    refuses(github.daemon(&place, "ghp_wrong"), &["acme: GitHub answered 401", "the token is wrong", "give a new one"]);
}

#[test]
fn a_missing_permission_is_named() {
    let (place, github) = (Place::new(), GitHub::open());
    github.server.handle().forbid("administration");
    let named = "`Administration: write`";
    refuses(
        github.daemon(&place, "ghp_right"),
        &["acme", "403", named, "for this request GitHub wants `administration=read`"],
    );
    refuses(github.app_daemon(&place), &["acme", "the GitHub App lacks", named, "accept it at"]);
}

#[test]
fn an_app_that_is_not_installed_and_a_clock_that_is_wrong_are_named() {
    let (place, github) = (Place::new(), GitHub::open());
    github.server.handle().uninstall_app("acme");
    refuses(github.app_daemon(&place), &["not installed on acme", "/apps/self-runners/installations/new"]);
    github.server.handle().install_app("acme");
    github.server.handle().set_clock_ahead(-120_000);
    refuses(github.app_daemon(&place), &["this machine's clock is 12", "s ahead of GitHub's: set it"]);
}

#[test]
fn good_credentials_are_told_and_one_owner_that_refuses_does_not_stop_the_others() {
    let (place, github) = (Place::new(), GitHub::open());
    github.server.handle().uninstall_app("mona");
    let owners = "{ acme = { repositories = [\"web\"] }, mona = { repositories = [\"site\"] } }";
    let mut command = github.app_daemon(&place);
    command.env("SELF_RUNNERS_OWNERS", owners);
    let daemon = Daemon::start_as(command);
    until("a look at both owners", || (github.server.handle().app_tokens_made() > 0).then_some(()));
    assert_eq!(daemon.call("GET", "/readyz", &[], b"").0, 200);
    let log = daemon.end_when(&["the other owners are served"]);
    assert!(log.contains("GitHub accepts the credentials") && log.contains("not installed on mona"), "{log}");
    assert!(!log.contains("ghs_") && !log.contains("PRIVATE"), "{log}");
}

#[test]
fn while_github_is_away_the_daemon_goes_on() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let log = daemon.end_when(&["the credentials cannot be looked at now: GitHub cannot be reached at 127.0.0.1"]);
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
fn half_an_app_and_an_app_beside_a_token_are_refused_before_anything_starts() {
    let place = Place::new();
    let mut command = place.serve();
    ran(command.env("GITHUB_APP_ID", "7").output().unwrap()).failed(2, &["github.private_key_file: missing"]);
    let mut command = place.serve();
    command.env("GITHUB_APP_ID", "7").env("GITHUB_APP_PRIVATE_KEY", APP_KEY_PEM);
    ran(command.output().unwrap()).failed(2, &["a GitHub App and a token are given: keep one"]);
    let key = place.path("key.pem");
    fs::write(&key, APP_KEY_PEM.replace("RSA PRIVATE", "PUBLIC")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = place.serve();
    command.env("GITHUB_TOKEN", "").env("GITHUB_APP_ID", "7").env("SELF_RUNNERS_GITHUB_PRIVATE_KEY_FILE", &key);
    ran(command.output().unwrap()).failed(2, &["private_key_file", "no private key in PEM", "the .pem file"]);
}
