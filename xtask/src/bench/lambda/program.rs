//! One function's process, and the time and memory that it takes.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Pid;
use tempfile::TempDir;

use super::{
    Measured,
    runtime::{Answer, Runtime},
};
use crate::bench::usage::{self, Usage};

/// Variables of a process.
pub(super) type Variables = Vec<(String, String)>;

/// An unpacked zip.
pub(super) struct Bootstrap {
    dir: TempDir,
    zip_bytes: u64,
}

impl Bootstrap {
    /// Unpacks the zip of a function.
    pub(super) fn unpack(dist: &Path, function: &str) -> Measured<Self> {
        let path = dist.join(format!("{function}.zip"));
        let unreadable =
            |what: String| format!("cannot read {}: {what}; `cargo xtask dist --arch x86_64` makes it", path.display());
        let file = fs::File::open(&path).map_err(|error| unreadable(error.to_string()))?;
        let zip_bytes = file.metadata().map_err(|error| unreadable(error.to_string()))?.len();
        let mut zip = zip::ZipArchive::new(file).map_err(|error| unreadable(error.to_string()))?;
        let mut code = Vec::new();
        let mut packed = zip.by_name("bootstrap").map_err(|error| unreadable(error.to_string()))?;
        packed.read_to_end(&mut code).map_err(|error| unreadable(error.to_string()))?;
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let program = dir.path().join("bootstrap");
        let put =
            fs::write(&program, code).and_then(|()| fs::set_permissions(&program, fs::Permissions::from_mode(0o755)));
        put.map_err(|error| error.to_string())?;
        Ok(Self { dir, zip_bytes })
    }

    /// What starts it.
    pub(super) fn command(&self) -> Vec<PathBuf> {
        vec![self.dir.path().join("bootstrap")]
    }

    /// Size of the zip, 10^6 bytes.
    pub(super) fn zip_mb(&self) -> f64 {
        self.zip_bytes as f64 / 1e6
    }
}

/// What starts a module of Node.js as a function: a runtime client of a few lines, as AWS's own is one.
pub(super) fn node(module: &Path) -> Measured<Vec<PathBuf>> {
    let client = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bench/lambda/node.mjs"));
    let module = module.canonicalize().map_err(|error| format!("{}: {error}", module.display()))?;
    Ok(vec!["node".into(), client.into(), module])
}

/// A function's process. It ends when this is dropped.
pub(super) struct Program {
    child: Child,
    runtime: Runtime,
    began: Instant,
}

impl Program {
    /// Starts it, with calls that wait for it already.
    pub(super) fn start(command: &[PathBuf], variables: &Variables, calls: Vec<String>) -> Measured<Self> {
        let runtime = Runtime::begin()?;
        calls.into_iter().for_each(|call| runtime.call(call));
        let mut command_line = Command::new(&command[0]);
        command_line.args(&command[1..]).env_clear().envs(variables.iter().cloned());
        command_line.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command_line.env("AWS_LAMBDA_RUNTIME_API", runtime.address());
        command_line.stdin(Stdio::null()).stdout(Stdio::null());
        let began = Instant::now();
        let child = command_line.spawn().map_err(|error| format!("{}: {error}", command[0].display()))?;
        Ok(Self { child, runtime, began })
    }

    /// From its start to its first answer.
    pub(super) async fn first_answer(&mut self) -> Measured<Duration> {
        let answer = well(self.runtime.answer().await?)?;
        Ok(answer.at - self.began)
    }

    /// From a call to its answer.
    pub(super) async fn call(&mut self, payload: String) -> Measured<Duration> {
        let began = Instant::now();
        self.runtime.call(payload);
        Ok(well(self.runtime.answer().await?)?.at - began)
    }

    /// What it has used.
    pub(super) fn usage(&self) -> Measured<Usage> {
        let pid = Pid::from_raw(self.child.id().cast_signed()).ok_or("no process")?;
        usage::of(pid).ok_or_else(|| "the function ended".to_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A bench of refusals would measure nothing.
fn well(answer: Answer) -> Measured<Answer> {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let failed = !answer.well || body.contains("\"statusCode\":5") || body.contains("itemIdentifier");
    if failed { Err(format!("the function failed: {body}")) } else { Ok(answer) }
}
