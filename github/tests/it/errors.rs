//! What each kind of failure becomes: for the caller to branch on, and in words that say what to do and show no secret.

use controller::ports::{ErrorKind, GitHub, JitRequest, PortError};
use fleet::{
    class::Pool,
    ids::{RegistrationId, Scope},
    labels::LabelSet,
};
use github::{Client, Settings, StaticToken};
use serde_json::{Value, json};

use super::server::{NOW_MS, Reply, Server, TOKEN, clock, http_date, reply};

const READ: &str = "actions/get-self-hosted-runner-for-org";
const JIT: &str = "actions/generate-runner-jitconfig-for-org";

fn org() -> Scope {
    Scope::Org("acme".into())
}

async fn read(client: &Client) -> PortError {
    client.runner(&org(), RegistrationId(1)).await.unwrap_err()
}

async fn register(client: &Client) -> PortError {
    let pool = Pool::new(&"default".into(), &org(), &LabelSet::parse(["a"]).unwrap());
    client.jit_config(&JitRequest { name: "n".into(), pool, group: None }).await.unwrap_err()
}

/// The error of one read that is answered like this. Exactly one request is made.
async fn after(reply: Reply) -> PortError {
    let server = Server::start([reply]).await;
    let error = read(&server.client()).await;
    assert_eq!(server.finish().len(), 1);
    error
}

fn says(message: &str) -> Value {
    json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": "x"})
}

#[tokio::test]
async fn a_rate_limit_names_when_to_come_back() {
    let at_ms = |error: &PortError| {
        let ErrorKind::RateLimited { until_ms } = error.kind else { panic!("{error:?}") };
        until_ms
    };
    let reset = NOW_MS / 1_000 + 120;
    let secondary = says("You have exceeded a secondary rate limit.");
    let cases = [
        (reply(READ, 429, &secondary).header("retry-after", 30).header("x-ratelimit-remaining", 0), 30_000),
        (reply(READ, 403, &secondary).header("retry-after", 90), 90_000),
        (reply(READ, 403, &says("x")).header("x-ratelimit-remaining", 0).header("x-ratelimit-reset", reset), 120_000),
        (reply(READ, 403, &secondary).header("x-ratelimit-remaining", 12).header("x-ratelimit-reset", reset), 60_000),
        (reply(READ, 429, &Value::Null), 60_000),
        (reply(READ, 429, &Value::Null).header("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), 60_000),
        // The reset is a time of GitHub's clock, which here is 100 s ahead of ours.
        (
            reply(READ, 429, &Value::Null)
                .header("x-ratelimit-remaining", 0)
                .header("x-ratelimit-reset", reset)
                .header("date", http_date(NOW_MS + 100_000)),
            20_000,
        ),
        // Nonsense: neither at once again nor never.
        (reply(READ, 429, &Value::Null).header("x-ratelimit-remaining", 0).header("x-ratelimit-reset", 5), 1_000),
        (reply(READ, 429, &Value::Null).header("retry-after", u64::MAX), 4_200_000),
    ];
    for (answer, wait_ms) in cases {
        let words = format!("{answer:?}");
        assert_eq!(at_ms(&after(answer).await), NOW_MS + wait_ms, "{words}");
    }
}

#[tokio::test]
async fn each_status_has_its_kind_and_its_advice() {
    let validation =
        json!({"message": "Validation Failed", "errors": [{"message": "labels are wrong"}, "and more", 3]});
    let cases = [
        (401, says("Bad credentials"), ErrorKind::Denied, "\"Bad credentials\""),
        (403, says("Must have admin rights"), ErrorKind::Denied, "Self-hosted runners: write"),
        (403, Value::Null, ErrorKind::Denied, "admin:org"),
        (400, says("Problems parsing JSON"), ErrorKind::Invalid, "Problems parsing JSON"),
        (409, says("Already exists"), ErrorKind::Conflict, "exists already"),
        (422, validation, ErrorKind::Invalid, "Validation Failed; labels are wrong; and more"),
        (301, Value::Null, ErrorKind::Invalid, "renamed or moved"),
        (404, Value::Null, ErrorKind::Retry, "not in GitHub's words"),
        (408, Value::Null, ErrorKind::Retry, "tried again"),
        (500, Value::Null, ErrorKind::Retry, "tried again"),
        (503, says("Service Unavailable"), ErrorKind::Retry, "Service Unavailable"),
        (204, Value::Null, ErrorKind::Retry, "not in GitHub's description"),
    ];
    for (status, body, kind, words) in cases {
        let error = after(reply(READ, status, &body)).await;
        assert_eq!(error.kind, kind, "{status}: {error}");
        assert!(error.message.contains(words) && error.message.contains(READ), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_missing_permission_is_named_in_githubs_words_too() {
    let refused = || reply(READ, 403, &says("Resource not accessible by personal access token"));
    let fine = after(refused().header("x-accepted-github-permissions", "organization_self_hosted_runners=read")).await;
    let ends = "Self-hosted runners: write` on the organisation (classic token: `admin:org`); \
                for this request GitHub wants `organization_self_hosted_runners=read`";
    assert!(fine.kind == ErrorKind::Denied && fine.message.ends_with(ends), "{fine}");
    let classic =
        refused().header("x-accepted-oauth-scopes", "admin:org").header("x-oauth-scopes", "repo, \"workflow`");
    let classic = after(classic).await;
    assert!(classic.message.ends_with("one of the scopes `admin:org`, the token has `repo, workflow`"), "{classic}");
    let sso = after(refused().header("x-github-sso", "required; url=https://github.com/orgs/acme/sso")).await;
    assert!(sso.message.contains("single sign-on") && !sso.message.contains("https://"), "{sso}");
}

#[tokio::test]
async fn a_redirect_never_makes_a_get_of_a_post() {
    let moved =
        |status| reply(JIT, status, &Value::Null).header("location", "/orgs/new/actions/runners/generate-jitconfig");
    let made = json!({"runner": {"id": 5}, "encoded_jit_config": "x"});
    let server = Server::start([moved(301), moved(302), moved(307), reply(JIT, 201, &made)]).await;
    let client = server.client();
    assert_eq!(register(&client).await.kind, ErrorKind::Invalid);
    assert_eq!(register(&client).await.kind, ErrorKind::Invalid);
    let pool = Pool::new(&"default".into(), &org(), &LabelSet::parse(["a"]).unwrap());
    assert_eq!(
        client.jit_config(&JitRequest { name: "n".into(), pool, group: None }).await.unwrap().id,
        RegistrationId(5)
    );
    let seen = server.finish();
    assert_eq!(seen[3].path, "/orgs/new/actions/runners/generate-jitconfig");
    assert_eq!(seen[3].body["name"], "n");
}

#[tokio::test]
async fn a_name_that_exists_is_a_conflict_however_it_is_said() {
    let twice = says("Already exists - A runner with the name 'n' already exists.");
    let server = Server::start([reply(JIT, 409, &twice), reply(JIT, 422, &twice), reply(JIT, 404, &says("Not Found"))]);
    let server = server.await;
    let client = server.client();
    assert_eq!(register(&client).await.kind, ErrorKind::Conflict);
    assert_eq!(register(&client).await.kind, ErrorKind::Conflict);
    let missing = register(&client).await;
    assert_eq!(missing.kind, ErrorKind::NotFound);
    assert!(missing.message.contains("or the token may not see it"), "{missing}");
    server.finish();
}

#[tokio::test]
async fn a_post_without_an_answer_is_made_once() {
    let server = Server::start([reply(JIT, 0, &Value::Null).silent(), reply(JIT, 502, &Value::Null)]).await;
    let settings = Settings { timeout_ms: 100, ..server.settings() };
    let client = server.client_with(settings, StaticToken::new(TOKEN));
    let error = register(&client).await;
    assert_eq!(error.kind, ErrorKind::Retry);
    assert!(error.message.contains("did not answer within 100 ms"), "{error}");
    let client = server.client();
    assert_eq!(register(&client).await.kind, ErrorKind::Retry);
    assert_eq!(server.finish().len(), 2);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_worth_another_try() {
    let settings = Settings { base_url: "http://127.0.0.1:1".into(), ..Settings::default() };
    let server = Server::start([]).await;
    let error = read(&server.client_with(settings, StaticToken::new(TOKEN))).await;
    assert_eq!(error.kind, ErrorKind::Retry);
    assert!(error.message.contains("cannot be reached at 127.0.0.1"), "{error}");
    assert!(error.message.contains("proxy and `api_url`"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_no_json_is_not_taken() {
    let error = after(reply(READ, 200, &Value::Null).raw(vec![b' '; 10 * 1024 * 1024 + 1])).await;
    assert_eq!(error.kind, ErrorKind::Retry);
    assert!(error.message.contains("more than 10485760 bytes"), "{error}");
    let error = after(reply(READ, 200, &Value::Null).raw(b"<html>hunter2".to_vec())).await;
    assert_eq!(error.kind, ErrorKind::Retry);
    assert!(error.message.contains("cannot be read") && !error.message.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_followed_within_github_only() {
    let moved = |to: String| reply(READ, 301, &Value::Null).header("location", to);
    let runner = json!({"id": 1, "name": "n", "status": "online", "busy": false});
    let answers =
        [moved("/orgs/new/actions/runners/1".into()), reply(READ, 200, &runner), moved("https://evil.test/".into())];
    let server = Server::start(answers).await;
    let client = server.client();
    assert!(client.runner(&org(), RegistrationId(1)).await.unwrap().is_some());
    // Nobody else was asked, and a page that some proxy points at is no proof that the runner is gone.
    let elsewhere = read(&client).await;
    assert_eq!(elsewhere.kind, ErrorKind::Invalid);
    assert!(elsewhere.message.contains("to evil.test") && elsewhere.message.contains("`api_url`"), "{elsewhere}");
    assert_eq!(server.finish()[1].path, "/orgs/new/actions/runners/1");
}

#[tokio::test]
async fn nothing_shows_the_token() {
    let echo = says(&format!("unexpected header Authorization: Bearer {TOKEN}"));
    let server = Server::start([reply(READ, 400, &echo)]).await;
    let client = server.client();
    let error = read(&client).await;
    let all = format!("{error} {error:?} {client:?} {:?}", StaticToken::new(TOKEN));
    assert!(!all.contains(TOKEN) && all.contains("***"), "{all}");
    server.finish();
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_once() {
    let server = Server::start([]).await;
    for (url, words) in [
        ("api.github.com", "is no URL"),
        ("http://api.github.com", "must begin with https://"),
        ("http://192.0.2.1", "must begin with https://"),
        ("ftp://127.0.0.1", "must begin with https://"),
    ] {
        let settings = Settings { base_url: url.into(), ..Settings::default() };
        let error = github::Client::new(settings, std::sync::Arc::new(StaticToken::new("t")), clock()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{url}");
        assert!(error.message.contains(words), "{error}");
    }
    for url in ["http://localhost:8080", "http://[::1]:8080/api/v3", "https://ghe.test/api/v3"] {
        let settings = Settings { base_url: url.into(), ..Settings::default() };
        assert!(github::Client::new(settings, std::sync::Arc::new(StaticToken::new("t")), clock()).is_ok(), "{url}");
    }
    let client = server.client_with(Settings::default(), StaticToken::new("line\nbreak"));
    assert_eq!(read(&client).await.kind, ErrorKind::Denied);
}
