//! AWS: what the section `[aws]` means, and the commands that use it. `left_out` stands here in builds without AWS.

mod cost;
mod deploy;
mod destroy;
mod doctor;
mod hub;
mod logs;
mod meaning;
mod secrets;
mod site;
mod stage;
mod template;

use aws::{
    settings::{Settings as AwsSettings, usual_class},
    stack::{Operator, Stack},
};
use fleet::{class::Class, policy::Policy, wishes::Allow};

pub(crate) use self::{
    cost::command as cost, deploy::command as deploy, destroy::command as destroy, doctor::command as doctor,
    logs::command as logs, secrets::command as secrets, stage::Stage, template::command as template,
};
use crate::{
    cloud_args::PlanArgs,
    failure::Failure,
    serve::{
        checks,
        config::ConfigFile,
        plan::refusal,
        settings::{Origin, Problems, Settings, SettingsArgs, Variables},
    },
};

/// What is to be deployed, checked.
struct Deployment {
    settings: AwsSettings,
    policy: Policy,
    operator: Operator,
    /// The stage that the file is for, if another one is asked for and the domain in the file is not meant for it.
    lends_domain: Option<String>,
}

impl Deployment {
    /// A domain is one stage's: two can have it as little as two can answer at it.
    fn check_domain(&self) -> Result<(), Failure> {
        let (Some(of), Some(domain)) = (&self.lends_domain, &self.settings.domain) else { return Ok(()) };
        Err(Failure::usage(format!(
            "the domain {} in the file is stage {of}'s: name another for {} in SELF_RUNNERS_AWS_DOMAIN_NAME, or use a file of \
             its own",
            domain.name, self.policy.stage
        )))
    }

    /// Reads and checks. What only a daemon needs is not looked at.
    fn read(args: &PlanArgs) -> Result<Self, Failure> {
        let args = SettingsArgs { config: args.config.clone(), stage: args.stage.clone(), ..SettingsArgs::default() };
        if args.path().is_none() {
            let what = "no configuration: write a file with `self-runners config init --aws`, or name one with `--config FILE`";
            return Err(Failure::usage(what));
        }
        let mut settings = Settings::read(&args, &Variables::of_process())?;
        let deployment = Self::judged(&mut settings).ok_or_else(|| refusal(&settings))?;
        let is_of_file = matches!(settings.origin("aws.domain.name"), Origin::Line(_));
        let lends_domain = settings.file_stage.filter(|of| is_of_file && *of != deployment.policy.stage);
        Ok(Self { lends_domain, ..deployment })
    }

    /// Checks what was read; `None` if there are serious problems.
    fn judged(settings: &mut Settings) -> Option<Self> {
        let problems = &mut settings.problems;
        let deployment = settings.file.clone().and_then(|file| {
            let policy = checks::policy(&file, problems);
            checks::times(&file, problems);
            problems.keep(&["github", "api_url"], checks::github_url(&file.github.api_url));
            Self::of(&file, &policy?, problems)
        });
        settings.problems.sort(&settings.tree);
        deployment.filter(|_| !settings.problems.are_serious())
    }

    /// What a file with good rules says of AWS.
    fn of(file: &ConfigFile, policy: &Policy, problems: &mut Problems) -> Option<Self> {
        let section = file.aws.clone().unwrap_or_default();
        let mut policy = policy.clone();
        if file.classes.is_empty() {
            policy.classes = vec![usual_class(section.arch)];
        }
        // Where nothing may be asked for nothing need fit, and instances have any size.
        let is_on_fargate = |class: &Class| !section.capacity.contains_key(&class.name);
        let asked = policy.classes.iter_mut().filter(|class| class.allow != Allow::default() && is_on_fargate(class));
        asked.for_each(|class| class.allow.fargate = true);
        let (mut later, before) = (Problems::default(), problems.keys());
        let settings = meaning::settings(&section, &mut later);
        let operator = operator(file, &mut later);
        let stack = Stack { settings: &settings, policy: &policy, operator: &operator };
        let faults = settings.faults(&policy).into_iter().chain(stack.faults());
        let mut sound = true;
        for fault in faults {
            sound = false;
            let key: Vec<&str> = fault.key.iter().map(String::as_str).collect();
            later.add(&key, fault.what);
        }
        for (n, _) in policy.classes.iter().enumerate().filter(|(_, class)| class.placements != 1) {
            let what = "of no effect on AWS, where it follows from subnets and Spot: leave it out";
            later.warn(&["classes", &n.to_string(), "placements"], what);
        }
        let is_news = |key: &[String]| !before.iter().any(|refused| part(refused) == part(key));
        problems.append(later, is_news);
        sound.then_some(Self { settings, policy, operator, lends_domain: None })
    }

    fn stack(&self) -> Stack<'_> {
        Stack { settings: &self.settings, policy: &self.policy, operator: &self.operator }
    }
}

/// What is judged together: a value that was refused is missing, and what is said of the others then is not true.
fn part(key: &[String]) -> Vec<&str> {
    let words = key.iter().map(String::as_str);
    match key.first().map(String::as_str) {
        Some("classes") => words.take(3).collect(),
        _ => words.take(2).map(|word| if word == "valkey" { "state" } else { word }).collect(),
    }
}

/// Checks a configuration that is for AWS alone, as whoever deploys it will.
pub(crate) fn judge(settings: &mut Settings) {
    let deployment = Deployment::judged(settings);
    if deployment.is_some_and(|deployment| deployment.settings.region.is_none()) {
        let what =
            "no Region is named: `deploy` takes that of the profile; write `region` below [aws], or set AWS_REGION";
        settings.problems.warn(&["aws"], what);
    }
}

/// Checks the section `[aws]`, if there is one.
pub(crate) fn check(file: &ConfigFile, policy: &Policy, problems: &mut Problems) {
    if file.aws.is_some() {
        let _deployment = Deployment::of(file, policy, problems);
    }
}

fn operator(file: &ConfigFile, problems: &mut Problems) -> Operator {
    let github = &file.github;
    let api_url = problems.keep(&["github", "api_url"], checks::url(&github.api_url)).unwrap_or_default();
    if github.ca_file.is_some() {
        let what = "functions on AWS do not have this file: use a GitHub whose certificate is of a public authority";
        problems.add(&["github", "ca_file"], what);
    }
    Operator {
        github_api_url: api_url,
        app_id: github.app_id,
        heartbeat_ms: file.heartbeat_ms,
        sweep_interval_ms: file.sweep_interval_ms,
        redeliver: github.redeliver,
        discover: github.discover,
    }
}
