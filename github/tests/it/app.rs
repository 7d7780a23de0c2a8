//! A GitHub App's tokens: made once an owner, kept until shortly before they expire, each owner for itself.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use controller::ports::{Clock, ErrorKind, GitHub, PortError, PortResult};
use fleet::{
    decide::Moment,
    ids::{RegistrationId, Scope},
};
use github::{App, AppKey, AppTokens, Client, KeySource, TokenSource, app::KeyError};
use serde_json::{Value, json};
use sim::http::APP_KEY_PEM;
use tokio::sync::Barrier;

use super::server::{NOW_MS, Reply, Server, http_date, reply};

const ORG: &str = "apps/get-org-installation";
const USER: &str = "apps/get-user-installation";
const MINT: &str = "apps/create-installation-access-token";
const APP: &str = "apps/get-authenticated";
const READ: &str = "actions/get-self-hosted-runner-for-org";

/// A clock that the test sets.
#[derive(Debug)]
struct Set(AtomicU64);

impl Set {
    fn at(now_ms: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(now_ms)))
    }

    fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for Set {
    fn moment(&self) -> Moment {
        Moment { now_ms: self.0.load(Ordering::Relaxed), nonce: 0 }
    }
}

fn tokens(server: &Server, clock: Arc<Set>) -> AppTokens {
    let app = App { id: "4711".into(), key: AppKey::from_pem(APP_KEY_PEM).unwrap() };
    AppTokens::new(app, &server.settings(), clock).unwrap()
}

fn client(server: &Server, clock: Arc<Set>) -> Client {
    let tokens = tokens(server, clock.clone());
    Client::new(server.settings(), Arc::new(tokens), clock).unwrap()
}

fn installed(id: u64) -> Value {
    json!({"id": id, "app_id": 4711, "html_url": format!("https://github.com/settings/installations/{id}"),
           "permissions": {"metadata": "read", "administration": "write"}, "suspended_at": null})
}

fn minted(token: &str) -> Reply {
    let expires = "2023-11-14T23:13:20Z"; // NOW_MS + 1 h
    reply(MINT, 201, &json!({"token": token, "expires_at": expires, "permissions": {}}))
}

fn says(message: &str) -> Value {
    json!({"message": message})
}

fn runner() -> Reply {
    reply(READ, 200, &json!({"id": 1, "name": "n", "status": "online", "busy": false}))
}

async fn read(client: &Client, owner: &str) -> Result<(), PortError> {
    client.runner(&Scope::Org(owner.into()), RegistrationId(1)).await.map(drop)
}

#[tokio::test]
async fn a_token_is_made_once_an_owner_and_kept_until_shortly_before_it_expires() {
    let answers = [
        reply(ORG, 200, &installed(7)),
        minted("ghs_a"),
        runner(),
        runner(),
        reply(ORG, 404, &says("Not Found")),
        reply(USER, 200, &installed(8)),
        minted("ghs_b"),
        runner(),
        // 54 minutes later it is good, 56 minutes later no longer. Its installation is known.
        runner(),
        minted("ghs_c"),
        runner(),
    ];
    let server = Server::start(answers).await;
    let clock = Set::at(NOW_MS);
    let client = client(&server, clock.clone());
    for owner in ["acme", "Acme", "anna"] {
        read(&client, owner).await.unwrap();
    }
    clock.pass(54 * 60_000);
    read(&client, "acme").await.unwrap();
    clock.pass(2 * 60_000);
    read(&client, "acme").await.unwrap();
    let seen = server.finish();
    assert_eq!(seen[1].path, "/app/installations/7/access_tokens");
    assert_eq!(seen[5].path, "/users/anna/installation");
    let used = |index: usize| seen[index].headers["authorization"].to_str().unwrap().to_owned();
    assert_eq!(
        [2, 3, 7, 8, 10].map(used),
        ["ghs_a", "ghs_a", "ghs_b", "ghs_a", "ghs_c"].map(|t| format!("Bearer {t}"))
    );
    assert_eq!(used(1).split('.').count(), 3, "the App's own word");
}

#[tokio::test]
async fn many_that_ask_at_once_cost_one_token() {
    let server = Server::start([reply(ORG, 200, &installed(7)), minted("ghs_a")]).await;
    let tokens = Arc::new(tokens(&server, Set::at(NOW_MS)));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let tokens = tokens.clone();
        asking.spawn(async move { tokens.token("acme").await.unwrap() });
    }
    let all = asking.join_all().await;
    assert!(all.len() == 50 && all.iter().all(|token| token.expose() == "ghs_a"));
    assert_eq!(server.finish().len(), 2);
}

#[tokio::test]
async fn a_failure_is_shared_with_those_who_waited_for_it_and_never_kept() {
    let answers =
        [reply(ORG, 502, &Value::Null), reply(ORG, 502, &Value::Null), reply(ORG, 200, &installed(7)), minted("ghs_a")];
    let server = Server::start(answers).await;
    let tokens = Arc::new(tokens(&server, Set::at(NOW_MS)));
    let (one, two, three) = tokio::join!(tokens.token("acme"), tokens.token("acme"), tokens.token("acme"));
    for failed in [one, two, three] {
        assert_eq!(failed.unwrap_err().kind, ErrorKind::Retry);
    }
    // The next ones ask again at once, and what fails for one does not last.
    assert_eq!(tokens.token("acme").await.unwrap_err().kind, ErrorKind::Retry);
    assert_eq!(tokens.token("acme").await.unwrap().expose(), "ghs_a");
    server.finish();
}

#[tokio::test]
async fn whoever_is_cut_off_leaves_his_turn_to_the_next() {
    let answers = [reply(ORG, 200, &Value::Null).silent(), reply(ORG, 200, &installed(7)), minted("ghs_a")];
    let server = Server::start(answers).await;
    let tokens = Arc::new(tokens(&server, Set::at(NOW_MS)));
    let first = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token("acme").await.map(drop) }
    });
    while server.seen() == 0 {
        tokio::task::yield_now().await;
    }
    let second = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token("acme").await.unwrap() }
    });
    first.abort();
    assert_eq!(second.await.unwrap().expose(), "ghs_a");
    server.finish();
}

#[tokio::test]
async fn one_owners_failure_is_nobody_elses() {
    let app = json!({"id": 4711, "slug": "runners", "html_url": "https://github.com/apps/runners"});
    let none = || [reply(ORG, 404, &says("Not Found")), reply(USER, 404, &says("Not Found"))];
    let mut answers: Vec<Reply> = vec![reply(ORG, 200, &installed(7)), minted("ghs_a"), runner()];
    answers.extend(none());
    answers.extend([reply(APP, 200, &app), runner()]);
    answers.extend(none());
    answers.push(reply(APP, 500, &Value::Null));
    let server = Server::start(answers).await;
    let client = client(&server, Set::at(NOW_MS));
    read(&client, "acme").await.unwrap();
    let error = read(&client, "bert").await.unwrap_err();
    // "Not found" would end bert's jobs as gone.
    assert_eq!(error.kind, ErrorKind::Denied);
    let words =
        "GitHub App 4711 is not installed on bert: install it at https://github.com/apps/runners/installations/new";
    assert!(error.message.contains(words), "{error}");
    read(&client, "acme").await.unwrap();
    let error = read(&client, "bert").await.unwrap_err();
    assert!(error.message.contains("the App's page, `Install App`"), "{error}");
    server.finish();
}

#[tokio::test]
async fn a_refused_token_is_made_again_once_for_all_who_were_refused() {
    let bad = || reply(READ, 401, &says("Bad credentials"));
    let answers = [
        reply(ORG, 200, &installed(7)),
        minted("ghs_a"),
        bad(),
        minted("ghs_b"),
        runner(),
        bad(),
        minted("ghs_c"),
        bad(),
    ];
    let server = Server::start(answers).await;
    let clock = Set::at(NOW_MS);
    let tokens = Arc::new(tokens(&server, clock.clone()));
    let client = Client::new(server.settings(), tokens.clone(), clock).unwrap();
    let old = tokens.token("acme").await.unwrap();
    read(&client, "acme").await.unwrap();
    // Whoever was refused with the old one too gets the new one without asking.
    assert_eq!(tokens.renew("acme", &old).await.unwrap().unwrap().expose(), "ghs_b");
    let error = read(&client, "acme").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(!format!("{error:?}").contains("ghs_"), "{error:?}");
    server.finish();
}

#[tokio::test]
async fn an_app_that_was_installed_anew_is_found_again() {
    let answers = [
        reply(ORG, 200, &installed(7)),
        minted("ghs_a"),
        reply(MINT, 404, &says("Not Found")),
        reply(ORG, 200, &installed(9)),
        minted("ghs_b"),
    ];
    let server = Server::start(answers).await;
    let clock = Set::at(NOW_MS);
    let tokens = tokens(&server, clock.clone());
    tokens.token("acme").await.unwrap();
    clock.pass(60 * 60_000);
    assert_eq!(tokens.token("acme").await.unwrap().expose(), "ghs_b");
    assert_eq!(server.finish()[4].path, "/app/installations/9/access_tokens");
}

#[tokio::test]
async fn an_installation_tells_what_it_may_and_a_suspended_one_is_named() {
    let mut suspended = installed(8);
    suspended["suspended_at"] = json!("2026-11-23T10:00:00Z");
    let answers = [reply(ORG, 200, &installed(7)), minted("ghs_a"), reply(ORG, 200, &suspended)];
    let server = Server::start(answers).await;
    let tokens = tokens(&server, Set::at(NOW_MS));
    let installation = tokens.installation("acme").await.unwrap().unwrap();
    assert_eq!((installation.id, installation.permissions["administration"].as_str()), (7, "write"));
    let error = tokens.installation("bert").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("suspended") && error.message.contains("/settings/installations/8"), "{error}");
    server.finish();
}

#[tokio::test]
async fn what_is_wrong_with_the_apps_word_is_told() {
    let times = "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued";
    let date = |ahead_s: i64| http_date(NOW_MS.saturating_add_signed(-ahead_s * 1_000));
    let cases = [
        (reply(ORG, 401, &says("A JSON web token could not be decoded")), "do not belong together"),
        (reply(ORG, 401, &says(times)), "clock is not GitHub's"),
        (reply(ORG, 401, &says(times)).header("date", date(120)), "clock is 120 s ahead of GitHub's"),
        (reply(ORG, 401, &says(times)).header("date", date(-700)), "clock is 700 s behind GitHub's"),
        (reply(ORG, 404, &says("Integration not found")), "no GitHub App of this id"),
    ];
    for (answer, words) in cases {
        let server = Server::start([answer]).await;
        let error = read(&client(&server, Set::at(NOW_MS)), "acme").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(error.message.contains(words), "{words}: {error}");
        server.finish();
    }
}

#[tokio::test]
async fn clocks_apart_do_not_change_how_long_a_token_is_kept() {
    // Ours is two minutes behind: GitHub's "in an hour" is in 62 minutes for us, but it is good for an hour only.
    let behind = 120_000;
    let answers = [
        reply(ORG, 200, &installed(7)),
        minted("ghs_a").header("date", http_date(NOW_MS)),
        minted("ghs_b").header("date", http_date(NOW_MS)),
    ];
    let server = Server::start(answers).await;
    let clock = Set::at(NOW_MS - behind);
    let tokens = tokens(&server, clock.clone());
    tokens.token("acme").await.unwrap();
    clock.pass(54 * 60_000);
    assert_eq!(tokens.token("acme").await.unwrap().expose(), "ghs_a");
    clock.pass(90_000);
    assert_eq!(tokens.token("acme").await.unwrap().expose(), "ghs_b");
    server.finish();
}

#[tokio::test]
async fn both_forms_of_a_key_sign_alike_and_others_are_refused_with_a_reason() {
    let pkcs8 = include_str!("app_key.pkcs8.pem");
    let one_line = APP_KEY_PEM.trim().replace('\n', "\\n");
    let mut words = Vec::new();
    for text in [APP_KEY_PEM, pkcs8, &one_line] {
        let server = Server::start([]).await;
        let app = App { id: "4711".into(), key: AppKey::from_pem(text).unwrap() };
        let tokens = AppTokens::new(app, &server.settings(), Set::at(NOW_MS)).unwrap();
        assert!(!format!("{tokens:?}").contains("BEGIN"));
        words.push(tokens.app().await.unwrap().unwrap().expose().to_owned());
    }
    assert!(words[0] == words[1] && words[1] == words[2]);
    let refused = |text: &str| AppKey::from_pem(text).map(drop).unwrap_err();
    assert_eq!(refused(""), KeyError::NoKey);
    assert_eq!(refused("ghp_token"), KeyError::NoKey);
    assert_eq!(refused(&APP_KEY_PEM.replace("RSA PRIVATE", "PUBLIC")), KeyError::NoKey);
    assert_eq!(
        refused("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"),
        KeyError::Encrypted
    );
    assert_eq!(refused(&APP_KEY_PEM.replacen("MII", "MIJ", 1)), KeyError::NoRsa);
}

/// Another key, until it was read.
struct Changed(AtomicU64);

#[async_trait]
impl KeySource for Changed {
    async fn changed(&self) -> PortResult<Option<AppKey>> {
        let read = self.0.fetch_add(1, Ordering::Relaxed);
        Ok((read == 0).then(|| AppKey::from_pem(APP_KEY_PEM).unwrap()))
    }
}

#[tokio::test]
async fn a_key_is_read_again_when_github_does_not_take_what_it_signed() {
    let bad = || says("A JSON web token could not be decoded");
    let answers = [
        reply(ORG, 401, &bad()),
        reply(ORG, 200, &installed(7)),
        minted("ghs_a"),
        // Where there is no other key, that is said.
        reply(ORG, 401, &bad()),
    ];
    let server = Server::start(answers).await;
    let keys = Arc::new(Changed(AtomicU64::new(0)));
    let tokens = tokens(&server, Set::at(NOW_MS)).with_keys(keys.clone());
    assert_eq!(tokens.token("acme").await.unwrap().expose(), "ghs_a");
    assert_eq!(tokens.token("globex").await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(tokens.renew_app().await.unwrap(), None);
    assert_eq!(keys.0.load(Ordering::Relaxed), 3);
    assert_eq!(server.finish().len(), 4);
}

/// The same, asked for by two who have both been refused.
struct Met(Changed, Barrier);

#[async_trait]
impl KeySource for Met {
    async fn changed(&self) -> PortResult<Option<AppKey>> {
        self.1.wait().await;
        self.0.changed().await
    }
}

/// One reads the key, the other finds it.
#[tokio::test]
async fn whoever_is_refused_meanwhile_takes_the_key_that_somebody_else_read() {
    let bad = || reply(ORG, 401, &says("A JSON web token could not be decoded"));
    let answers = [bad(), bad(), reply(ORG, 200, &installed(7)), reply(ORG, 200, &installed(8))];
    let server = Server::start(answers.into_iter().chain([minted("ghs_a"), minted("ghs_b")])).await;
    let tokens = tokens(&server, Set::at(NOW_MS)).with_keys(Arc::new(Met(Changed(AtomicU64::new(0)), Barrier::new(2))));
    let (one, other) = tokio::join!(tokens.token("acme"), tokens.token("globex"));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    assert_eq!(server.finish().len(), 6);
}

#[tokio::test]
async fn a_plain_token_is_no_apps() {
    let server = Server::start([]).await;
    let plain = github::StaticToken::new("ghp_a");
    assert_eq!(plain.app().await.unwrap(), None);
    assert_eq!(plain.installation("acme").await.unwrap(), None);
    server.finish();
}
