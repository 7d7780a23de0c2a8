//! `config init`: writes a first configuration, with comments. What is not given by flags is asked on a terminal.
//! Nothing is written that `config check` would refuse, and no file is overwritten.

mod aws;

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf, absolute},
    process::ExitCode,
};

use clap::ValueEnum;
use fleet::class::CLASS_MAX_DEFAULT;

use crate::{
    cloud,
    failure::Failure,
    serve::{
        plan::Plan,
        settings::{Settings, SettingsArgs, USUAL_FILE, Variables},
    },
    terminal,
};

/// What `config init` can be told.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct InitArgs {
    /// File to write
    #[arg(long, value_name = "FILE", env = "SELF_RUNNERS_CONFIG", default_value = USUAL_FILE)]
    config: PathBuf,
    /// Organisation or user whose jobs are served
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Repository that is served, `name` or `owner/name`; may be repeated. Without: all of the owner's
    #[arg(long = "repo", value_name = "REPO")]
    repos: Vec<String>,
    /// Register runners with the organisation instead of each repository
    #[arg(long)]
    org: bool,
    /// What runs the runners
    #[arg(long, value_name = "ENGINE", value_enum)]
    engine: Option<Engine>,
    /// Folder of an unpacked runner program. Without: it is fetched
    #[arg(long, value_name = "DIR", conflicts_with = "image")]
    runner_dir: Option<PathBuf>,
    /// Image of the containers, whose entrypoint is the agent
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Label of the runners; may be repeated. Without: `self-hosted` and `linux`
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// Most runners at once
    #[arg(long, value_name = "N", default_value_t = fleet::policy::FLEET_MAX_DEFAULT)]
    max: u32,
    /// Folder for everything that must survive a restart. Without: `data` beside the file
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// REST interface of a GitHub of your own, as `https://HOST/api/v3`
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// For a deployment to AWS, not for a daemon of this machine
    #[arg(long, conflicts_with_all = ["engine", "runner_dir", "data"])]
    aws: bool,
    /// AWS: where
    #[arg(long, value_name = "REGION", requires = "aws")]
    region: Option<String>,
    /// AWS: architecture of the machines; without: arm64
    #[arg(long, value_name = "ARCH", value_enum, requires = "aws")]
    arch: Option<aws::Arch>,
    /// AWS: name of the stage; without: dev
    #[arg(long, value_name = "STAGE", requires = "aws")]
    stage: Option<String>,
}

/// What runs the runners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// Processes of this machine
    Process,
    /// Containers of this machine's Docker engine
    Docker,
}

/// Asks a question with its usual answer; `None` where nobody can be asked.
type Ask<'a> = &'a mut dyn FnMut(&str, &str) -> Option<String>;

/// Writes it.
pub(super) fn command(args: &InitArgs) -> Result<ExitCode, Failure> {
    if args.config.exists() {
        return Err(exists(&args.config));
    }
    let answers = completed(args.clone(), &mut on_terminal)?;
    let text = if answers.aws { aws::text(&answers) } else { text(&answers)? };
    verified(&text)?;
    write(&args.config, &text)?;
    let file = args.config.display();
    let named = if args.config == Path::new(USUAL_FILE) { String::new() } else { format!(" --config {file}") };
    if answers.aws {
        terminal::say(&aws::next(&answers, &file.to_string(), &named));
        return Ok(ExitCode::SUCCESS);
    }
    terminal::say(&format!(
        "wrote {file}; next:\n\n  export GITHUB_TOKEN=…             # or `token_file` in the file\n  \
         self-runners config check{named}\n  self-runners serve{named}"
    ));
    Ok(ExitCode::SUCCESS)
}

fn on_terminal(question: &str, usual: &str) -> Option<String> {
    if !io::stdin().is_terminal() {
        return None;
    }
    let usual = if usual.is_empty() { String::new() } else { format!(" [{usual}]") };
    terminal::draw(&format!("{question}{usual}: "));
    let mut line = String::new();
    io::stdin().read_line(&mut line).ok()?;
    Some(line.trim().to_owned())
}

/// The answers that flags did not give.
fn completed(mut args: InitArgs, ask: Ask<'_>) -> Result<InitArgs, Failure> {
    let of_repo = args.repos.iter().find_map(|repo| repo.split_once('/')).map(|(owner, _)| owner.to_owned());
    let owner = args.owner.or(of_repo).or_else(|| ask("Organisation or user whose jobs are served", ""));
    let owner = owner.filter(|owner| !owner.is_empty());
    if owner.is_none() && !args.aws {
        return Err(Failure::usage("whose jobs? Give `--owner NAME` or `--repo OWNER/NAME`"));
    }
    args.owner = owner;
    if args.repos.is_empty() && !args.org {
        let said = ask("Its repositories, with commas; nothing for all", "").unwrap_or_default();
        args.repos = words(&said);
    }
    if args.repos.is_empty() && !args.org {
        let said = ask("Register runners with the organisation? Else with each repository (y/n)", "n");
        args.org = said.is_some_and(|said| said.starts_with(['y', 'Y']));
    }
    if args.aws {
        return aws::completed(args, ask);
    }
    args.engine = Some(engine(&args, ask));
    if args.engine == Some(Engine::Docker) && args.image.is_none() {
        let said = ask("Image of the containers, whose entrypoint is the agent", "").filter(|said| !said.is_empty());
        args.image = Some(said.ok_or_else(|| Failure::usage("which image? Give `--image IMAGE`"))?);
    }
    if args.labels.is_empty() {
        args.labels = words(&ask("Labels of the runners", LABELS).unwrap_or_default());
    }
    if args.labels.is_empty() {
        args.labels = words(LABELS);
    }
    Ok(args)
}

fn engine(args: &InitArgs, ask: Ask<'_>) -> Engine {
    if let Some(engine) = args.engine {
        return engine;
    }
    if args.image.is_some() {
        return Engine::Docker;
    }
    if args.runner_dir.is_some() {
        return Engine::Process;
    }
    let said = ask("Runners as `process` or in `docker` containers", "process");
    said.filter(|said| said.eq_ignore_ascii_case("docker")).map_or(Engine::Process, |_| Engine::Docker)
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The file.
fn text(answers: &InitArgs) -> Result<String, Failure> {
    let owner = answers.owner.as_deref().unwrap_or_default();
    let beside = answers.config.parent().unwrap_or(Path::new("")).join("data");
    let data = whole(answers.data.as_deref().unwrap_or(&beside))?;
    let engine = engine_text(answers)?;
    let section = toml_key(owner);
    let scope = if answers.org { "organization = true   # runners register with the organisation\n" } else { "" };
    let repositories = match answers.repos.as_slice() {
        [] => "# repositories = [\"one\", \"two\"]   # without this line: all of them\n".to_owned(),
        repos => format!("repositories = {}   # without this line: all of them\n", toml_list(repos)),
    };
    let api_url = answers.api_url.as_ref().map_or_else(String::new, |url| format!("api_url = {}\n", toml_text(url)));
    let (labels, max, most) = (toml_list(&answers.labels), answers.max, max_text(answers.max));
    Ok(format!(
        "# How `self-runners serve` runs. All keys: docs/configuration.md. `self-runners config check` tells what is wrong,
# `self-runners config show` each value in force.

stage = \"dev\"   # runners are called sr-dev-…
listen = \"127.0.0.1:8080\"   # webhooks and runners come here
data_dir = {data}   # must survive a restart
{most}
[github]
{api_url}# The token comes from GITHUB_TOKEN, or from a file that only you can read:
# token_file = \"/etc/self-runners/token\"
# With a webhook: its secret comes from GITHUB_WEBHOOK_SECRET or a file, and the URL lets failed deliveries be asked for.
# webhook_secret_file = \"/etc/self-runners/webhook-secret\"
# webhook_url = \"https://ci.example.org/webhook\"

[engine]
{engine}
[owners.{section}]
{scope}{repositories}
# A kind of runner. It is given the jobs whose `runs-on` names no other labels than these.
[[classes]]
name = \"linux\"
labels = {labels}
max = {max}
"
    ))
}

/// Whoever asks for more than ten here means it.
fn max_text(max: u32) -> String {
    let above = if max > CLASS_MAX_DEFAULT { "max_above_ten = true   # more than ten at once are meant\n" } else { "" };
    format!("max = {max}   # most runners at once, of all classes\n{above}")
}

fn engine_text(answers: &InitArgs) -> Result<String, Failure> {
    if let (Some(Engine::Docker), Some(image)) = (answers.engine, &answers.image) {
        return Ok(format!(
            "kind = \"docker\"   # each runner is a container of this machine's engine\nimage = {}\n",
            toml_text(image)
        ));
    }
    let root = if rustix::process::geteuid().is_root() { ROOT } else { "" };
    let dir = match &answers.runner_dir {
        Some(dir) => format!("runner_dir = {}   # without this line the runner program is fetched\n", whole(dir)?),
        None => {
            "# runner_dir = \"/opt/actions-runner\"   # without this line the runner program is fetched\n".to_owned()
        }
    };
    Ok(format!("kind = \"process\"   # each runner is a process of this machine, in a folder of its own\n{dir}{root}"))
}

fn whole(path: &Path) -> Result<String, Failure> {
    let path = absolute(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    Ok(toml_text(&path.to_string_lossy()))
}

/// A TOML text: its escapes are JSON's.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A key of TOML: in quotes only if it must be.
fn toml_key(text: &str) -> String {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if plain { text.to_owned() } else { toml_text(text) }
}

fn toml_list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| toml_text(word)).collect();
    format!("[{}]", words.join(", "))
}

/// What the daemon would refuse is not written.
fn verified(text: &str) -> Result<(), Failure> {
    let variables = Variables::of([]);
    let mut settings = Settings::of(text, &SettingsArgs::default(), &variables);
    if settings.is_for_aws_alone() {
        cloud::judge(&mut settings);
    } else {
        let _plan = Plan::of(&mut settings, &variables);
    }
    match settings.problems.iter().find(|problem| problem.serious) {
        Some(problem) => Err(Failure::usage(format!("nothing was written: {}", problem.words(&settings.tree)))),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written = OpenOptions::new().write(true).create_new(true).open(path);
    written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return exists(path);
        }
        Failure::failed(format!("cannot write {}: {error}; choose another place with `--config FILE`", path.display()))
    })
}

fn exists(path: &Path) -> Failure {
    Failure::usage(format!(
        "{} is there already and was not changed: edit it, or name another with `--config FILE`",
        path.display()
    ))
}

/// What most jobs on one's own machines ask for.
const LABELS: &str = "self-hosted, linux";

/// The runner program refuses root unless told otherwise (FACTS §3).
const ROOT: &str = "pass_env = [\"RUNNER_ALLOW_RUNASROOT\"]   # you are root: `export RUNNER_ALLOW_RUNASROOT=1` lets runners be root\n";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: InitArgs,
    }

    fn completed_by(line: &[&str], said: &[&str]) -> Result<InitArgs, Failure> {
        let args = Line::try_parse_from([&["init"], line].concat()).unwrap().args;
        let mut said = said.iter();
        completed(args, &mut |_, _| said.next().map(ToString::to_string))
    }

    #[test]
    fn a_terminal_is_asked_for_what_flags_do_not_give() {
        let all = completed_by(&[], &["acme", "web, api", "docker", "img:1", "self-hosted,gpu"]).unwrap();
        assert_eq!(all.owner.as_deref(), Some("acme"));
        assert_eq!((all.repos, all.org), (vec!["web".to_owned(), "api".into()], false));
        assert_eq!((all.engine, all.image.as_deref()), (Some(Engine::Docker), Some("img:1")));
        assert_eq!(all.labels, ["self-hosted", "gpu"]);
        let organization = completed_by(&[], &["acme", "", "y", "", ""]).unwrap();
        assert_eq!((organization.org, organization.labels.len()), (true, 2));
        assert_eq!(organization.engine, Some(Engine::Process));
    }

    #[test]
    fn a_deployment_needs_a_region_and_an_image() {
        let image = "1.dkr.ecr.eu-west-1.amazonaws.com/runner:1";
        let asked =
            completed_by(&["--aws", "--owner", "acme", "--org"], &["eu-west-1", "qa", "x86_64", image, ""]).unwrap();
        assert_eq!((asked.region.as_deref(), asked.stage.as_deref()), (Some("eu-west-1"), Some("qa")));
        assert_eq!((asked.image.as_deref(), asked.labels), (Some(image), words("self-hosted, linux, x64")));
        let missing = |line: &[&str]| completed_by(&[&["--aws", "--owner", "acme", "--org"], line].concat(), &[]);
        assert!(missing(&[]).unwrap_err().to_string().contains("--region REGION, --image URI"));
        let all = completed_by(&["--aws"], &[]).unwrap_err().to_string();
        assert!(all.contains("--owner NAME, --region REGION, --image URI"), "{all}");
        #[cfg(feature = "aws")]
        {
            let said = ["Frankfurt", "eu-central-1", "", "", "runner", image, ""];
            let asked = completed_by(&["--aws", "--owner", "acme", "--org"], &said).unwrap();
            assert_eq!((asked.region.as_deref(), asked.image.as_deref()), (Some("eu-central-1"), Some(image)));
        }
        assert!(missing(&["--region", "eu-west-1"]).unwrap_err().to_string().contains("--image URI"));
        let flags = missing(&["--region", "eu-west-1", "--image", image]).unwrap();
        assert_eq!((flags.arch, flags.stage.as_deref()), (Some(aws::Arch::Arm64), Some("dev")));
    }

    #[test]
    fn without_a_terminal_only_the_owner_must_be_given() {
        assert!(completed_by(&[], &[]).unwrap_err().to_string().contains("--owner NAME"));
        let by_repo = completed_by(&["--repo", "acme/web"], &[]).unwrap();
        assert_eq!((by_repo.owner.as_deref(), by_repo.labels.len()), (Some("acme"), 2));
        assert_eq!(by_repo.engine, Some(Engine::Process));
        let image = completed_by(&["--owner", "acme", "--engine", "docker"], &[]);
        assert!(image.unwrap_err().to_string().contains("--image IMAGE"));
    }
}
