//! The logs of ended containers, kept in the data folder where the operator wants them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bollard::{Docker, query_parameters::LogsOptionsBuilder};
use fleet::ids::TaskId;
use futures_util::TryStreamExt as _;

use crate::disk::make_dirs;

/// Lines of one container that are kept, the last ones.
const LINES_MAX: &str = "20000";

/// Bytes of one container that are kept.
const BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Logs that are kept, the newest ones.
const FILES_MAX: usize = 500;

/// Keeps what a container printed.
pub(super) async fn keep(docker: &Docker, dir: &Path, id: &TaskId) {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(LINES_MAX).build();
    let lines = docker.logs(id.as_str(), Some(options)).try_fold(Vec::new(), |mut text, line| async move {
        let room = BYTES_MAX.saturating_sub(text.len());
        let line = line.into_bytes();
        text.extend_from_slice(&line[..line.len().min(room)]);
        Ok(text)
    });
    let kept = match lines.await {
        Ok(text) => write(dir, id, &text).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = kept {
        tracing::warn!("the log of {id} is not kept: {error}");
    }
}

fn write(dir: &Path, id: &TaskId, text: &[u8]) -> io::Result<()> {
    make_dirs(dir)?;
    fs::write(dir.join(format!("{id}.log")), text)?;
    let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(dir)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(FILES_MAX);
    files.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
}
