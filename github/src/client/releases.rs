//! Which runner program is expected, where it is and what it must be; until when a version is good; GitHub's addresses.

use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::ids::Scope;

use super::{Client, found};
use crate::{
    contract,
    fields::{FieldError, Fields},
    release::{self, Deprecation, Download, RUNNER_REPO, Release, RunnerProgram},
    time,
    wire::{ask::Ask, refusal::unreadable},
};

impl Client {
    /// A release of the runner program: this version, or the newest. Asked in the name of `owner`, whose rate limit it
    /// costs.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn release(&self, owner: &str, version: Option<&str>) -> PortResult<Release> {
        let ask = match version {
            None => Ask::of(&contract::LATEST_RELEASE, owner),
            Some(version) => Ask::of(&contract::TAGGED_RELEASE, owner).at("tag", format!("v{version}")),
        };
        let ask = ask.at("owner", RUNNER_REPO.0).at("repo", RUNNER_REPO.1);
        let answer = self.transport.send(&ask).await?;
        release::release(&answer.body).map_err(|why| unreadable(ask.call, why))
    }

    /// The runner programs that this scope's runners are expected to run, one a platform.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn downloads(&self, scope: &Scope) -> PortResult<Vec<Download>> {
        let ask = Ask::scope(contract::DOWNLOADS.of(scope), scope);
        let answer = self.transport.send(&ask).await?;
        let rows = Fields::elements(&answer.body, None);
        let all = rows.and_then(|rows| rows.iter().map(release::download).collect::<Result<Vec<_>, _>>());
        all.map_err(|why| unreadable(ask.call, why))
    }

    /// The program that this scope's runners are expected to run on a platform, with the sum that every place where
    /// GitHub publishes one agrees on.
    ///
    /// # Errors
    /// As GitHub answers; `NotFound` if there is none for the platform; `Invalid` if a sum is missing or another one.
    pub async fn expected_runner(&self, scope: &Scope, platform: &str) -> PortResult<RunnerProgram> {
        let downloads = self.downloads(scope).await?;
        let Some(download) = downloads.into_iter().find(|download| download.platform == platform) else {
            let what = format!("GitHub has no runner program for {platform}: choose another platform");
            return Err(PortError::new(ErrorKind::NotFound, what));
        };
        let release = self.release(scope.owner(), Some(&download.version)).await?;
        agreed(download, &release)
    }

    /// Until when a version of the runner program is good; `None` if this GitHub does not tell.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn deprecation(&self, scope: &Scope, version: &str) -> PortResult<Option<Deprecation>> {
        let ask = Ask::scope(contract::DEPRECATION.of(scope), scope).at("version", version);
        let Some(answer) = found(self.transport.send(&ask).await)? else { return Ok(None) };
        let read = Fields::root(&answer.body).and_then(|body| deprecation(&body));
        read.map(Some).map_err(|why| unreadable(ask.call, why))
    }

    /// The address ranges that GitHub sends webhooks from, for a firewall.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn hook_addresses(&self, owner: &str) -> PortResult<Vec<String>> {
        let ask = Ask::of(&contract::META, owner);
        let answer = self.transport.send(&ask).await?;
        Fields::root(&answer.body).and_then(|body| body.texts("hooks")).map_err(|why| unreadable(ask.call, why))
    }
}

fn agreed(download: Download, release: &Release) -> PortResult<RunnerProgram> {
    let Download { platform, version, file, url, sum: third, token } = download;
    let wrong = |why: String| {
        let what = format!("{file} is not to be trusted: {why}; look at the release v{version} of actions/runner");
        PortError::new(ErrorKind::Invalid, what)
    };
    let package = release.package(&platform).filter(|package| package.file == file);
    let package = package.ok_or_else(|| wrong("its release does not have it".into()))?;
    let sum = package.sum().map_err(|error| wrong(error.to_string()))?;
    if third.is_some_and(|third| third != sum) {
        return Err(wrong("GitHub's list of downloads has another SHA-256 than the release".into()));
    }
    Ok(RunnerProgram { version, platform, file, url, sum, token })
}

fn deprecation(body: &Fields<'_>) -> Result<Deprecation, FieldError> {
    let at = |name: &str| {
        let text = body.optional_text(name)?;
        text.map(|text| time::parse_ms(text).ok_or_else(|| body.wrong(name, "a time"))).transpose()
    };
    Ok(Deprecation { runtime_ms: at("runtime_deprecates_at")?, registration_ms: at("registration_deprecates_at")? })
}
