//! `webhook send`: signs a delivery and sends it, as GitHub would: a payload from a file, or one made from arguments.
//! To try a daemon, a proxy before it, or a secret.
//!
//! The secret never stands in an argument: other users of the machine can read those.

mod payload;

use std::{
    fs,
    io::{Read as _, stdin},
    path::{Path, PathBuf},
    process::ExitCode,
};

use controller::ports::Secret;
use github::webhook::post::{Outgoing, Reply};

use crate::{
    cloud::Stage,
    cloud_args::{PlanArgs, StageArgs},
    failure::Failure,
    serve, terminal,
};

/// Webhooks by hand.
#[derive(Debug, clap::Args)]
pub(crate) struct WebhookArgs {
    #[command(subcommand)]
    command: WebhookCommand,
}

#[derive(Debug, clap::Subcommand)]
enum WebhookCommand {
    /// Sign a delivery and send it, as GitHub would
    Send(SendArgs),
}

/// What is sent, where to, and with which secret.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct SendArgs {
    /// Payload to send, in JSON; `-` reads it from stdin. Without it one is made from the arguments below
    #[arg(value_name = "FILE", conflicts_with = "job", required_unless_present = "action")]
    file: Option<PathBuf>,
    /// Where to send it; http://127.0.0.1:8080/webhook, or that of the stage
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Send it to this stage on AWS, with its secret: `production`, `qa`, `dev`
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// Configuration file (TOML) of the stage; `self-runners.toml` of this folder if there is one
    #[arg(long, value_name = "FILE", requires = "stage", env = "SELF_RUNNERS_CONFIG")]
    config: Option<PathBuf>,
    /// Another endpoint for all services of AWS, as of a local AWS
    #[arg(long, value_name = "URL", requires = "stage")]
    endpoint_url: Option<String>,
    /// Value of X-GitHub-Event
    #[arg(long, value_name = "EVENT", default_value = "workflow_job")]
    event: String,
    /// GUID of the delivery; a random one unless given
    #[arg(long, value_name = "GUID")]
    delivery: Option<String>,
    /// Send the JSON as a form's field `payload`, GitHub's other content type
    #[arg(long)]
    form: bool,
    /// Print the payload instead of sending it; needs no secret
    #[arg(long)]
    dry_run: bool,
    /// File with the webhook's secret; without it that of the stage, or GITHUB_WEBHOOK_SECRET in the environment counts
    #[arg(long, value_name = "FILE", conflicts_with = "secret_stdin")]
    secret_file: Option<PathBuf>,
    /// Read the webhook's secret from stdin
    #[arg(long)]
    secret_stdin: bool,
    #[command(flatten)]
    made: payload::Made,
}

/// Where a daemon listens unless it is told otherwise.
const URL_DEFAULT: &str = "http://127.0.0.1:8080/webhook";

const EXAMPLES: &str = "Examples:
  self-runners webhook send --action queued --repo acme/web --labels self-hosted,linux
  self-runners webhook send --action completed --repo acme/web --job-id 60000000001 --conclusion cancelled
  self-runners webhook send payload.json --url https://runners.example.com/webhook --secret-file secret
  self-runners webhook send --stage dev --action queued --repo acme/web --labels self-hosted,linux

It prints the status and the answer. The exit code is 0 for 2xx, 1 for any other status or none, 2 for wrong arguments.";

/// Runs the subcommand.
pub(crate) fn command(args: &WebhookArgs) -> Result<ExitCode, Failure> {
    let WebhookCommand::Send(args) = &args.command;
    let json = match &args.file {
        Some(file) => read(file, args)?,
        None => args.made.json(serve::now_ms())?,
    };
    if args.dry_run {
        terminal::say(&terminal::json(&json));
        return Ok(ExitCode::SUCCESS);
    }
    let stage = stage(args)?;
    let secret = secret(args, stage.as_ref())?;
    let url = url(args, stage.as_ref())?;
    let delivery = args.delivery.clone().unwrap_or_else(guid);
    terminal::say(&match job(&json) {
        Some(id) => format!("delivery {delivery} of job {id}"),
        None => format!("delivery {delivery}"),
    });
    let outgoing = Outgoing { event: args.event.clone(), delivery, form: args.form, json };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    let reply = runtime
        .block_on(outgoing.post(&url, &secret))
        .map_err(|error| Failure::failed(format!("{url} did not take it: {error}; does anybody listen there?")))?;
    tell(&reply)
}

fn tell(reply: &Reply) -> Result<ExitCode, Failure> {
    terminal::say(&format!("{} {}", reply.status, reply.body));
    match reply.status {
        200..=299 => Ok(ExitCode::SUCCESS),
        status => Err(Failure::failed(format!("answered with {status}: {}", advice(status)))),
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        300..=399 => "GitHub follows no redirect; give the address that it leads to",
        400 => "the payload is not what this event has; the answer names the field",
        401 => "compare the secret with the receiver's",
        403 => "add the owner or repository to the receiver's configuration",
        404 | 405 => "the URL ends in /webhook",
        413 | 415 => "that is nothing GitHub sends",
        500..=599 => "the receiver cannot take it now; its log says why",
        _ => "that is no answer of a daemon; what else listens there?",
    }
}

fn read(file: &Path, args: &SendArgs) -> Result<String, Failure> {
    if file != Path::new("-") {
        return fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("cannot read the payload {}: {error}", file.display())));
    }
    if args.secret_stdin {
        return Err(Failure::usage("payload and secret cannot both come from stdin: use --secret-file"));
    }
    from_stdin("payload")
}

fn stage(args: &SendArgs) -> Result<Option<Stage>, Failure> {
    let open = |stage: &String| {
        let plan = PlanArgs { config: args.config.clone(), stage: Some(stage.clone()) };
        Stage::open(&StageArgs { plan, endpoint_url: args.endpoint_url.clone() })
    };
    args.stage.as_ref().map(open).transpose()
}

fn url(args: &SendArgs, stage: Option<&Stage>) -> Result<String, Failure> {
    match (&args.url, stage) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some(stage)) => stage.webhook_url(),
        (None, None) => Ok(URL_DEFAULT.into()),
    }
}

fn secret(args: &SendArgs, stage: Option<&Stage>) -> Result<Secret, Failure> {
    if let Some(stage) = stage
        && args.secret_file.is_none()
        && !args.secret_stdin
    {
        return stage.webhook_secret();
    }
    let text = match &args.secret_file {
        Some(file) => fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("cannot read the secret {}: {error}", file.display())))?,
        None if args.secret_stdin => from_stdin("secret")?,
        None => std::env::var(serve::WEBHOOK).unwrap_or_default(),
    };
    // A file of the daemon's may have two, while the first replaces the second.
    let first = text.lines().map(str::trim).find(|line| !line.is_empty());
    first.map(Secret::new).ok_or_else(|| {
        Failure::usage(format!(
            "no secret to sign with: set {}, or use --secret-file or --secret-stdin",
            serve::WEBHOOK
        ))
    })
}

fn from_stdin(what: &str) -> Result<String, Failure> {
    let mut text = String::new();
    stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("cannot read the {what} from stdin: {error}")))?;
    Ok(text)
}

/// The job that a payload is about.
fn job(json: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(json).ok()?.get("workflow_job")?.get("id")?.as_u64()
}

fn guid() -> String {
    sim::hub::delivery::Guid(fastrand::u128(..)).to_string()
}
