//! Secrets Manager: read once and kept, read again when the other side says that what is kept is wrong.
//!
//! Names and shapes are those of the original system: `self-runners/<stage>/GITHUB_WEBHOOK_SECRET` holds
//! `{"webhook_secret": "…"}`, and so on. A read that failed is not kept. No value is in a log, an error or a `Debug`.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::{Client, operation::get_secret_value::GetSecretValueOutput};
use controller::ports::{ErrorKind, PortError, PortResult, Secret};
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use crate::{
    cloud::Cloud,
    heard::{self, Heard, refused},
    stack::APPLICATION,
    valkey::ServerUrl,
};

/// The value before the present one is good for so long after the change: GitHub's webhook is changed by hand, and
/// machines that were launched before still claim.
pub const PREVIOUS_FOR: Duration = Duration::from_secs(24 * 3_600);

/// What is kept is read again no sooner: anybody can send wrong signatures, and each read costs.
pub const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// The version that is good now, in Secrets Manager's words.
const CURRENT: &str = "AWSCURRENT";
/// The version before it.
const PREVIOUS: &str = "AWSPREVIOUS";

/// What a secret is called, and the field of its JSON that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretKind {
    /// Last part of its name.
    pub name: &'static str,
    /// The field.
    pub field: &'static str,
}

/// What GitHub signs webhooks with.
pub const WEBHOOK_SECRET: SecretKind = SecretKind { name: "GITHUB_WEBHOOK_SECRET", field: "webhook_secret" };
/// GitHub's token.
pub const API_TOKEN: SecretKind = SecretKind { name: "GITHUB_API_TOKEN", field: "GITHUB_API_TOKEN" };
/// The private key of a GitHub App.
pub const APP_KEY: SecretKind = SecretKind { name: "GITHUB_APP_PRIVATE_KEY", field: "GITHUB_APP_PRIVATE_KEY" };
impl SecretKind {
    /// Its name in a stage.
    #[must_use]
    pub fn path(&self, stage: &str) -> String {
        format!("self-runners/{stage}/{}", self.name)
    }
}

/// A secret's values.
#[derive(Debug, Clone)]
pub struct Versions {
    /// The present one.
    pub current: Secret,
    /// The one before it, if that was asked for and is there.
    pub previous: Option<Secret>,
    /// How old the present one is.
    pub age: Duration,
}

/// Secrets Manager.
#[derive(Debug, Clone)]
pub struct Vault {
    client: Client,
}

impl Vault {
    /// That of a way to AWS. Talks to nobody.
    #[must_use]
    pub fn new(cloud: &Cloud) -> Self {
        Self { client: Client::new(cloud.config()) }
    }

    /// The values that are good now, the newest first: two for [`PREVIOUS_FOR`] after a change. `id` is its name or ARN.
    ///
    /// # Errors
    /// `NotFound`: it is not there or has no value. `Invalid`: it is of another shape. `Denied`, `Retry`.
    pub async fn read(&self, id: &str, kind: SecretKind) -> PortResult<Vec<Secret>> {
        let read = self.versions(id, kind, PREVIOUS_FOR).await?;
        Ok([Some(read.current), read.previous].into_iter().flatten().collect())
    }

    /// The present value, and the one before it if the change is younger than `previous_for`. `id` is its name or ARN.
    ///
    /// # Errors
    /// As [`Vault::read`].
    pub async fn versions(&self, id: &str, kind: SecretKind, previous_for: Duration) -> PortResult<Versions> {
        let current = self.version(id, CURRENT).await.map_err(|heard| told(id, kind, &heard))?;
        let age = age(&current);
        let current = value(id, kind, &current)?;
        if age >= previous_for {
            return Ok(Versions { current, previous: None, age });
        }
        let previous = match self.version(id, PREVIOUS).await {
            // What was there before may have been of any shape.
            Ok(previous) => value(id, kind, &previous).ok(),
            Err(Heard::Refused { code, .. }) if code == NOT_FOUND => None,
            Err(heard) => return Err(told(id, kind, &heard)),
        };
        Ok(Versions { current, previous, age })
    }

    /// A server's URL with the user and password that a secret holds, `{"username", "password"}`; without a secret as it
    /// is.
    ///
    /// # Errors
    /// As [`Vault::read`]. `Invalid`: that is no URL of a server.
    pub async fn server_url(&self, url: &str, secret: Option<&str>) -> PortResult<Secret> {
        let Some(id) = secret else { return Ok(Secret::new(url)) };
        let unusable = || PortError::new(ErrorKind::Invalid, format!("{url} is no URL of a server"));
        let mut full = Url::parse(url).map_err(|_| unusable())?;
        let (user, password) = (self.word(id, "username").await?, self.word(id, "password").await?);
        full.set_username(user.expose()).map_err(|()| unusable())?;
        full.set_password(Some(password.expose())).map_err(|()| unusable())?;
        Ok(Secret::new(full))
    }

    async fn word(&self, id: &str, field: &'static str) -> PortResult<Secret> {
        let read = self.read(id, SecretKind { name: "VALKEY", field }).await?;
        Ok(read.into_iter().next().unwrap_or_else(|| Secret::new("")))
    }

    async fn version(&self, id: &str, stage: &str) -> Result<GetSecretValueOutput, Heard> {
        let ask = self.client.get_secret_value().secret_id(id).version_stage(stage);
        ask.send().await.map_err(|error| heard::hear(&error))
    }

    /// Sets a secret of a stage. It is not made here: it belongs to the stage's stack, which could not be made with a
    /// secret of that name already there.
    ///
    /// # Errors
    /// `NotFound`: the stage is not deployed. `Denied`, `Retry`, or what else Secrets Manager says.
    pub async fn set(&self, stage: &str, kind: SecretKind, secret: &Secret) -> PortResult<()> {
        let (name, text) = (kind.path(stage), json!({kind.field: secret.expose()}).to_string());
        let put = self.client.put_secret_value().secret_id(&name).secret_string(text).send().await;
        put.map(drop).map_err(|error| match heard::hear(&error) {
            Heard::Refused { code, .. } if code == NOT_FOUND => {
                PortError::new(ErrorKind::NotFound, format!("the secret {name} is not there"))
            }
            heard @ (Heard::Refused { .. } | Heard::NoCredentials(_) | Heard::Unknown(_)) => {
                refused(&format!("set {name}"), "secretsmanager:PutSecretValue", &heard)
            }
        })
    }
}

/// A secret that is read once and kept.
#[derive(Debug)]
pub struct KeptSecret {
    vault: Vault,
    id: String,
    kind: SecretKind,
    again_after: Duration,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    values: Vec<Secret>,
    read: Instant,
}

impl KeptSecret {
    /// A secret by its name or ARN. Read when it is first needed.
    #[must_use]
    pub fn new(vault: Vault, id: impl Into<String>, kind: SecretKind) -> Self {
        Self { vault, id: id.into(), kind, again_after: AGAIN_AFTER, kept: Mutex::default() }
    }

    /// The same, read again no sooner than this.
    #[must_use]
    pub fn again_after(self, again_after: Duration) -> Self {
        Self { again_after, ..self }
    }

    /// The values that are good now, the newest first. Many who ask at once cause one read.
    ///
    /// # Errors
    /// As [`Vault::read`]; the next call reads again.
    pub async fn current(&self) -> PortResult<Vec<Secret>> {
        let mut kept = self.kept.lock().await;
        match &*kept {
            Some(kept) => Ok(kept.values.clone()),
            None => self.renew(&mut kept).await,
        }
    }

    /// The same, read again, because the other side says that what is kept is wrong. What was read a moment ago is not.
    ///
    /// # Errors
    /// As [`Vault::read`]; what was kept stays.
    pub async fn again(&self) -> PortResult<Vec<Secret>> {
        let mut kept = self.kept.lock().await;
        match &*kept {
            Some(kept) if kept.read.elapsed() < self.again_after => Ok(kept.values.clone()),
            Some(_) | None => self.renew(&mut kept).await,
        }
    }

    async fn renew(&self, kept: &mut Option<Kept>) -> PortResult<Vec<Secret>> {
        let values = self.vault.read(&self.id, self.kind).await?;
        *kept = Some(Kept { values: values.clone(), read: Instant::now() });
        Ok(values)
    }
}

/// A server's URL and the secret with its user and password, if there is one.
#[derive(Debug)]
pub struct KeptUrl {
    vault: Vault,
    url: String,
    secret: Option<String>,
    read_at: Mutex<Option<Instant>>,
}

impl KeptUrl {
    /// `secret`: name or ARN of a secret `{"username", "password"}`. Read when it is first needed.
    #[must_use]
    pub fn new(vault: Vault, url: &str, secret: Option<&str>) -> Self {
        Self { vault, url: url.into(), secret: secret.map(str::to_owned), read_at: Mutex::default() }
    }
}

#[async_trait]
impl ServerUrl for KeptUrl {
    async fn current(&self) -> PortResult<Secret> {
        *self.read_at.lock().await = Some(Instant::now());
        self.vault.server_url(&self.url, self.secret.as_deref()).await
    }

    async fn again(&self) -> PortResult<Option<Secret>> {
        let was_just_read = self.read_at.lock().await.is_some_and(|at| at.elapsed() < AGAIN_AFTER);
        if self.secret.is_none() || was_just_read {
            return Ok(None);
        }
        self.current().await.map(Some)
    }
}

/// Secrets Manager's exception for a secret, or a version of it, that is not there.
const NOT_FOUND: &str = "ResourceNotFoundException";

/// How old a version is.
fn age(version: &GetSecretValueOutput) -> Duration {
    let made_s = version.created_date().map_or(0, |date| u64::try_from(date.secs()).unwrap_or(0));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(made_s))
}

/// The value in its JSON. Nothing of what is there is said.
fn value(id: &str, kind: SecretKind, version: &GetSecretValueOutput) -> PortResult<Secret> {
    if version.secret_string().is_some_and(|text| text.trim().is_empty()) {
        return Err(PortError::new(ErrorKind::NotFound, format!("the secret {id} has no value: {}", set(id, kind))));
    }
    let json: Option<Value> = version.secret_string().and_then(|text| serde_json::from_str(text).ok());
    let text = json.as_ref().and_then(|json| json.get(kind.field)?.as_str()).map(str::trim);
    text.filter(|text| !text.is_empty()).map(Secret::new).ok_or_else(|| {
        let shape = json!({kind.field: "…"});
        let why = format!("the secret {id} is not of the shape {shape}: {}", set(id, kind));
        PortError::new(ErrorKind::Invalid, why)
    })
}

fn told(id: &str, kind: SecretKind, heard: &Heard) -> PortError {
    match heard {
        Heard::Refused { code, message } if code == NOT_FOUND => {
            PortError::new(ErrorKind::NotFound, missing(id, kind, message))
        }
        Heard::Refused { code, .. } if code == "DecryptionFailure" => {
            let why = format!("the secret {id} cannot be decrypted: allow our role kms:Decrypt on its key");
            PortError::new(ErrorKind::Denied, why)
        }
        Heard::Refused { .. } | Heard::NoCredentials(_) | Heard::Unknown(_) => {
            refused(&format!("read the secret {id}"), "secretsmanager:GetSecretValue", heard)
        }
    }
}

/// "…can't find the specified secret value for staging label: AWSCURRENT" is said of a secret that is there.
fn missing(id: &str, kind: SecretKind, message: &str) -> String {
    match stage_of(id) {
        _ if message.contains("staging label") => format!("the secret {id} has no value: {}", set(id, kind)),
        Some(stage) => format!("the secret {id} is not there: run `self-runners deploy --stage {stage}` first"),
        None => format!("the secret {id} is not there"),
    }
}

fn set(id: &str, kind: SecretKind) -> String {
    match stage_of(id) {
        Some(stage) => format!("run `self-runners secrets set {} --stage {stage}`", kind.name),
        None => "store it so".into(),
    }
}

/// The stage in the name or ARN of a secret of ours.
fn stage_of(id: &str) -> Option<&str> {
    let (_, rest) = id.split_once(&format!("{APPLICATION}/"))?;
    rest.split('/').next()
}
