//! The configuration in force, checked. After this nothing is wrong any more that could be known before starting.
//!
//! All that is wrong is collected; `checks` judges single values.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use fleet::policy::Policy;

use super::{
    checks,
    config::ConfigFile,
    plain,
    secrets::{self, Secrets},
    settings::{Problems, Settings, SettingsArgs, USUAL_FILE, Variables},
};
use crate::{cloud, failure::Failure};

/// What the daemon is to do.
pub(crate) struct Plan {
    /// The operator's rules.
    pub(crate) policy: Policy,
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// How runners reach the daemon; `None`: where it listens.
    pub(crate) public_url: Option<String>,
    /// The data folder.
    pub(crate) data_dir: PathBuf,
    /// Folder of the runner program, where runners are processes and have one of their own.
    pub(crate) runner_dir: Option<PathBuf>,
    /// Everything else of the file.
    pub(crate) file: ConfigFile,
    /// Token and webhook secrets.
    pub(crate) secrets: Secrets,
    /// What works, but most likely not as meant.
    pub(crate) warnings: Vec<String>,
}

impl Plan {
    /// Reads and checks.
    pub(crate) fn make(args: &SettingsArgs) -> Result<Self, Failure> {
        let variables = Variables::of_process();
        let mut settings = Settings::read(args, &variables)?;
        if settings.is_empty() {
            return Err(Failure::usage(
                "no configuration: say what to serve with `--repo OWNER/NAME` or `--org NAME`, write a file with \
                 `self-runners config init`, or name one with `--config FILE`",
            ));
        }
        let plan = Self::of(&mut settings, &variables);
        match plan {
            Some(plan) if plan.secrets.credentials.is_none() => Err(Failure::usage(NO_TOKEN)),
            Some(plan) => Ok(plan),
            None => Err(refusal(&settings)),
        }
    }

    /// Checks what was read; `None` if there are serious problems.
    pub(crate) fn of(settings: &mut Settings, variables: &Variables) -> Option<Self> {
        let problems = &mut settings.problems;
        let plan = settings.file.clone().and_then(|file| Self::checked(file, variables, problems));
        settings.problems.sort(&settings.tree);
        let mut plan = plan.filter(|_| !settings.problems.are_serious())?;
        let warnings = settings.problems.iter().map(|problem| problem.line(&settings.tree, settings.path.as_deref()));
        plan.warnings = warnings.collect();
        Some(plan)
    }

    fn checked(file: ConfigFile, variables: &Variables, problems: &mut Problems) -> Option<Self> {
        let policy = checks::policy(&file, problems);
        checks::times(&file, problems);
        if let Some(policy) = &policy {
            cloud::check(&file, policy, problems);
        }
        checks::pass_env(file.engine.pass_env(), problems);
        let listen = problems.keep(&["listen"], checks::listen(&file.listen));
        let public_url = file.public_url.as_deref().map(checks::url).transpose();
        let public_url = problems.keep(&["public_url"], public_url);
        problems.keep(&["github", "api_url"], checks::github_url(&file.github.api_url));
        if let Some(url) = &file.github.releases_url {
            problems.keep(&["github", "releases_url"], checks::github_url(url));
        }
        problems.keep(&["github", "poll_share_percent"], checks::poll_share(file.github.poll_share_percent));
        let data_dir = file
            .data_dir
            .clone()
            .or_else(plain::data_dir)
            .ok_or_else(|| "missing: name a folder, or give `--data DIR`".to_owned());
        let data_dir = problems.keep(&["data_dir"], data_dir);
        let runner_dir = checks::engine(&file, problems);
        let secrets = Secrets::read(&file.github, variables, problems);
        Some(Self {
            policy: policy?,
            listen: listen?,
            public_url: public_url?,
            data_dir: data_dir?,
            runner_dir: runner_dir?,
            secrets,
            file,
            warnings: Vec::new(),
        })
    }

    /// The SQLite file.
    pub(crate) fn store_path(&self) -> PathBuf {
        store_path(&self.data_dir)
    }

    /// Where the engine keeps the folders of its runners.
    pub(crate) fn runners_root(&self) -> PathBuf {
        runners_root(&self.data_dir)
    }

    /// Makes the data folder.
    pub(crate) fn make_data_dir(&self) -> Result<(), Failure> {
        std::fs::create_dir_all(self.runners_root()).map_err(|error| {
            let dir = self.data_dir.display();
            Failure::failed(format!("cannot write to the data folder {dir}: {error}; choose another with `--data DIR`"))
        })
    }

    /// The key of the claim tokens.
    pub(crate) fn claim_key(&self) -> Result<controller::ports::Secret, Failure> {
        secrets::claim_key(&self.data_dir.join("claim-key"))
    }
}

/// The first problem, and how to see the others.
pub(crate) fn refusal(settings: &Settings) -> Failure {
    let mut serious = settings.problems.iter().filter(|problem| problem.serious);
    let Some(first) = serious.next() else {
        return Failure::failed("the configuration cannot be used; report this");
    };
    let line = first.line(&settings.tree, settings.path.as_deref());
    match serious.count() {
        0 => Failure::usage(line),
        more => {
            let file = settings.path.as_deref().filter(|path| *path != Path::new(USUAL_FILE));
            let file = file.map_or_else(String::new, |path| format!(" --config {}", path.display()));
            Failure::usage(format!("{line} ({more} more: `self-runners config check{file}` tells all)"))
        }
    }
}

/// The SQLite file of a data folder.
pub(crate) fn store_path(data_dir: &Path) -> PathBuf {
    data_dir.join("state.db")
}

/// The runners' folders of a data folder.
pub(crate) fn runners_root(data_dir: &Path) -> PathBuf {
    data_dir.join("runners")
}

/// What to do without a token.
pub(crate) const NO_TOKEN: &str = "no GitHub token: set GITHUB_TOKEN in the environment, or `token_file` below [github]; or make a GitHub App with \
     `self-runners github setup`";
