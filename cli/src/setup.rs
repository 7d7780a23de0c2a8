//! `github setup`: registers a GitHub App in the browser and puts its id, its private key and its webhook's secret where
//! the configuration expects them.
//!
//! | module | what it holds |
//! |---|---|
//! | `place` | where that is: found and made sure of before GitHub is asked, because GitHub gives the key once |
//! | `browser` | the page on this machine and the way back from GitHub |
//! | `pages` | what the browser shows |
//! | `edit` | three keys below `[github]`, the rest of the file untouched |

mod browser;
mod edit;
mod pages;
mod place;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use github::{
    Settings,
    app::install_page,
    manifest::{self, Manifest, Registered},
};

use self::{
    browser::{Browser, Offer},
    place::Place,
};
use crate::{
    failure::Failure,
    serve::{TOKEN, WallClock},
    terminal,
};

/// What `github` can be told.
#[derive(Debug, Args)]
pub(crate) struct GitHubArgs {
    #[command(subcommand)]
    command: Command,
}

/// What is to be done at GitHub.
#[derive(Debug, Subcommand)]
enum Command {
    /// Register a GitHub App in the browser, and write its id, key and webhook secret
    Setup(SetupArgs),
}

/// Where runners register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Runners {
    /// With the organisation: `Self-hosted runners: write`
    Organization,
    /// With each repository: `Administration: write`
    Repository,
}

/// What `github setup` can be told.
#[derive(Debug, Args)]
struct SetupArgs {
    /// Organisation that is to own the App; your own account if absent
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    /// Name of the App, to be changed on GitHub's page if it is taken
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where runners will register; with the organisation if `--org` is given, else with each repository
    #[arg(long, value_name = "WHERE", value_enum)]
    runners: Option<Runners>,
    /// Where GitHub sends webhooks, as `https://runners.example.com/webhook`. Without: nowhere, GitHub is asked instead
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// Let it run interrupted jobs again, for `rerun_interrupted`
    #[arg(long)]
    rerun: bool,
    /// Let other accounts install it
    #[arg(long)]
    public: bool,
    /// Configuration file; `self-runners.toml` of this folder if there is one
    #[arg(long, value_name = "FILE", env = "SELF_RUNNERS_CONFIG")]
    config: Option<PathBuf>,
    /// Base URL of the REST interface, as `https://<host>/api/v3`; the configuration's if absent
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// Base URL of GitHub's pages; found by `--api-url` if absent
    #[arg(long, value_name = "URL")]
    web_url: Option<String>,
    /// Port of the page on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
}

/// Does it.
pub(crate) fn command(args: &GitHubArgs) -> Result<ExitCode, Failure> {
    let Command::Setup(args) = &args.command;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    runtime.block_on(set_up(args))
}

async fn set_up(args: &SetupArgs) -> Result<ExitCode, Failure> {
    let place = Place::find(args.config.as_deref(), args.force)?;
    let api_url = args.api_url.clone().or_else(|| place.api_url()).unwrap_or_else(|| github::GITHUB_COM.into());
    let web_url = match &args.web_url {
        Some(url) => url.clone(),
        None => manifest::web_url(&api_url).map_err(told)?,
    };
    let ready = place.prepare()?;
    let mut browser = Browser::open(args.port).await?;
    browser.offer(offer(args, &web_url, &browser)?);
    terminal::say(&format!(
        "Open this page in a browser on this machine, within an hour:\n\n  {page}\n\nFrom another machine: `ssh -L \
         {port}:127.0.0.1:{port} HOST`, then the same page.",
        page = browser.page(),
        port = browser.port(),
    ));
    let code = tokio::time::timeout(WITHIN, browser.code()).await; // deadline
    let code = code.map_err(|_| Failure::failed("nobody came back from GitHub within an hour: begin again"))??;
    let settings = Settings { base_url: api_url.clone(), ..Settings::default() };
    let made = match manifest::convert(&settings, Arc::new(WallClock), &code).await {
        Ok(app) => {
            ready.write(&app, args.webhook_url.as_deref(), args.api_url.as_deref()).map(|written| (app, written))
        }
        Err(error) => {
            Err(Failure::failed(format!("{}; an App that was registered already is on {web_url}", error.message)))
        }
    };
    browser.end(made.as_ref().map(|(app, _)| app.clone()).map_err(ToString::to_string)).await;
    let (app, written) = made?;
    terminal::say(&next_steps(&app, &written));
    Ok(ExitCode::SUCCESS)
}

fn offer(args: &SetupArgs, web_url: &str, browser: &Browser) -> Result<Offer, Failure> {
    let of_organization = args.runners.map_or(args.org.is_some(), |runners| runners == Runners::Organization);
    let org = args.org.as_deref();
    let name =
        args.name.clone().unwrap_or_else(|| org.map_or("self-runners".into(), |org| format!("self-runners-{org}")));
    let manifest = Manifest {
        name,
        url: org.map_or_else(|| web_url.to_owned(), |org| format!("{}/{org}", web_url.trim_end_matches('/'))),
        redirect_url: browser.way_back(),
        hook_url: args.webhook_url.clone(),
        public: args.public,
        permissions: manifest::permissions(of_organization, args.rerun),
    };
    let action = manifest::new_app_page(web_url, org, browser.state()).map_err(told)?;
    Ok(Offer { owner: org.map(str::to_owned), web_url: web_url.to_owned(), action, manifest })
}

fn next_steps(app: &Registered, written: &str) -> String {
    let install = install_page(&app.page);
    let mut steps = format!(
        "\nRegistered the GitHub App {slug} (id {id}) of {owner}.\n{written}\n\nNext:\n  1. Install it on the \
         repositories that it shall serve: {install}\n  2. self-runners config check\n  3. self-runners serve",
        slug = app.slug,
        id = app.id,
        owner = app.owner,
    );
    if std::env::var_os(TOKEN).is_some() {
        steps += &format!("\n\n{TOKEN} is set here: without it, because an App and a token do not go together.");
    }
    steps
}

fn told(error: controller::ports::PortError) -> Failure {
    Failure::usage(error.message)
}

/// GitHub's code is good for an hour (docs.github.com, "Registering a GitHub App from a manifest").
const WITHIN: Duration = Duration::from_secs(3_600);
