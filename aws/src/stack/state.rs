//! What must be remembered: the table or the cache, and the secrets.
//!
//! All of it goes with the stack. The state of runners and jobs can be found again at GitHub and in the cluster, so there
//! is no copy to restore: one of yesterday would tell of runners that are long gone.

use serde_json::{Value, json};

use super::{
    Stack,
    network::Network,
    policy::{Arn, Statement},
    template::{Id, Resource, Template, sub},
};
use crate::{
    environment::{self, Credential},
    secrets::{API_TOKEN, APP_KEY, SecretKind, WEBHOOK_SECRET},
    settings::State,
};

/// The table's keys, which the store uses.
pub const PARTITION_KEY: &str = "pk";
/// The second one.
pub const SORT_KEY: &str = "sk";
/// Attribute with the second since 1970 at which a row may go.
pub const TTL_KEY: &str = "ttl";

/// Where state is kept.
pub(super) enum Store {
    /// A table of the stack.
    Table(Id),
    /// A server, and the secret with its password.
    Valkey { url: Value, secret: Option<String> },
}

/// The secrets.
pub(super) struct Secrets {
    /// `{"webhook_secret"}`
    pub(super) webhook: Id,
    /// `{"GITHUB_API_TOKEN"}` or `{"GITHUB_APP_PRIVATE_KEY"}`
    pub(super) credential: Id,
}

impl Stack<'_> {
    /// Makes the table or the cache.
    pub(super) fn store(&self, template: &mut Template, network: &Network) -> Store {
        match &self.settings.state {
            State::DynamoDb => self.table(template),
            State::Valkey => self.cache(template, network),
            State::ValkeyAt(at) => Store::Valkey { url: at.url.as_str().into(), secret: at.secret.clone() },
        }
    }

    fn table(&self, template: &mut Template) -> Store {
        let attribute = |name| json!({ "AttributeName": name, "AttributeType": "S" });
        let key = |name, kind| json!({ "AttributeName": name, "KeyType": kind });
        let own = self.key().map(|key| json!({ "SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": key }));
        let table = json!({
            "TableName": self.name("state"),
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [attribute(PARTITION_KEY), attribute(SORT_KEY)],
            "KeySchema": [key(PARTITION_KEY, "HASH"), key(SORT_KEY, "RANGE")],
            "TimeToLiveSpecification": { "AttributeName": TTL_KEY, "Enabled": true },
            "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": false },
            "Tags": self.tag_list(),
        });
        let about = "Jobs, runners and what is to be done. Encrypted by AWS, or with the key that is configured.";
        let id = template
            .add("StateTable", Resource::new("AWS::DynamoDB::Table", about, table).with("SSESpecification", own));
        template.output("StateTableName", "Name of the table with the state", id.reference());
        Store::Table(id)
    }

    fn cache(&self, template: &mut Template, network: &Network) -> Store {
        let Some(inside) = &network.functions else {
            // A fault of the settings, which are never deployed then.
            return Store::Valkey { url: "".into(), secret: None };
        };
        let group = self.cache_group(template, &network.vpc, &inside.group);
        let cache = json!({
            "ServerlessCacheName": self.name("state"),
            "Description": "State of self-runners",
            "Engine": "valkey",
            "MajorEngineVersion": VALKEY_VERSION,
            "SubnetIds": inside.subnets,
            "SecurityGroupIds": [group.att("GroupId")],
            "SnapshotRetentionLimit": 0,
            "CacheUsageLimits": { "DataStorage": { "Maximum": CACHE_GB_MAX, "Unit": "GB" } },
            "Tags": self.tag_list(),
        });
        let about =
            "Jobs, runners and what is to be done. Encrypted at rest and on its way, reached by functions only.";
        let id = template.add(
            "StateCache",
            Resource::new("AWS::ElastiCache::ServerlessCache", about, cache).with("KmsKeyId", self.key()),
        );
        let id = id.as_str();
        let url = sub(format!("rediss://${{{id}.Endpoint.Address}}:${{{id}.Endpoint.Port}}"));
        template.output("StateUrl", "Where the state is, inside the VPC", url.clone());
        Store::Valkey { url, secret: None }
    }

    /// Makes the secrets. What others give has no value until `self-runners secrets set` was run.
    pub(super) fn secrets(&self, template: &mut Template) -> Secrets {
        let about = "What GitHub signs webhooks with: a random one, until another is set.";
        let webhook = self.secret(template, "GitHubWebhookSecret", WEBHOOK_SECRET, about, true);
        let (kind, about) = match self.operator.app_id {
            Some(_) => (
                APP_KEY,
                "The GitHub App's private key, from which claim tokens are derived too. Empty until it is set.",
            ),
            None => (API_TOKEN, "GitHub's token, from which claim tokens are derived too. Empty until it is set."),
        };
        let credential = self.secret(template, "GitHubCredential", kind, about, false);
        Secrets { webhook, credential }
    }

    /// A secret that is empty, or made of chance.
    fn secret(&self, template: &mut Template, id: &'static str, kind: SecretKind, about: &str, made: bool) -> Id {
        let secret = json!({
            "Name": kind.path(&self.policy.stage),
            "Description": about,
            "Tags": self.tag_list(),
        });
        let secret = Resource::new("AWS::SecretsManager::Secret", about, secret);
        let made = made.then(|| generated(kind.field));
        template.add(id, secret.with("GenerateSecretString", made).with("KmsKeyId", self.key()))
    }
}

fn generated(field: &str) -> Value {
    json!({
        "SecretStringTemplate": "{}",
        "GenerateStringKey": field,
        "PasswordLength": SECRET_CHARS,
        "ExcludePunctuation": true,
    })
}

impl Store {
    /// What functions are told of it.
    pub(super) fn variables(&self) -> environment::Store<Value> {
        match self {
            Self::Table(id) => environment::Store::Table(environment::Table { name: id.reference() }),
            Self::Valkey { url, secret } => environment::Store::Valkey(environment::Valkey {
                url: url.clone(),
                secret_arn: secret.clone().unwrap_or_default().into(),
            }),
        }
    }

    /// What a function may do with it. A transaction needs the permissions of its parts; nothing scans.
    pub(super) fn permissions(&self) -> Vec<Statement> {
        match self {
            Self::Table(id) => vec![Statement::allow("State", TABLE_ACTIONS, [Arn::of(id)])],
            Self::Valkey { secret: Some(secret), .. } => {
                vec![Statement::allow("StatePassword", READ_SECRET, [Arn::given(secret)])]
            }
            Self::Valkey { secret: None, .. } => Vec::new(),
        }
    }
}

impl Secrets {
    /// What functions are told of GitHub's credential.
    pub(super) fn variables(&self, app_id: Option<u64>) -> Credential<Value> {
        let secret_arn = self.credential.reference();
        match app_id {
            Some(id) => Credential::App(environment::App { id: id.to_string().into(), secret_arn }),
            None => Credential::Token(environment::Token { secret_arn }),
        }
    }
}

/// What the store does with its table.
const TABLE_ACTIONS: &[&str] = &[
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
];

/// Read once, and again when it was rotated.
pub(super) const READ_SECRET: &[&str] = &["secretsmanager:GetSecretValue"];

/// The version of Valkey.
const VALKEY_VERSION: &str = "8";

/// The least that can be asked for; all rows of a full fleet are a few megabytes.
const CACHE_GB_MAX: u32 = 1;

/// Letters and digits of a generated secret: more than 256 bits.
const SECRET_CHARS: u32 = 48;
