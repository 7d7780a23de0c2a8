//! Failed deliveries: our webhook found, its pages followed, the right ones picked, delivered again.

use std::collections::BTreeMap;

use controller::ports::{ErrorKind, GitHub};
use fleet::ids::{Repo, Scope};
use github::{Settings, StaticToken};
use serde_json::{Value, json};

use super::server::{Server, TOKEN, reply};

const HOOKS: &str = "repos/list-webhooks";
const LIST: &str = "repos/list-webhook-deliveries";
const AGAIN: &str = "repos/redeliver-webhook-delivery";
const ORG_HOOKS: &str = "orgs/list-webhooks";
const ORG_LIST: &str = "orgs/list-webhook-deliveries";
const ORG_AGAIN: &str = "orgs/redeliver-webhook-delivery";

const SINCE: &str = "2026-11-23T10:00:00Z";
const SINCE_MS: u64 = 1_795_428_000_000;

fn repo() -> Scope {
    Scope::Repo(Repo::parse("acme/web").unwrap())
}

fn org() -> Scope {
    Scope::Org("acme".into())
}

fn hooks() -> Value {
    json!([
        {"id": 1, "config": {"url": "https://elsewhere.test/", "content_type": "json"}},
        {"id": 2, "config": {}},
        {"id": 3, "config": {"url": "https://Hooks.test/github/", "content_type": "json", "secret": "********"}},
    ])
}

fn delivery(id: u64, guid: &str, minute: u32, status_code: u64) -> Value {
    json!({"id": id, "guid": guid, "delivered_at": format!("2026-11-23T10:{minute:02}:00.5Z"), "redelivery": false,
           "duration": 0.3, "status": "x", "status_code": status_code, "event": "workflow_job", "action": "queued",
           "installation_id": null, "repository_id": 1, "throttled_at": null})
}

#[tokio::test]
async fn our_webhook_is_found_by_its_url_once_and_pages_are_followed() {
    let next = "<https://api.github.com/repositories/1/hooks/3/deliveries?per_page=100&cursor=v1_77>; rel=\"next\"";
    let answers = [
        reply(HOOKS, 200, &hooks()),
        reply(LIST, 200, &json!([delivery(9, "mended", 9, 202), delivery(8, "lost", 8, 502)])).header("link", next),
        reply(
            LIST,
            200,
            &json!([delivery(7, "mended", 7, 500), delivery(6, "slow", 6, 0), delivery(5, "bad", 5, 401)]),
        ),
        reply(AGAIN, 202, &json!({})),
    ];
    let server = Server::start(answers).await;
    let client = server.client();
    let failed = client.failed_deliveries(&repo(), SINCE_MS).await.unwrap();
    let found: Vec<_> = failed.iter().map(|one| (one.id, one.guid.as_str(), one.at_ms)).collect();
    assert_eq!(found, [(6, "slow", SINCE_MS + 360_500), (8, "lost", SINCE_MS + 480_500)]);
    client.redeliver(&repo(), 6).await.unwrap();
    let seen = server.finish();
    assert_eq!(seen[1].query, BTreeMap::from([("per_page".into(), "100".into())]));
    assert_eq!(seen[2].query["cursor"], "v1_77");
    assert_eq!(seen[3].path, "/repos/acme/web/hooks/3/deliveries/6/attempts");
}

#[tokio::test]
async fn reading_ends_where_it_is_older_than_asked() {
    let next = "<https://api.github.com/x?cursor=v1_1>; rel=\"next\"";
    let mut old = delivery(1, "old", 0, 500);
    old["delivered_at"] = json!("2026-11-23T09:59:59Z");
    let list = json!([delivery(2, "new", 1, 504), old]);
    let answers = [reply(ORG_HOOKS, 200, &hooks()), reply(ORG_LIST, 200, &list).header("link", next)];
    let server = Server::start(answers).await;
    let failed = server.client().failed_deliveries(&org(), SINCE_MS).await.unwrap();
    assert_eq!(failed.iter().map(|one| one.id).collect::<Vec<_>>(), [2], "{SINCE}");
    server.finish();
}

#[tokio::test]
async fn a_known_id_is_taken_without_looking() {
    let answers = [reply(ORG_LIST, 200, &json!([])), reply(ORG_AGAIN, 202, &json!({}))];
    let server = Server::start(answers).await;
    let settings = Settings { hook_ids: [(org(), 12)].into(), hook_url: None, ..server.settings() };
    let client = server.client_with(settings, StaticToken::new(TOKEN));
    assert_eq!(client.failed_deliveries(&org(), 0).await.unwrap(), []);
    client.redeliver(&org(), 5).await.unwrap();
    let unknown = client.failed_deliveries(&repo(), 0).await.unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::NotFound);
    assert!(unknown.message.contains("give its URL or its id"), "{unknown}");
    assert_eq!(server.finish()[1].path, "/orgs/acme/hooks/12/deliveries/5/attempts");
}

#[tokio::test]
async fn a_webhook_that_was_made_again_is_looked_up_again() {
    let gone = json!({"message": "Not Found"});
    let answers = [
        reply(HOOKS, 200, &hooks()),
        reply(LIST, 404, &gone),
        reply(HOOKS, 200, &json!([])),
        reply(HOOKS, 200, &hooks()),
        reply(LIST, 200, &json!([])),
    ];
    let server = Server::start(answers).await;
    let client = server.client();
    assert_eq!(client.failed_deliveries(&repo(), 0).await.unwrap_err().kind, ErrorKind::NotFound);
    let none = client.failed_deliveries(&repo(), 0).await.unwrap_err();
    assert!(none.message.contains("no webhook of acme/web points at https://hooks.test/github"), "{none}");
    assert_eq!(client.failed_deliveries(&repo(), 0).await.unwrap(), []);
    server.finish();
}
