//! Which daemon a command is about, and the two ways to it: its store's file, and its control socket.

use std::path::PathBuf;

use fleet::policy::Policy;
use local::sqlite::SqliteReader;

use crate::{control::Client, failure::Failure, serve};

/// Which daemon.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DaemonArgs {
    /// The daemon's configuration file; `self-runners.toml` of this folder if there is one
    #[arg(long, value_name = "FILE", env = "SELF_RUNNERS_CONFIG")]
    config: Option<PathBuf>,
    /// The daemon's data folder
    #[arg(long, value_name = "DIR", env = "SELF_RUNNERS_DATA")]
    data: Option<PathBuf>,
}

impl DaemonArgs {
    /// Its data folder.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, Failure> {
        match &self.data {
            Some(data) => Ok(data.clone()),
            None => serve::data_dir_of(self.config.as_deref()),
        }
    }

    /// Its store, to read.
    pub(crate) fn reader(&self) -> Result<SqliteReader, Failure> {
        let data = self.data_dir()?;
        SqliteReader::open(&serve::store_path(&data)).map_err(|error| Failure::failed(error.message))
    }

    /// Its control socket.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(&self.data_dir()?))
    }

    /// The rules that its configuration sets, if that is named and good. With `--data` alone it is not known.
    pub(crate) fn policy(&self) -> Option<Policy> {
        if self.data.is_some() && self.config.is_none() {
            return None;
        }
        serve::policy_of(self.config.as_deref())
    }
}

/// Who types: for the daemon's log and records. A word, no proof; who may use the socket is the file system's business.
pub(crate) fn person(why: Option<&str>) -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].iter().filter_map(|name| std::env::var(name).ok());
    let name = named.into_iter().find(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()));
    match why.map(str::trim).filter(|why| !why.is_empty()) {
        Some(why) => format!("{name} ({why})"),
        None => name,
    }
}
