//! The runner program: which is expected, where it is, and that its sums must agree wherever they are published.

use controller::ports::{ErrorKind, PortResult};
use fleet::ids::{Repo, Scope};
use github::release::{Deprecation, RunnerProgram};
use serde_json::{Value, json};

use super::server::{Server, reply};

const DOWNLOADS: &str = "actions/list-runner-applications-for-org";
const REPO_DOWNLOADS: &str = "actions/list-runner-applications-for-repo";
const TAGGED: &str = "repos/get-release-by-tag";
const LATEST: &str = "repos/get-latest-release";
const DEPRECATION: &str = "actions/runner-deprecation-for-org";

const FILE: &str = "actions-runner-linux-x64-2.337.0.tar.gz";

fn org() -> Scope {
    Scope::Org("acme".into())
}

fn sum(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn downloads(sum: Option<String>) -> Value {
    json!([
        {"os": "osx", "architecture": "x64", "download_url": "https://a.test/osx",
         "filename": "actions-runner-osx-x64-2.337.0.tar.gz"},
        {"os": "linux", "architecture": "x64", "download_url": "https://a.test/runner", "filename": FILE,
         "temp_download_token": "", "sha256_checksum": sum},
    ])
}

fn release(text_sum: &str, digest: Value) -> Value {
    json!({
        "tag_name": "v2.337.0", "draft": false, "prerelease": false,
        "body": format!("- {FILE} <!-- BEGIN SHA linux-x64 -->{text_sum}<!-- END SHA linux-x64 -->\n"),
        "assets": [
            {"name": "actions-runner-win-x64-2.337.0.zip", "browser_download_url": "https://a.test/win"},
            {"name": FILE, "size": 226_000_000, "browser_download_url": "https://a.test/asset", "digest": digest},
        ],
    })
}

/// What is to be fetched, if the sums are published like this.
async fn expected(listed: Option<String>, release: &Value) -> PortResult<RunnerProgram> {
    let server = Server::start([reply(DOWNLOADS, 200, &downloads(listed)), reply(TAGGED, 200, release)]).await;
    let program = server.client().expected_runner(&org(), "linux-x64").await;
    assert_eq!(server.finish()[1].path, "/repos/actions/runner/releases/tags/v2.337.0");
    program
}

#[tokio::test]
async fn the_expected_program_comes_with_the_sum_that_all_agree_on() {
    let agreed = release(&sum('A'), json!(format!("sha256:{}", sum('a'))));
    for listed in [None, Some(sum('a'))] {
        let program = expected(listed, &agreed).await.unwrap();
        assert_eq!((program.version.as_str(), program.file.as_str()), ("2.337.0", FILE));
        assert_eq!((program.url.as_str(), program.sum.to_string()), ("https://a.test/runner", sum('a')));
        assert_eq!(program.token, None);
    }
}

#[tokio::test]
async fn a_sum_that_is_missing_or_another_one_stops_it() {
    let digest = |digit| json!(format!("sha256:{}", sum(digit)));
    let cases = [
        (None, release(&sum('b'), digest('a')), "differ"),
        (None, release("", digest('a')), "text has no SHA-256"),
        (None, release(&sum('a'), Value::Null), "no SHA-256 digest"),
        (None, release(&sum('a'), json!("sha512:00")), "no SHA-256 digest"),
        (Some(sum('c')), release(&sum('a'), digest('a')), "another SHA-256 than the release"),
        (None, json!({"tag_name": "v2.337.0", "body": "", "assets": []}), "its release does not have it"),
    ];
    for (listed, release, words) in cases {
        let error = expected(listed, &release).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
        assert!(error.message.contains(words) && error.message.contains("v2.337.0"), "{error}");
    }
}

#[tokio::test]
async fn a_platform_without_a_program_is_named() {
    let server = Server::start([reply(REPO_DOWNLOADS, 200, &downloads(None))]).await;
    let scope = Scope::Repo(Repo::parse("acme/web").unwrap());
    let error = server.client().expected_runner(&scope, "linux-riscv64").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains("linux-riscv64"), "{error}");
    server.finish();
}

#[tokio::test]
async fn the_newest_release_is_read_and_asked_for_again_with_its_etag() {
    let body = release(&sum('a'), json!(format!("sha256:{}", sum('a'))));
    let answers = [reply(LATEST, 200, &body).header("etag", "W/\"1\""), reply(LATEST, 304, &Value::Null)];
    let server = Server::start(answers).await;
    let client = server.client();
    let first = client.release("acme", None).await.unwrap();
    assert_eq!(first.package("linux-x64").unwrap().size_bytes, Some(226_000_000));
    assert_eq!(first.package("win-x64").unwrap().sum_at_asset, None);
    assert_eq!(client.release("acme", None).await.unwrap(), first);
    assert_eq!(server.finish()[1].headers["if-none-match"], "W/\"1\"");
}

#[tokio::test]
async fn a_version_tells_until_when_it_is_good() {
    let answer = |at: Value| json!({"runner_version": "2.329.0", "runtime_deprecates_at": at, "registration_deprecates_at": null});
    let answers = [
        reply(DEPRECATION, 200, &answer(json!("2026-11-23T10:00:00Z"))),
        reply(DEPRECATION, 404, &json!({"message": "Not Found"})),
        reply(DEPRECATION, 200, &answer(json!("soon"))),
    ];
    let server = Server::start(answers).await;
    let client = server.client();
    let told = client.deprecation(&org(), "2.329.0").await.unwrap();
    assert_eq!(told, Some(Deprecation { runtime_ms: Some(1_795_428_000_000), registration_ms: None }));
    // An Enterprise Server that does not know the question.
    assert_eq!(client.deprecation(&org(), "2.329.0").await.unwrap(), None);
    assert_eq!(client.deprecation(&org(), "2.329.0").await.unwrap_err().kind, ErrorKind::Retry);
    assert_eq!(server.finish()[0].path, "/orgs/acme/actions/runners/deprecations/2.329.0");
}

#[tokio::test]
async fn another_servers_releases_are_asked_for_without_our_token() {
    let body = release(&sum('a'), Value::Null);
    let public = Server::start([reply(LATEST, 200, &body).anonymous()]).await;
    let enterprise = Server::start([]).await;
    let mut settings = enterprise.settings();
    settings.releases_url = public.settings().releases_url;
    let client = enterprise.client_with(settings, github::StaticToken::new("secret"));
    assert_eq!(client.release("acme", None).await.unwrap().version, "2.337.0");
    public.finish();
    enterprise.finish();
}

#[tokio::test]
async fn the_addresses_of_webhooks_are_told() {
    let server = Server::start([reply("meta/get", 200, &json!({"hooks": ["192.30.252.0/22"], "web": []}))]).await;
    assert_eq!(server.client().hook_addresses("acme").await.unwrap(), ["192.30.252.0/22"]);
    server.finish();
}
