//! `deploy`: brings a stage to AWS as the configuration says. Again with nothing changed, it does nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use aws::{
    deploy::{Artefacts, Change, Deployer, Happening, Proposal, Standing, is_well},
    quota::Quota,
};
use fleet::class::Arch;

use super::{
    hub,
    site::{Site, agreed, can_ask, told},
    stage::Stage,
};
use crate::{
    cloud_args::{DeployArgs, StageArgs},
    failure::Failure,
    table::count,
    terminal,
};

/// Deploys.
pub(crate) fn command(args: &DeployArgs) -> Result<ExitCode, Failure> {
    let site = Site::open(&args.stage)?;
    site.deployment.check_domain()?;
    can_ask(args.dry_run || args.yes)?;
    let code = deploy(&site, args)?;
    if code == ExitCode::SUCCESS && args.install_webhook {
        install_webhook(&args.stage)?;
    }
    Ok(code)
}

/// At GitHub, with the stage's own credential.
fn install_webhook(args: &StageArgs) -> Result<(), Failure> {
    let stage = Stage::open(args)?;
    let set = async {
        let client = hub::client(&stage).await?;
        hub::set_hooks(&stage, &client, stage.policy()).await
    };
    let set = stage.site.runtime.block_on(set);
    let told = set.map_err(|error| webhook_failed(&format!("the webhook is not set: {}", error.message)))?;
    told.iter().flatten().for_each(|line| terminal::say(line));
    let failed: Vec<&str> = told.iter().filter_map(|one| one.as_ref().err().map(String::as_str)).collect();
    if failed.is_empty() { Ok(()) } else { Err(webhook_failed(&failed.join("; "))) }
}

fn webhook_failed(why: &str) -> Failure {
    let after = "it is deployed, and this may be run again; or make the webhook by hand, with the URL above";
    Failure::failed(format!("{why}; {after}"))
}

fn deploy(site: &Site, args: &DeployArgs) -> Result<ExitCode, Failure> {
    let artefacts = artefacts(args.artifacts.as_deref(), site.deployment.settings.arch)?;
    let template = site.deployment.stack().template().to_json().to_string();
    site.runtime.block_on(async {
        let deployer = Deployer::open(&site.cloud, site.stage()).await.map_err(told)?;
        terminal::say(&format!(
            "{}: account {}, {}, as {}",
            deployer.name(),
            deployer.identity.account,
            deployer.region,
            deployer.identity.arn
        ));
        warn_of_quota(site).await;
        let (first, outputs) = begin(site, &deployer, args).await?;
        let Some(proposal) = deployer.propose(&artefacts, &template, first).await.map_err(told)? else {
            terminal::say("nothing has changed: it is deployed as the configuration says");
            terminal::say(&next(site, &outputs, args.install_webhook));
            return Ok(ExitCode::SUCCESS);
        };
        terminal::say(&shown(&proposal.changes));
        if let Some(change) = proposal.changes.iter().find(|change| change.is_impossible()) {
            deployer.withdraw(&proposal, first).await.map_err(told)?;
            return Err(Failure::failed(impossible(site.stage(), change)));
        }
        if args.dry_run || !agreed("Shall this be done?", args.yes)? {
            deployer.withdraw(&proposal, first).await.map_err(told)?;
            terminal::say(&format!("nothing was done to {}", deployer.name()));
            return Ok(if args.dry_run { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        deployer.upload(&artefacts).await.map_err(told)?;
        let outputs = carry_out(&deployer, &proposal, first).await?;
        terminal::say(&next(site, &outputs, args.install_webhook));
        Ok(ExitCode::SUCCESS)
    })
}

/// What no update of the stack can bring about, and what can.
fn impossible(stage: &str, change: &Change) -> String {
    format!(
        "nothing was done: {} would be made anew under the name it has ({}), which CloudFormation cannot do; undo that change \
         in the configuration, or make the stage anew: `self-runners destroy --stage {stage}`, then `self-runners deploy \
         --stage {stage}` and its secrets and webhook again",
        change.id,
        change.properties.join(", ")
    )
}

/// Said before anything is made: jobs over the quota wait. What cannot be read is `doctor`'s to tell.
async fn warn_of_quota(site: &Site) {
    if let Ok(quota) = Quota::read(&site.cloud).await {
        let (never, some) = quota.faults(&site.deployment.settings.on_fargate(&site.deployment.policy));
        never.iter().chain(&some).for_each(|text| terminal::complain(&format!("warning: {text}")));
    }
}

/// What an earlier deployment left, so that this one can begin: whether it is the first, and the outputs so far.
async fn begin(
    site: &Site,
    deployer: &Deployer,
    args: &DeployArgs,
) -> Result<(bool, BTreeMap<String, String>), Failure> {
    let (name, stage) = (deployer.name(), site.stage());
    match deployer.standing().await.map_err(told)? {
        Standing::Nothing => Ok((true, BTreeMap::new())),
        Standing::Deployed { status, outputs } => {
            if !is_well(&status) {
                terminal::say(&format!("the last update failed and was taken back ({status}); this one is tried anew"));
            }
            Ok((false, outputs))
        }
        // A stage that is half gone may have runners at work.
        Standing::Broken(status) if status == "DELETE_FAILED" => Err(Failure::failed(format!(
            "an earlier `destroy` did not end ({status}): run `self-runners destroy --stage {stage}` again, then this"
        ))),
        Standing::Broken(status) if args.dry_run => Err(Failure::failed(format!(
            "the first deployment failed ({status}): `self-runners deploy` takes its remains away and begins anew"
        ))),
        Standing::Broken(status) => {
            terminal::say(&format!("the first deployment failed ({status}); its remains are taken away first"));
            if !agreed("Shall this be done?", args.yes)? {
                return Err(Failure::failed("nothing was done"));
            }
            deployer.destroy(&mut tell).await.map_err(told)?;
            Ok((true, BTreeMap::new()))
        }
        Standing::Busy(status) => Err(Failure::failed(format!(
            "something is under way at {name} ({status}): wait until it has ended, then run this again"
        ))),
        Standing::Stuck(status) => Err(Failure::failed(format!(
            "{name} is stuck ({status}): mend what its events name, then `aws cloudformation continue-update-rollback \
             --stack-name {name}`"
        ))),
    }
}

async fn carry_out(deployer: &Deployer, proposal: &Proposal, first: bool) -> Result<BTreeMap<String, String>, Failure> {
    let outputs = deployer.carry_out(proposal, &mut tell).await.map_err(|error| {
        let after =
            if first { "nothing of it is left after the next `deploy` or `destroy`" } else { "it is as it was before" };
        Failure::failed(format!("{}; {after}", error.message))
    })?;
    terminal::say(&format!("deployed {}", deployer.name()));
    Ok(outputs)
}

/// One line an event. What only begins is not told: its end is.
pub(super) fn tell(happening: &Happening) {
    if happening.status.ends_with("_IN_PROGRESS") && happening.reason.is_empty() {
        return;
    }
    let reason = if happening.is_failure() { format!(": {}", happening.reason) } else { String::new() };
    if happening.is_failure() || !happening.status.ends_with("_IN_PROGRESS") {
        terminal::say(&format!("  {:<24} {} ({}){reason}", happening.status, happening.id, happening.kind));
    }
}

/// What a change set would do; what is merely made, by type.
fn shown(changes: &[Change]) -> String {
    let mut sorted: Vec<&Change> = changes.iter().collect();
    sorted.sort_by_key(|change| (change.act, change.kind.clone(), change.id.clone()));
    let mut text: String = sorted.iter().map(|change| format!("  {change}\n")).collect();
    text += &count(changes.len(), "change");
    let losses = changes.iter().filter(|change| change.loses_content()).count();
    if losses > 0 {
        text += &format!("; {losses} of them lose what the resource holds");
    }
    text
}

/// What a person needs now.
fn next(site: &Site, outputs: &BTreeMap<String, String>, installs: bool) -> String {
    let get = |name: &str| outputs.get(name).map_or("?", String::as_str);
    let mut text = format!("\nwebhook URL   {}\n", get("WebhookUrl"));
    let writes_records = site.deployment.settings.domain.as_ref().is_some_and(|domain| domain.hosted_zone.is_some());
    if outputs.contains_key("DnsRecordName") && !writes_records {
        text += &format!("DNS record    {} CNAME {}\n", get("DnsRecordName"), get("DnsRecordTarget"));
    }
    text += &format!("runner image  push to {}\n", get("RepositoryUri"));
    let credential =
        if site.deployment.operator.app_id.is_some() { "GITHUB_APP_PRIVATE_KEY" } else { "GITHUB_API_TOKEN" };
    if installs {
        return text;
    }
    let stage = site.stage();
    text += &format!(
        "\nnext, once:\n  self-runners secrets set {credential} --stage {stage}\n  \
         self-runners deploy --install-webhook --stage {stage}\n  \
         self-runners doctor --stage {stage}\n\
         The credential needs `Webhooks: write` for the second. Or make the webhook by hand: this URL, content type \
         application/json, for `Workflow jobs`, and a secret of yours: self-runners secrets set GITHUB_WEBHOOK_SECRET"
    );
    text
}

/// From where they are told to be, or where a published archive has them.
fn artefacts(given: Option<&Path>, arch: Arch) -> Result<Artefacts, Failure> {
    let name = match arch {
        Arch::Arm64 => "arm64",
        Arch::X86_64 => "x86_64",
    };
    let found = given.map(Path::to_path_buf).or_else(|| usual(name));
    let dir = found.ok_or_else(|| {
        Failure::usage(format!(
            "the functions' code for {name} is not here: unpack a published archive, which has it in dist/{name}, or make \
             it with `cargo xtask dist --arch {name}`; or name its folder with `--artifacts DIR`"
        ))
    })?;
    Artefacts::read(&dir).map_err(Failure::usage)
}

fn usual(arch: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join("dist").join(arch)));
    let here = Path::new("dist").join(arch);
    beside.into_iter().chain([here]).find(|dir| dir.join("SHA256SUMS").is_file())
}
