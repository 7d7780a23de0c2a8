//! The real client against the simulated GitHub over HTTP: Apps, what they may, webhooks that failed, polling.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use controller::ports::{Clock, ErrorKind, GitHub, JitRequest, PortError, Secret};
use fleet::{
    class::Pool,
    decide::Moment,
    event::Event,
    ids::{Repo, RunId, Scope},
    labels::LabelSet,
    rota::{How, RUNS_PER_LISTING},
};
use github::{App, AppKey, AppTokens, Client, HookSet, Settings, StaticToken, TokenSource, release::this_platform};
use sim::{
    http::{APP_KEY_PEM, Options, Server, serve, world::now_ms},
    hub::{
        Hub,
        model::{NewJob, OwnerKind},
    },
};

const TOKEN: &str = "ghp_test";
const APP_ID: &str = "15368";

/// A key that is nobody's App's.
const OTHER_KEY_PEM: &str = include_str!("other_key.pem");

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(20);

struct Wall;

impl Clock for Wall {
    fn moment(&self) -> Moment {
        Moment { now_ms: now_ms(), nonce: 0 }
    }
}

fn repo() -> Repo {
    Repo::parse("acme/web").unwrap()
}

fn org() -> Scope {
    Scope::Org("acme".into())
}

async fn github() -> Server {
    let mut hub = Hub::new(7);
    hub.add_repo(&repo(), false);
    hub.add_repo(&Repo::parse("acme/api").unwrap(), false);
    hub.add_owner("mona", OwnerKind::User);
    hub.add_repo(&Repo::parse("mona/site").unwrap(), false);
    serve(hub, Options::new(TOKEN, "secret")).await.unwrap()
}

fn settings(server: &Server) -> Settings {
    let url = server.url().to_owned();
    Settings { base_url: url.clone(), releases_url: Some(url), ..Settings::default() }
}

fn app_tokens(server: &Server, pem: &str, id: &str) -> AppTokens {
    let app = App { id: id.into(), key: AppKey::from_pem(pem).unwrap() };
    AppTokens::new(app, &settings(server), Arc::new(Wall)).unwrap()
}

fn app_client(server: &Server) -> Client {
    client(server, app_tokens(server, APP_KEY_PEM, APP_ID))
}

fn client(server: &Server, tokens: impl TokenSource + 'static) -> Client {
    Client::new(settings(server), Arc::new(tokens), Arc::new(Wall)).unwrap()
}

fn denied(error: &PortError, words: &str) {
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.message.contains(words), "`{words}` is not in: {error}");
}

#[tokio::test]
async fn an_app_serves_many_owners_each_with_a_token_of_its_own() {
    let server = github().await;
    let client = app_client(&server);
    let names = |repos: Vec<Repo>| repos.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(client.repositories("acme").await.unwrap()), ["acme/api", "acme/web"]);
    assert_eq!(names(client.repositories("mona").await.unwrap()), ["mona/site"]);
    for scope in [org(), Scope::Repo(repo()), Scope::Repo(Repo::parse("mona/site").unwrap())] {
        let pool = Pool::new(&"default".into(), &scope, &LabelSet::parse(["linux"]).unwrap());
        let made = client.jit_config(&JitRequest { name: "sr-1-1".into(), pool, group: None }).await.unwrap();
        assert_eq!(client.runners(&scope).await.unwrap().len(), 1);
        client.delete_runner(&scope, made.id).await.unwrap();
    }
    assert_eq!(server.handle().app_tokens_made(), 2);
}

#[tokio::test]
async fn an_owner_without_the_app_is_told_where_to_install_it_and_the_others_go_on() {
    let server = github().await;
    let client = app_client(&server);
    server.handle().uninstall_app("mona");
    denied(&client.repositories("mona").await.unwrap_err(), "not installed on mona: install it at http://127.0.0.1:");
    assert!(client.runners(&org()).await.is_ok());
    server.handle().install_app("mona");
    assert_eq!(client.repositories("mona").await.unwrap().len(), 1);
    // Taken away and given back while a token is kept: it is refused, and the installation is another one.
    server.handle().uninstall_app("mona");
    denied(&client.repositories("mona").await.unwrap_err(), "not installed on mona");
    server.handle().install_app("mona");
    assert_eq!(client.repositories("mona").await.unwrap().len(), 1);
}

#[tokio::test]
async fn tokens_that_were_revoked_are_made_again() {
    let server = github().await;
    let client = app_client(&server);
    assert!(client.runners(&org()).await.is_ok());
    server.handle().revoke_app_tokens();
    assert!(client.runners(&org()).await.is_ok());
    assert_eq!(server.handle().app_tokens_made(), 2);
}

#[tokio::test]
async fn a_wrong_key_a_wrong_id_and_a_wrong_clock_are_told_apart() {
    let server = github().await;
    let wrong = client(&server, app_tokens(&server, OTHER_KEY_PEM, APP_ID));
    denied(&wrong.runners(&org()).await.unwrap_err(), "`app_id` and the private key do not belong together");
    let unknown = client(&server, app_tokens(&server, APP_KEY_PEM, "1"));
    denied(&unknown.runners(&org()).await.unwrap_err(), "there is no GitHub App of this id");
    let client = app_client(&server);
    server.handle().set_clock_ahead(-120_000);
    denied(&client.runners(&org()).await.unwrap_err(), "clock is 120 s ahead of GitHub's: set it");
    server.handle().set_clock_ahead(700_000);
    denied(&client.runners(&org()).await.unwrap_err(), " s behind GitHub's: set it");
    // Two minutes behind is still within what its word is good for.
    server.handle().set_clock_ahead(120_000);
    assert!(client.runners(&org()).await.is_ok());
}

#[tokio::test]
async fn the_apps_own_webhook_is_asked_about_failures_and_each_scope_gets_its_own() {
    let server = github().await;
    let handle = server.handle();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/webhook", nobody.local_addr().unwrap());
    drop(nobody);
    for name in ["acme/web", "acme/api", "mona/site"] {
        let job = NewJob::new(&Repo::parse(name).unwrap(), "build", &["linux"]);
        handle.with(|hub, now_ms| hub.submit(now_ms, job));
    }
    handle.send_webhooks_to(&url);
    let all_failed = |hub: &Hub| hub.kept_deliveries().filter(|record| record.is_failed()).count() == 3;
    tokio::time::timeout(DEADLINE, handle.until(all_failed)).await.unwrap(); // deadline
    let hooked = Settings { hook_url: Some(url), ..settings(&server) };
    let tokens = Arc::new(app_tokens(&server, APP_KEY_PEM, APP_ID));
    let client = Client::new(hooked, tokens.clone(), Arc::new(Wall)).unwrap();
    let count = async |scope: &Scope| client.failed_deliveries(scope, 0).await.unwrap().len();
    assert_eq!(count(&org()).await, 2);
    assert_eq!(count(&Scope::Repo(repo())).await, 1);
    let site = Scope::Repo(Repo::parse("mona/site").unwrap());
    assert_eq!(count(&site).await, 1);
    let id = client.failed_deliveries(&site, 0).await.unwrap()[0].id;
    let sent = handle.look(|hub| hub.kept_deliveries().count());
    client.redeliver(&site, id).await.unwrap();
    assert_eq!(handle.look(|hub| hub.kept_deliveries().count()), sent + 1);
    // A webhook of the App's that points elsewhere is not ours.
    let elsewhere = Settings { hook_url: Some("https://elsewhere.test/".into()), ..settings(&server) };
    let client = Client::new(elsewhere, tokens, Arc::new(Wall)).unwrap();
    let none = client.failed_deliveries(&org(), 0).await.unwrap_err();
    assert!(none.message.contains("no webhook of acme points at https://elsewhere.test/"), "{none}");
}

#[tokio::test]
async fn polling_what_did_not_change_costs_no_rate_limit() {
    for as_app in [false, true] {
        let server = github().await;
        let client = if as_app { app_client(&server) } else { client(&server, StaticToken::new(TOKEN)) };
        let submit = |name: &str| {
            server.handle().with(|hub, now_ms| hub.submit(now_ms, NewJob::new(&repo(), name, &["linux"])));
        };
        let used = || server.handle().with(|hub, now_ms| hub.rate(now_ms).used);
        submit("build");
        assert_eq!(client.open_jobs(&repo()).await.unwrap().len(), 1);
        let before = used();
        // Four listings of runs and one of jobs, each answered with 304.
        assert_eq!((client.open_jobs(&repo()).await.unwrap().len(), used()), (1, before));
        submit("test");
        assert_eq!(client.open_jobs(&repo()).await.unwrap().len(), 2);
        // The queued runs, and the jobs of the new one.
        assert_eq!(used(), before + 2);
    }
}

#[tokio::test]
async fn of_hundreds_of_open_runs_each_look_reads_the_next() {
    let server = github().await;
    let client = client(&server, StaticToken::new(TOKEN));
    server.handle().with(|hub, now_ms| {
        for i in 0..RUNS_PER_LISTING + 30 {
            hub.submit(now_ms, NewJob::new(&repo(), &format!("build-{i}"), &["linux"]));
        }
    });
    let mut found = BTreeSet::new();
    for _ in 0..2 {
        let look = client.look(&repo(), How::List).await.unwrap();
        assert_eq!((look.unread.len(), look.open), (30, true));
        let jobs = look.jobs.unwrap();
        assert_eq!(jobs.len(), RUNS_PER_LISTING);
        let runs = jobs.iter().map(|event| if let Event::Job { facts, .. } = event { facts.run_id } else { RunId(0) });
        let runs: BTreeSet<RunId> = runs.collect();
        assert!(runs.is_disjoint(&look.unread));
        found.extend(runs);
    }
    assert_eq!(found.len(), RUNS_PER_LISTING + 30);
}

#[tokio::test]
async fn tokens_groups_and_the_runner_program_are_told() {
    let server = github().await;
    let client = app_client(&server);
    for scope in [org(), Scope::Repo(repo())] {
        assert!(client.registration_token(&scope).await.unwrap().expires_ms > now_ms());
        let token = client.remove_token(&scope).await.unwrap();
        assert!(!format!("{token:?}").contains(token.token.expose()), "{token:?}");
        let program = client.expected_runner(&scope, this_platform()).await.unwrap();
        assert!(program.file.contains(&program.version) && client.release("acme", None).await.is_ok());
        let deprecation = client.deprecation(&scope, &program.version).await.unwrap().unwrap();
        assert_eq!(deprecation.runtime_ms, None);
    }
    let groups = client.runner_groups("acme", Some(&repo())).await.unwrap();
    assert!(groups.len() == 1 && groups[0].default && groups[0].name == "Default");
    assert!(client.hook_addresses("acme").await.unwrap().contains(&"127.0.0.0/8".to_owned()));
}

#[tokio::test]
async fn a_look_at_the_credentials_finds_what_would_fail_later() {
    let server = github().await;
    let plain = client(&server, StaticToken::new(TOKEN));
    for (owner, organization) in [("acme", true), ("acme", false), ("mona", false)] {
        for client in [&plain, &app_client(&server)] {
            let found = client.check(owner, organization, None).await.unwrap();
            assert_eq!(found, github::Checked::default(), "{owner}");
        }
    }
    denied(
        &client(&server, StaticToken::new("ghp_old")).check("acme", true, None).await.unwrap_err(),
        "give a new one",
    );
    let gone = Repo::parse("acme/gone").unwrap();
    denied(
        &plain.check("acme", false, Some(&gone)).await.unwrap_err(),
        "it does not exist, or the token may not see it",
    );
    server.handle().set_clock_ahead(-90_000);
    let doubts = plain.check("acme", true, None).await.unwrap().doubts;
    assert!(doubts.len() == 1 && doubts[0].contains("s ahead of GitHub's"), "{doubts:?}");
    server.handle().set_clock_ahead(0);
    server.handle().forbid("organization_self_hosted_runners");
    let refused = plain.check("acme", true, None).await.unwrap_err();
    denied(&refused, "GitHub wants `organization_self_hosted_runners=read`");
    server.handle().forbid("actions");
    let lacking = app_client(&server).check("acme", true, None).await.unwrap().missing;
    let words = "`Self-hosted runners: write` (no access) and `Actions: read` (no access) on acme";
    assert!(lacking.len() == 1 && lacking[0].contains(words), "{lacking:?}");
}

#[tokio::test]
async fn a_webhook_is_made_mended_and_looked_at() {
    let server = github().await;
    let settings = Settings { hook_url: Some("http://127.0.0.1:9/webhook".into()), ..settings(&server) };
    let with_token = Client::new(settings.clone(), Arc::new(StaticToken::new(TOKEN)), Arc::new(Wall)).unwrap();
    let app = Arc::new(app_tokens(&server, APP_KEY_PEM, APP_ID));
    let secret = Secret::new("a-secret-of-the-hook");
    let web = Scope::Repo(repo());

    assert_eq!(with_token.hook_state(&web).await.unwrap(), None);
    assert_eq!(with_token.set_hook(&web, &secret).await.unwrap(), HookSet::Made);
    let state = with_token.hook_state(&web).await.unwrap().unwrap();
    assert_eq!((state.of_app, state.active, state.hears_jobs, state.verifies), (false, true, true, true));
    assert_eq!(with_token.set_hook(&web, &secret).await.unwrap(), HookSet::Mended);
    server.handle().with(|hub, now_ms| hub.submit(now_ms, NewJob::new(&repo(), "build", &["linux"])));
    let failed = |hub: &Hub| hub.kept_deliveries().any(|record| record.is_failed());
    tokio::time::timeout(DEADLINE, server.handle().until(failed)).await.unwrap(); // deadline
    assert_eq!(with_token.hook_state(&web).await.unwrap().unwrap().deliveries[0].1, 0);

    let settings = Settings { hook_url: Some("http://127.0.0.1:9/other".into()), ..settings };
    let as_app = Client::new(settings, app, Arc::new(Wall)).unwrap();
    assert_eq!(as_app.set_hook(&org(), &secret).await.unwrap(), HookSet::Mended);
    assert!(as_app.hook_state(&org()).await.unwrap().unwrap().of_app);

    server.handle().forbid("repository_hooks");
    denied(&with_token.set_hook(&web, &secret).await.unwrap_err(), "Webhooks: write");
}
