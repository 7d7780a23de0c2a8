//! Registrations and repositories: what is sent and how the documented answers are read.

use controller::ports::{ErrorKind, GitHub, JitRequest};
use fleet::{
    class::Pool,
    event::Registration,
    ids::{RegistrationId, Repo, Scope},
    labels::LabelSet,
};
use serde_json::{Value, json};

use super::server::{Rotated, Server, TOKEN, reply};

const JIT_REPO: &str = "actions/generate-runner-jitconfig-for-repo";
const JIT_ORG: &str = "actions/generate-runner-jitconfig-for-org";
const LIST_REPO: &str = "actions/list-self-hosted-runners-for-repo";
const LIST_ORG: &str = "actions/list-self-hosted-runners-for-org";
const READ_ORG: &str = "actions/get-self-hosted-runner-for-org";
const DELETE_REPO: &str = "actions/delete-self-hosted-runner-from-repo";
const GROUPS: &str = "actions/list-self-hosted-runner-groups-for-org";
const ORG_REPOS: &str = "repos/list-for-org";
const OWN_REPOS: &str = "repos/list-for-authenticated-user";
const USER_REPOS: &str = "repos/list-for-user";

fn repo() -> Scope {
    Scope::Repo(Repo::parse("Acme/Web").unwrap())
}

fn org() -> Scope {
    Scope::Org("acme".into())
}

fn request(scope: Scope, group: Option<&str>) -> JitRequest {
    let labels = LabelSet::parse(["self-hosted", "Linux"]).unwrap();
    let pool = Pool::new(&"default".into(), &scope, &labels);
    JitRequest { name: "sr-dev-1-1".into(), pool, group: group.map(Into::into) }
}

/// A runner as the published example shows it.
fn runner(id: usize, status: &str, busy: bool) -> Value {
    json!({"id": id, "name": format!("sr-dev-{id}-1"), "os": "linux", "status": status, "busy": busy,
           "ephemeral": true, "version": "2.337.0", "labels": [{"id": 5, "name": "self-hosted", "type": "read-only"}]})
}

fn made(id: u64) -> Value {
    json!({"runner": {"id": id, "name": "sr-dev-1-1", "os": "unknown", "status": "offline", "busy": false},
           "encoded_jit_config": "abc123"})
}

fn page(total: usize, ids: std::ops::Range<usize>) -> Value {
    let runners: Vec<_> = ids.map(|id| runner(id, "online", false)).collect();
    json!({"total_count": total, "runners": runners})
}

fn not_found() -> Value {
    json!({"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"})
}

#[tokio::test]
async fn a_repository_registers_in_the_default_group() {
    let server = Server::start([reply(JIT_REPO, 201, &made(23))]).await;
    let config = server.client().jit_config(&request(repo(), Some("ignored"))).await.unwrap();
    assert_eq!((config.id, config.encoded.expose()), (RegistrationId(23), "abc123"));
    let seen = server.finish();
    assert_eq!(seen[0].path, "/repos/acme/web/actions/runners/generate-jitconfig");
    assert_eq!(
        seen[0].body,
        json!({"name": "sr-dev-1-1", "runner_group_id": 1, "labels": ["linux", "self-hosted"], "work_folder": "_work"})
    );
    assert_eq!(seen[0].headers["authorization"], format!("Bearer {TOKEN}"));
}

#[tokio::test]
async fn an_organisation_registers_in_the_named_group_looked_up_once() {
    let groups = json!({"total_count": 2, "runner_groups": [{"id": 1, "name": "Default"}, {"id": 7, "name": "Heavy"}]});
    let answers = [
        reply(JIT_ORG, 201, &made(1)),
        reply(GROUPS, 200, &groups),
        reply(JIT_ORG, 201, &made(2)),
        reply(JIT_ORG, 404, &not_found()),
        reply(GROUPS, 200, &groups),
        reply(JIT_ORG, 201, &made(3)),
        reply(GROUPS, 200, &groups),
    ];
    let server = Server::start(answers).await;
    let client = server.client();
    client.jit_config(&request(org(), None)).await.unwrap();
    client.jit_config(&request(org(), Some("heavy"))).await.unwrap();
    // The group was deleted and made again: it is looked up anew after the 404.
    let gone = client.jit_config(&request(org(), Some("heavy"))).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
    client.jit_config(&request(org(), Some("heavy"))).await.unwrap();
    let unknown = client.jit_config(&request(org(), Some("light"))).await.unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::NotFound);
    assert!(unknown.message.contains("no runner group `light`"), "{unknown}");
    let ids: Vec<_> = server.finish().iter().map(|seen| seen.body["runner_group_id"].clone()).collect();
    assert_eq!(ids, [json!(1), Value::Null, json!(7), json!(7), Value::Null, json!(7), Value::Null]);
}

#[tokio::test]
async fn a_long_list_is_read_to_its_end() {
    let answers = [
        reply(LIST_ORG, 200, &page(250, 0..100)),
        reply(LIST_ORG, 200, &page(250, 100..200)),
        reply(LIST_ORG, 200, &page(250, 200..250)),
    ];
    let server = Server::start(answers).await;
    let all = server.client().runners(&org()).await.unwrap();
    assert_eq!(all.len(), 250);
    assert_eq!(
        all[249],
        Registration { id: RegistrationId(249), name: "sr-dev-249-1".into(), online: true, busy: false }
    );
    let pages: Vec<_> =
        server.finish().iter().map(|seen| (seen.query["page"].clone(), seen.query["per_page"].clone())).collect();
    assert_eq!(pages, ["1", "2", "3"].map(|page| (page.to_owned(), "100".to_owned())));
}

#[tokio::test]
async fn a_list_that_changes_while_it_is_read_is_an_error() {
    let answers = [reply(LIST_REPO, 200, &page(150, 0..100)), reply(LIST_REPO, 200, &page(149, 101..150))];
    let server = Server::start(answers).await;
    let error = server.client().runners(&repo()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retry);
    assert!(error.message.contains("changed while it was read"), "{error}");
    server.finish();
}

#[tokio::test]
async fn a_list_with_a_failing_page_is_an_error() {
    let answers = [reply(LIST_REPO, 200, &page(150, 0..100)), reply(LIST_REPO, 502, &Value::Null)];
    let server = Server::start(answers).await;
    assert_eq!(server.client().runners(&repo()).await.unwrap_err().kind, ErrorKind::Retry);
    server.finish();
}

#[tokio::test]
async fn a_runner_is_found_by_its_exact_name_only() {
    let list = json!({"total_count": 2, "runners": [runner(11, "online", true), runner(1, "offline", false)]});
    let none = json!({"total_count": 0, "runners": []});
    let server = Server::start([reply(LIST_REPO, 200, &list), reply(LIST_REPO, 200, &none)]).await;
    let client = server.client();
    let found = client.runner_by_name(&repo(), "SR-dev-1-1").await.unwrap().unwrap();
    assert_eq!((found.id, found.online, found.busy), (RegistrationId(1), false, false));
    assert_eq!(client.runner_by_name(&repo(), "sr-dev-2-1").await.unwrap(), None);
    assert_eq!(server.finish()[1].query["name"], "sr-dev-2-1");
}

#[tokio::test]
async fn a_runner_is_read_by_id_and_may_be_gone() {
    let answers = [reply(READ_ORG, 200, &runner(42, "online", true)), reply(READ_ORG, 404, &not_found())];
    let server = Server::start(answers).await;
    let client = server.client();
    assert!(client.runner(&org(), RegistrationId(42)).await.unwrap().unwrap().busy);
    assert_eq!(client.runner(&org(), RegistrationId(43)).await.unwrap(), None);
    assert_eq!(server.finish()[1].path, "/orgs/acme/actions/runners/43");
}

#[tokio::test]
async fn deleting_what_is_gone_is_fine_and_a_busy_one_conflicts() {
    let busy = json!({"message": "Runner \"sr-dev-1-1\" is still running a job"});
    let answers =
        [reply(DELETE_REPO, 204, &Value::Null), reply(DELETE_REPO, 404, &not_found()), reply(DELETE_REPO, 422, &busy)];
    let server = Server::start(answers).await;
    let client = server.client();
    client.delete_runner(&repo(), RegistrationId(1)).await.unwrap();
    client.delete_runner(&repo(), RegistrationId(2)).await.unwrap();
    let error = client.delete_runner(&repo(), RegistrationId(3)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("still running a job"), "{error}");
    server.finish();
}

#[tokio::test]
async fn an_organisations_repositories_are_listed_without_the_archived() {
    let list = json!([{"full_name": "Acme/Web", "archived": false}, {"full_name": "acme/old", "archived": true}]);
    let server = Server::start([reply(ORG_REPOS, 200, &list)]).await;
    let all = server.client().repositories("acme").await.unwrap();
    assert_eq!(all, [Repo::parse("acme/web").unwrap()]);
    assert_eq!(server.finish()[0].query["type"], "all");
}

#[tokio::test]
async fn an_accounts_repositories_are_its_own_or_else_the_public_ones() {
    let own = json!([{"full_name": "anna/app"}]);
    let answers = [
        reply(ORG_REPOS, 404, &not_found()),
        reply(OWN_REPOS, 200, &own),
        reply(ORG_REPOS, 404, &not_found()),
        reply(OWN_REPOS, 200, &own),
        reply(USER_REPOS, 200, &json!([{"full_name": "bert/lib"}])),
        reply(ORG_REPOS, 404, &not_found()),
        reply(OWN_REPOS, 403, &json!({"message": "Resource not accessible by integration"})),
        reply(USER_REPOS, 200, &json!([])),
    ];
    let server = Server::start(answers).await;
    let client = server.client();
    assert_eq!(client.repositories("Anna").await.unwrap(), [Repo::parse("anna/app").unwrap()]);
    assert_eq!(client.repositories("bert").await.unwrap(), [Repo::parse("bert/lib").unwrap()]);
    assert_eq!(client.repositories("carl").await.unwrap(), []);
    server.finish();
}

#[tokio::test]
async fn an_enterprise_server_is_below_its_path() {
    let server = Server::below("/api/v3", [reply(READ_ORG, 200, &runner(1, "online", false))]).await;
    assert!(server.client().runner(&org(), RegistrationId(1)).await.unwrap().is_some());
    server.finish();
}

#[tokio::test]
async fn a_refused_token_is_read_again_once() {
    let bad = json!({"message": "Bad credentials"});
    let answers = [
        reply(JIT_ORG, 401, &bad),
        reply(JIT_ORG, 201, &made(5)),
        reply(READ_ORG, 401, &bad),
        reply(READ_ORG, 401, &bad),
    ];
    let server = Server::start(answers).await;
    let client = server.client_with(server.settings(), Rotated::default());
    assert_eq!(client.jit_config(&request(org(), None)).await.unwrap().id, RegistrationId(5));
    assert_eq!(client.runner(&org(), RegistrationId(1)).await.unwrap_err().kind, ErrorKind::Denied);
    let tokens: Vec<_> = server.finish().iter().map(|seen| seen.headers["authorization"].clone()).collect();
    assert_eq!(tokens, ["Bearer old", "Bearer new", "Bearer old", "Bearer new"]);
}
