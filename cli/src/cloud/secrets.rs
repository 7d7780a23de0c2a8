//! `secrets`: sets those of a deployed stage, which its stack has made. A value comes from stdin or a terminal; none is
//! ever shown.

use std::{
    io::{self, IsTerminal as _, Read as _},
    process::ExitCode,
};

use aws::secrets::{API_TOKEN, APP_KEY, SecretKind, Vault, WEBHOOK_SECRET};
use controller::ports::{ErrorKind, Secret};
use github::AppKey;

use super::site::{Site, told};
use crate::{
    cloud_args::{SecretName, SecretsArgs, SecretsCommand, StageArgs},
    failure::Failure,
    terminal,
};

/// Does it.
pub(crate) fn command(args: &SecretsArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        SecretsCommand::Set { name, stage } => set(*name, stage),
        SecretsCommand::List { stage } => list(stage),
    }
}

fn kind(name: SecretName) -> SecretKind {
    match name {
        SecretName::ApiToken => API_TOKEN,
        SecretName::AppKey => APP_KEY,
        SecretName::WebhookSecret => WEBHOOK_SECRET,
    }
}

fn set(name: SecretName, args: &StageArgs) -> Result<ExitCode, Failure> {
    let site = Site::open(args)?;
    let kind = kind(name);
    let text = bare(kind, read(kind)?);
    check(name, &text)?;
    if matches!(name, SecretName::AppKey) && site.deployment.operator.app_id.is_none() {
        return Err(Failure::usage("this stage has no GitHub App: write `app_id` below [github], and deploy again"));
    }
    let vault = Vault::new(&site.cloud);
    let set = site.runtime.block_on(vault.set(site.stage(), kind, &Secret::new(text)));
    set.map_err(|error| {
        if error.kind != ErrorKind::NotFound {
            return told(error);
        }
        let stage = site.stage();
        Failure::failed(format!("{}: run `self-runners deploy --stage {stage}` first, which makes it", error.message))
    })?;
    let path = kind.path(site.stage());
    terminal::say(&format!("{path} is set; functions take it within minutes, the one before is good for a day"));
    Ok(ExitCode::SUCCESS)
}

/// Without an echo on a terminal; else all of stdin.
fn read(kind: SecretKind) -> Result<String, Failure> {
    let unreadable = |error: io::Error| Failure::failed(format!("the value cannot be read: {error}"));
    let text = if io::stdin().is_terminal() {
        rpassword::prompt_password(format!("{}: ", kind.name)).map_err(unreadable)?
    } else {
        // One more than may be, so that too much shows and no more is read.
        let (mut text, most) = (String::new(), u64::try_from(VALUE_BYTES_MAX + 1).unwrap_or(u64::MAX));
        io::stdin().take(most).read_to_string(&mut text).map_err(unreadable)?;
        text
    };
    Ok(text.trim().to_owned())
}

/// The value alone, also where it comes in the shape that it is stored in: `{"GITHUB_API_TOKEN": "…"}`.
fn bare(kind: SecretKind, text: String) -> String {
    let stored: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let value = stored.as_ref().and_then(|stored| stored.get(kind.field)?.as_str());
    value.map_or(text.clone(), |value| value.trim().to_owned())
}

/// What cannot be right. The value is not quoted.
fn check(name: SecretName, text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Err(Failure::usage("there is no value: type it, or send it to stdin, as `… < file`"));
    }
    if text.len() > VALUE_BYTES_MAX {
        return Err(Failure::usage(format!("the value has more than {VALUE_BYTES_MAX} bytes: that is no such secret")));
    }
    match name {
        SecretName::AppKey => AppKey::from_pem(text).map(drop).map_err(|error| {
            Failure::usage(format!("this is no private key of a GitHub App: {error}; send the .pem file to stdin"))
        }),
        SecretName::ApiToken | SecretName::WebhookSecret
            if text.contains(char::is_whitespace) || text.starts_with('{') =>
        {
            Err(Failure::usage("the value has spaces, several lines or another shape: send the bare value"))
        }
        SecretName::ApiToken if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Failure::usage("a token of GitHub has letters, digits and `_` only: send it as GitHub shows it"))
        }
        SecretName::ApiToken if text.len() < TOKEN_CHARS_MIN => {
            Err(Failure::usage("a token of GitHub is longer: send all of it"))
        }
        SecretName::WebhookSecret if text.len() < WEBHOOK_BYTES_MIN => Err(Failure::usage(format!(
            "a webhook's secret that can be guessed keeps nobody out: take at least {WEBHOOK_BYTES_MIN} characters, as of \
             `openssl rand -hex 32`"
        ))),
        SecretName::ApiToken | SecretName::WebhookSecret => Ok(()),
    }
}

fn list(args: &StageArgs) -> Result<ExitCode, Failure> {
    let site = Site::open(args)?;
    let vault = Vault::new(&site.cloud);
    let credential = if site.deployment.operator.app_id.is_some() { APP_KEY } else { API_TOKEN };
    let mut missing = false;
    for kind in [credential, WEBHOOK_SECRET] {
        let path = kind.path(site.stage());
        match site.runtime.block_on(vault.read(&path, kind)) {
            Ok(_) => terminal::say(&format!("{path}: set")),
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid) => {
                missing = true;
                terminal::say(&error.message);
            }
            Err(error) => return Err(told(error)),
        }
    }
    Ok(if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Secrets Manager takes this much, in its JSON.
const VALUE_BYTES_MAX: usize = 60_000;

/// GitHub's have 40 and more; a GitHub of one's own, or one of a test, may have its own.
const TOKEN_CHARS_MIN: usize = 8;

/// With fewer a secret can be found by trying, from one signature that was seen.
const WEBHOOK_BYTES_MIN: usize = 16;
