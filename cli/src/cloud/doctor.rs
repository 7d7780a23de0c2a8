//! `doctor`: looks whether a stage can work, part by part, and says what to do where it cannot. Changes nothing.

use std::{fmt, process::ExitCode};

use aws::{
    deploy::{Deployer, Standing, is_well},
    images::EcrImage,
    permissions,
    quota::Quota,
    secrets::{Vault, WEBHOOK_SECRET},
};
use controller::ports::{ErrorKind, PortError};
use fleet::ids::Scope;
use github::{Client, HookState};
use serde::Serialize;
use serde_json::json;

use super::{hub, site::Site, stage::Stage};
use crate::{
    cloud_args::DoctorArgs,
    failure::Failure,
    serve::now_ms,
    table::{count, since, span},
    terminal,
};

/// How it stands with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// Good.
    Pass,
    /// Not as meant, or not known.
    Warn,
    /// Something does not work.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "ok",
            Self::Warn => "?",
            Self::Fail => "FAIL",
        })
    }
}

/// What was found of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    part: &'static str,
    verdict: Verdict,
    /// What is so, and what to do.
    text: String,
}

/// All that was found.
struct Findings {
    /// Each is told as it is found: what comes next may take its time.
    tells: bool,
    all: Vec<Finding>,
    /// AWS has refused something that was asked for this.
    denied: bool,
}

impl Findings {
    fn add(&mut self, part: &'static str, verdict: Verdict, text: impl Into<String>) {
        let text = text.into();
        if self.tells {
            terminal::say(&format!("{verdict:<5} {part:<12} {}", terminal::word(&text)));
        }
        self.all.push(Finding { part, verdict, text });
    }

    fn pass(&mut self, part: &'static str, text: impl Into<String>) {
        self.add(part, Verdict::Pass, text);
    }

    fn warn(&mut self, part: &'static str, text: impl Into<String>) {
        self.add(part, Verdict::Warn, text);
    }

    fn fail(&mut self, part: &'static str, text: impl Into<String>) {
        self.add(part, Verdict::Fail, text);
    }

    /// What cannot be looked at is a failure if somebody must act, else not known.
    fn error(&mut self, part: &'static str, error: &PortError) {
        let verdict = match error.kind {
            ErrorKind::Retry | ErrorKind::RateLimited { .. } | ErrorKind::Capacity => Verdict::Warn,
            ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Conflict => Verdict::Fail,
        };
        self.denied |= error.kind == ErrorKind::Denied;
        self.add(part, verdict, error.message.clone());
    }

    /// What GitHub refuses is no permission of AWS.
    fn of_github(&mut self, error: &PortError) {
        let denied = self.denied;
        self.error("github", error);
        self.denied = denied;
    }

    fn fails(&self) -> bool {
        self.all.iter().any(|finding| finding.verdict == Verdict::Fail)
    }
}

/// Looks.
pub(crate) fn command(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let site = Site::open(&args.stage)?;
    let mut found = Findings { tells: !args.json, all: Vec::new(), denied: false };
    look(site, &mut found);
    if args.json {
        terminal::say(&terminal::json(&json!({ "well": !found.fails(), "findings": found.all }).to_string()));
    }
    Ok(if found.fails() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn look(site: Site, found: &mut Findings) {
    found.pass("configuration", format!("stage {}: nothing is wrong with it", site.stage()));
    let deployer = match site.runtime.block_on(Deployer::open(&site.cloud, site.stage())) {
        Ok(deployer) => deployer,
        Err(error) => {
            return found.fail("credentials", error.message);
        }
    };
    let identity = &deployer.identity;
    found.pass("credentials", format!("account {}, {}, as {}", identity.account, deployer.region, identity.arn));
    quota(&site, found);
    images(&site, found);
    let standing = stack(&site, &deployer, found);
    may_deploy(&site, &deployer, standing.is_some(), found);
    let Some(standing) = standing else { return };
    let stage = match Stage::of(site, &deployer, standing) {
        Ok(stage) => stage,
        Err(failure) => return found.warn("stack", failure.to_string()),
    };
    secrets(&stage, found);
    github(&stage, found);
    queues(&stage, found);
    was_allowed(found);
    state(&stage, found);
}

/// Whether IAM lets whoever asks deploy. Of a stage that is there somebody else may have done it.
fn may_deploy(site: &Site, deployer: &Deployer, is_deployed: bool, found: &mut Findings) {
    let Deployer { identity, region, .. } = deployer;
    let deployment = permissions::Deployment { identity, region, stack: deployer.name() };
    let template = site.deployment.stack().template();
    match site.runtime.block_on(deployment.lacks(&site.cloud, &template.kinds())) {
        Ok(lacks) if lacks.is_empty() => found.pass("permissions", "IAM allows what `deploy` and `destroy` do"),
        Ok(lacks) => {
            let verdict = if is_deployed { Verdict::Warn } else { Verdict::Fail };
            for lack in lacks {
                let text = format!("IAM does not allow {lack}; `deploy` needs it: allow it, as docs/security.md says");
                found.add("permissions", verdict, text);
            }
        }
        Err(error) => {
            let why = error.message;
            found.warn("permissions", format!("whether `deploy` may do its work is not known: {why}"));
        }
    }
}

/// Of whoever asks. What the functions lack shows at `state`.
fn was_allowed(found: &mut Findings) {
    if found.denied {
        return found
            .fail("permissions", "something was refused, see above: docs/security.md lists what each command needs");
    }
    found.pass("permissions", "all that was asked here is allowed");
}

/// How the stack stands; `None` where there is none to look into.
fn stack(site: &Site, deployer: &Deployer, found: &mut Findings) -> Option<Standing> {
    let (name, stage) = (deployer.name(), site.stage());
    let standing = match site.runtime.block_on(deployer.standing()) {
        Ok(standing) => standing,
        Err(error) => {
            found.fail("stack", error.message);
            return None;
        }
    };
    match &standing {
        Standing::Nothing => {
            found.fail("stack", format!("there is no {name}: `self-runners deploy --stage {stage}` makes it"));
            return None;
        }
        Standing::Broken(status) => {
            found.fail("stack", format!("{name} is {status}: `self-runners deploy --stage {stage}` begins anew"));
            return None;
        }
        Standing::Deployed { status, .. } if is_well(status) => found.pass("stack", format!("{name} is {status}")),
        Standing::Deployed { status, .. } | Standing::Busy(status) => {
            found.warn("stack", format!("{name} is {status}: look at its events"));
        }
        Standing::Stuck(status) => found.fail(
            "stack",
            format!("{name} is {status}: mend what its events name, then `aws cloudformation continue-update-rollback --stack-name {name}`"),
        ),
    }
    Some(standing)
}

fn quota(site: &Site, found: &mut Findings) {
    match site.runtime.block_on(Quota::read(&site.cloud)) {
        Ok(quota) => {
            let (never, some) = quota.faults(&site.deployment.settings.on_fargate(&site.deployment.policy));
            if never.is_empty() && some.is_empty() {
                let Quota { on_demand, spot } = quota;
                found.pass("quota", format!("Fargate runs up to {on_demand} vCPU at once here, and {spot} on Spot"));
            }
            never.into_iter().for_each(|text| found.fail("quota", text));
            some.into_iter().for_each(|text| found.warn("quota", text));
        }
        Err(error) => found.warn("quota", error.message),
    }
}

fn images(site: &Site, found: &mut Findings) {
    let deployment = &site.deployment;
    let uris = deployment.policy.classes.iter().filter_map(|class| deployment.settings.image_of(class));
    for uri in uris.collect::<std::collections::BTreeSet<_>>() {
        let Some(image) = EcrImage::parse(uri) else {
            found.warn("image", format!("{uri} is not in ECR, so it is not looked at: a task of its class pulls it"));
            continue;
        };
        match site.runtime.block_on(image.size(&site.cloud)) {
            Ok(bytes) => found.pass("image", format!("{uri} is there, {} MB", bytes / 1_000_000)),
            Err(error) => found.error("image", &error),
        }
    }
}

fn secrets(stage: &Stage, found: &mut Findings) {
    let vault = Vault::new(stage.cloud());
    for kind in [hub::credential(stage), WEBHOOK_SECRET] {
        let path = kind.path(stage.name());
        match stage.site.runtime.block_on(vault.read(&path, kind)) {
            Ok(_) => found.pass("secret", format!("{path} is set")),
            Err(error) => found.error("secret", &error),
        }
    }
}

fn github(stage: &Stage, found: &mut Findings) {
    let client = match stage.site.runtime.block_on(hub::client(stage)) {
        Ok(client) => client,
        Err(_) => return found.warn("github", "not asked: the credential cannot be read"),
    };
    for (name, owner) in &stage.policy().owners {
        let first = owner.repositories.as_ref().and_then(|repos| repos.iter().next());
        match stage.site.runtime.block_on(client.check(name, owner.organization, first)) {
            Err(error) => found.of_github(&error),
            Ok(checked) => {
                if checked.missing.is_empty() && checked.doubts.is_empty() {
                    found.pass("github", format!("{name}: the credential does what is asked of it; the clocks agree"));
                }
                checked.missing.into_iter().for_each(|text| found.fail("github", text));
                checked.doubts.into_iter().for_each(|text| found.warn("github", text));
            }
        }
        let Some(scopes) = hub::hooked(name, owner) else {
            found.warn("webhook", format!("{name}: name its `repositories`, so that their webhooks can be looked at"));
            continue;
        };
        for scope in scopes {
            webhook(stage, &client, &scope, found);
        }
    }
}

fn webhook(stage: &Stage, client: &Client, scope: &Scope, found: &mut Findings) {
    let state = match stage.site.runtime.block_on(client.hook_state(scope)) {
        Ok(Some(state)) => state,
        Ok(None) => {
            let set = format!("`self-runners deploy --install-webhook --stage {}` makes it", stage.name());
            return found.fail("webhook", format!("none of {scope} points here: {set}"));
        }
        // Without the permission to look at webhooks everything else works.
        Err(error) => return found.warn("webhook", format!("{scope}: {}", error.message)),
    };
    let set = format!("`self-runners deploy --install-webhook --stage {}` mends it", stage.name());
    let HookState { active, hears_jobs, verifies, deliveries, .. } = &state;
    for (is_so, what) in [
        (*active, "is not active"),
        (*hears_jobs, "is not for `Workflow jobs`"),
        (*verifies, "does not verify certificates"),
    ] {
        if !is_so {
            found.fail("webhook", format!("that of {scope} {what}: {set}"));
        }
    }
    let failed = deliveries.iter().filter(|(_, status)| !(200..300).contains(status)).count();
    let last = deliveries.first().map(|(at_ms, status)| {
        let answer = if *status == 0 { "without an answer".to_owned() } else { format!("answered with {status}") };
        format!("the last delivery {} ago, {answer}", since(*at_ms, now_ms()))
    });
    let last = last.unwrap_or_else(|| "nothing delivered yet".into());
    match deliveries.first() {
        Some((_, status)) if !(200..300).contains(status) => found.fail(
            "webhook",
            format!("{scope}: {last}; {failed} of the last {} failed: {}", deliveries.len(), advice(*status)),
        ),
        _ => found.pass("webhook", format!("{scope}: {last}; {failed} of the last {} failed", deliveries.len())),
    }
}

fn advice(status: u64) -> &'static str {
    match status {
        401 => "the secrets differ: `deploy --install-webhook` sets the stage's at GitHub",
        403 => "its owner or repository is not allowed: add it to [owners]",
        _ => "`self-runners logs WebhookHandlerGHA` tells why",
    }
}

fn queues(stage: &Stage, found: &mut Findings) {
    let depth = |output| stage.site.runtime.block_on(async { stage.queue(output)?.depth().await });
    match depth("QueueUrl") {
        Ok(waiting) => found.pass("queue", format!("{} to be handled", events(waiting))),
        Err(error) => found.error("queue", &error),
    }
    match depth("DeadLetterQueueUrl") {
        Ok(0) => found.pass("dead letters", "none"),
        Ok(dead) => found.fail(
            "dead letters",
            format!(
                "{} could not be handled: `self-runners logs ScalerHandler` tells why; the sweep makes up for them; \
                 then redrive or purge the queue",
                events(dead)
            ),
        ),
        Err(error) => found.error("dead letters", &error),
    }
}

fn events(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "event")
}

/// What functions came across when they last tried: their permissions show here.
fn state(stage: &Stage, found: &mut Findings) {
    let ledger = match stage.ledger() {
        Ok(ledger) => ledger,
        Err(failure) => return found.fail("state", failure.to_string()),
    };
    if !ledger.is_inventoried() {
        found.warn(
            "state",
            "the cluster's tasks are not counted yet, and nothing is started before: the first sweeps do it",
        );
    }
    for (extent, drain) in ledger.drains().iter() {
        found.warn("state", drain.words(extent));
    }
    let mut held = 0;
    for pool in ledger.pools().filter(|pool| pool.flags.held_until_ms > now_ms()) {
        held += 1;
        let left = span(pool.flags.held_until_ms.saturating_sub(now_ms()));
        found.fail("launches", format!("pool {} is held back for {left}: {}", pool.pool.id, pool.flags.held_why));
    }
    if held == 0 {
        let live = ledger.live();
        found.pass("launches", format!("{live} runners live, no pool is held back"));
    }
}
