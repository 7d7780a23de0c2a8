//! `config init --aws`: the first configuration of a stage on AWS.

use clap::ValueEnum;

use super::{Ask, InitArgs, max_text, toml_key, toml_list, toml_text, words};
use crate::{
    cloud,
    failure::Failure,
    serve::settings::{Settings, SettingsArgs, Variables},
    terminal,
};

/// Architecture of the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::config) enum Arch {
    /// 64-bit ARM: a fifth cheaper
    #[value(name = "arm64")]
    Arm64,
    /// 64-bit x86
    #[value(name = "x86_64")]
    X86_64,
}

/// The answers that flags did not give. Those that nobody gave are told together.
pub(super) fn completed(mut args: InitArgs, ask: Ask<'_>) -> Result<InitArgs, Failure> {
    let mut missing = Vec::new();
    if args.owner.is_none() {
        missing.push("--owner NAME");
    }
    let here = Variables::of_process().region().map(str::to_owned);
    let usual = here.clone().unwrap_or_else(|| "eu-central-1".into());
    args.region = args.region.or_else(|| asked(ask, "Region", &usual, "region")).or(here);
    if args.region.is_none() {
        missing.push("--region REGION");
    }
    let stage = args.stage.or_else(|| ask("Name of the stage", "dev")).filter(|stage| !stage.is_empty());
    args.stage = Some(stage.unwrap_or_else(|| "dev".into()));
    if args.arch.is_none() {
        let said = ask("Machines of arm64 or x86_64", "arm64").unwrap_or_default();
        args.arch = Some(if said.eq_ignore_ascii_case("x86_64") { Arch::X86_64 } else { Arch::Arm64 });
    }
    let question = "Image of the runners, whose entrypoint is the agent: its URI with a tag";
    args.image = args.image.or_else(|| asked(ask, question, "", "image"));
    if args.image.is_none() {
        missing.push("--image URI");
    }
    if !missing.is_empty() {
        return Err(Failure::usage(format!(
            "some answers are missing, and nobody can be asked: give {}",
            missing.join(", ")
        )));
    }
    if args.labels.is_empty() {
        let usual = usual_labels(args.arch);
        args.labels =
            words(&ask("Labels of the runners", usual).filter(|said| !said.is_empty()).unwrap_or_else(|| usual.into()));
    }
    Ok(args)
}

/// Asks until the answer can be a value of `[aws]`; `None`: nobody can be asked, or nobody knows.
fn asked(ask: Ask<'_>, question: &str, usual: &str, key: &str) -> Option<String> {
    for _ in 0..TRIES {
        let said = ask(question, usual)?;
        let said = if said.is_empty() { usual.to_owned() } else { said };
        match fault(key, &said) {
            None => return Some(said),
            Some(what) => terminal::complain(&what),
        }
    }
    None
}

/// What is wrong with a value of `[aws]`.
fn fault(key: &str, value: &str) -> Option<String> {
    let mut values = [("region", "eu-central-1"), ("image", "registry.example.org/runner:1")];
    values.iter_mut().filter(|(name, _)| *name == key).for_each(|(_, it)| *it = value);
    let lines = values.map(|(name, value)| format!("{name} = {}\n", toml_text(value))).concat();
    let text = format!("[owners.acme]\n[aws]\n{lines}");
    let mut settings = Settings::of(&text, &SettingsArgs::default(), &Variables::of([]));
    cloud::judge(&mut settings);
    settings.problems.iter().find(|problem| problem.key == ["aws", key]).map(|problem| problem.what.clone())
}

/// Whoever answers wrongly so often does not know.
const TRIES: usize = 5;

fn usual_labels(arch: Option<Arch>) -> &'static str {
    if arch == Some(Arch::X86_64) { "self-hosted, linux, x64" } else { "self-hosted, linux, arm64" }
}

/// The file.
pub(super) fn text(answers: &InitArgs) -> String {
    let text = |part: &Option<String>| toml_text(part.as_deref().unwrap_or_default());
    let arch = if answers.arch == Some(Arch::X86_64) { "x86_64" } else { "arm64" };
    let section = toml_key(answers.owner.as_deref().unwrap_or_default());
    let scope = if answers.org { "organization = true   # runners register with the organisation\n" } else { "" };
    let repositories = match answers.repos.as_slice() {
        [] => "# repositories = [\"one\", \"two\"]   # without this line: all of them\n".to_owned(),
        repos => format!("repositories = {}   # without this line: all of them\n", toml_list(repos)),
    };
    let github =
        answers.api_url.as_ref().map_or_else(String::new, |url| format!("\n[github]\napi_url = {}\n", toml_text(url)));
    let (stage, region, image) = (text(&answers.stage), text(&answers.region), text(&answers.image));
    let (labels, max, most) = (toml_list(&answers.labels), answers.max, max_text(answers.max));
    format!(
        "# What `self-runners deploy` makes on AWS. All keys: docs/configuration.md; a larger example: docs/examples/aws.toml.

stage = {stage}   # production, qa and dev may live in one account
{most}{github}
[owners.{section}]
{scope}{repositories}
[aws]
region = {region}
arch = \"{arch}\"   # of the functions
image = {image}   # of the runners; `deploy` makes a repository for it
# state = \"valkey\"   # else DynamoDB, which costs a thirtieth at rest
# spot = [\"linux\"]   # classes that are tried on spare capacity first

# [aws.domain]
# name = \"runners.example.com\"
# hosted_zone = \"Z0123456789ABCDEFGHIJ\"

# A kind of runner. It is given the jobs whose `runs-on` names no other labels than these.
[[classes]]
name = \"linux\"
labels = {labels}
max = {max}
size = {{ cpu_milli = 4000, memory_mb = 16384, disk_gb = 75, arch = \"{arch}\" }}
"
    )
}

/// What to do then.
pub(super) fn next(answers: &InitArgs, file: &str, named: &str) -> String {
    let stage = answers.stage.as_deref().unwrap_or_default();
    let arch = if answers.arch == Some(Arch::X86_64) { "x86_64" } else { "arm64" };
    format!(
        "wrote {file}; next:\n\n  self-runners cost{named}\n  \
         cargo xtask dist --arch {arch}   # the functions' code, unless a published archive has it in dist/{arch}\n  \
         self-runners deploy{named}\n  \
         docker push …/self-runners-{stage}/runner:…   # the runners' image, to the address that `deploy` prints\n  \
         self-runners secrets set GITHUB_API_TOKEN{named}\n  self-runners deploy --install-webhook{named}\n  \
         self-runners doctor{named}"
    )
}
