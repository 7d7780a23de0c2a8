//! `config.sh`: registers with a registration token.
//!
//! The official program's words and exit codes; the token goes to the broker and nowhere else.

use std::path::Path;

use super::arguments::Arguments;
use super::broker::{Broker, Refusal};
use super::console::Console;
use super::folder;
use super::wire::{RUNNER_VERSION, RegisterRequest};
use super::{Exit, arch, os};

/// Runs `configure`.
pub(super) fn configure(root: &Path, args: &Arguments, console: &Console) -> Exit {
    match register(root, args) {
        Ok(()) => {
            console.say("\n√ Connected to GitHub\n");
            console.say("√ Runner successfully added");
            console.say("√ Runner connection is good\n");
            console.say("√ Settings Saved.\n");
            Exit::Done
        }
        Err(message) => {
            console.complain(&message);
            Exit::Terminated
        }
    }
}

/// Runs `remove`: only the local files can be, an ephemeral registration is removed through REST.
pub(super) fn remove(root: &Path, args: &Arguments, console: &Console) -> Exit {
    if args.flag("local") {
        folder::forget(root);
        console.say("√ Removed .credentials\n√ Removed .runner");
        return Exit::Done;
    }
    console.complain("remove the registration through the REST API (DELETE …/actions/runners/{id}), then use --local");
    Exit::Terminated
}

fn register(root: &Path, args: &Arguments) -> Result<(), String> {
    if folder::configured(root) {
        let advice = "to reconfigure, remove it first: './config.sh remove --local'";
        return Err(format!("Cannot configure the runner because it is already configured; {advice}."));
    }
    let wanted =
        |name: &str| args.get(name).ok_or_else(|| format!("Invalid configuration provided for {name}; add `--{name}`"));
    let url = wanted("url")?;
    let base = origin(url).ok_or("Invalid configuration provided for url; it looks like http://host:port/owner")?;
    let request = RegisterRequest {
        url: url.to_owned(),
        token: wanted("token")?.to_owned(),
        name: wanted("name")?.to_owned(),
        labels: labels(args),
        group: args.get("runnergroup").map(str::to_owned),
        ephemeral: args.flag("ephemeral"),
        replace: args.flag("replace"),
        version: RUNNER_VERSION.to_owned(),
        work_folder: args.get("work").unwrap_or("_work").to_owned(),
    };
    let answer = Broker::new(base, 0, "").register(&request).map_err(|refusal| said(&refusal))?;
    folder::store_answer(root, &answer).map_err(|error| format!("cannot write the configuration: {error}"))
}

fn said(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Gone => "Http response code: NotFound; the URL or the registration token is not valid".to_owned(),
        Refusal::Conflict => "A runner exists with the same name; use another, or add --replace".to_owned(),
        Refusal::Deprecated => format!("Runner version v{RUNNER_VERSION} is deprecated and cannot register"),
        Refusal::Trouble(why) => format!("cannot reach the server: {why}"),
    }
}

fn labels(args: &Arguments) -> Vec<String> {
    let mut labels = Vec::new();
    if !args.flag("no-default-labels") {
        labels.extend(["self-hosted", os(), arch()].map(str::to_owned));
    }
    let own = args.get("labels").unwrap_or_default().split(',').map(str::trim).filter(|label| !label.is_empty());
    labels.extend(own.map(str::to_owned));
    labels
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> Option<&str> {
    let start = url.find("://")? + 3;
    let end = url[start..].find('/').map_or(url.len(), |found| start + found);
    (end > start).then(|| &url[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        assert_eq!(origin("http://127.0.0.1:80/acme/web"), Some("http://127.0.0.1:80"));
        assert_eq!(origin("http://h"), Some("http://h"));
        assert_eq!(origin("http:///x"), None);
        assert_eq!(origin("acme"), None);
    }
}
