//! What single values of the configuration must be. Each problem says what to write instead.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use fleet::{
    class::{CLASS_MAX_DEFAULT, Class},
    ids::Repo,
    labels::LabelSet,
    policy::{Owner, Policy},
    wishes::Allow,
};

use super::{
    config::{ConfigFile, EngineSection, OwnerSection},
    plain, secrets,
    settings::Problems,
};

/// The operator's rules.
pub(crate) fn policy(file: &ConfigFile, problems: &mut Problems) -> Option<Policy> {
    let stage = problems.keep(&["stage"], stage(&file.stage));
    problems.keep(&["max"], cap(file.max, file.max_above_ten));
    let required = Some(file.required_label.to_ascii_lowercase()).filter(|label| !label.is_empty());
    let owners = owners(&file.owners, problems);
    let classes = classes(file, required.as_deref(), problems);
    Some(Policy {
        stage: stage?,
        max: file.max,
        classes,
        public_allowed: public(file, &owners, problems),
        owners,
        required_label: required,
        rerun_interrupted: file.rerun_interrupted,
        confirm_after_ms: file.confirm_after_ms,
    })
}

fn stage(stage: &str) -> Result<String, String> {
    let plain = stage.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if stage.is_empty() || stage.len() > STAGE_CHARS_MAX || !plain {
        return Err(format!(
            "`{stage}` cannot be part of runners' names: use 1 to {STAGE_CHARS_MAX} lower-case letters and digits"
        ));
    }
    Ok(stage.to_owned())
}

fn cap(max: u32, above_ten: bool) -> Result<(), String> {
    if max > CLASS_MAX_DEFAULT && !above_ten {
        return Err(format!(
            "{max} is above {CLASS_MAX_DEFAULT}: if that is meant, write `max_above_ten = true` at the top of the file"
        ));
    }
    Ok(())
}

fn owners(sections: &BTreeMap<String, OwnerSection>, problems: &mut Problems) -> BTreeMap<String, Owner> {
    if sections.is_empty() {
        problems.add(&[], "no owner is served: add a section [owners.NAME] with the name of an organisation or user");
    }
    let mut owners = BTreeMap::new();
    for (name, section) in sections {
        let key = ["owners", name.as_str()];
        problems.keep(&key, login(name));
        let lower = name.to_ascii_lowercase();
        let owner = owner(name, section, problems);
        if owners.insert(lower, owner).is_some() {
            problems.add(&key, "this owner stands here twice; GitHub does not tell upper from lower case");
        }
    }
    owners
}

fn owner(name: &str, section: &OwnerSection, problems: &mut Problems) -> Owner {
    let repositories = section.repositories.as_ref().map(|list| {
        if list.is_empty() {
            problems
                .warn(&["owners", name, "repositories"], "an empty list serves none; leave the key out to serve all");
        }
        let repository = |(n, text): (usize, &String)| {
            let at = n.to_string();
            problems.keep(&["owners", name, "repositories", &at], repository(name, text))
        };
        list.iter().enumerate().filter_map(repository).collect()
    });
    Owner { organization: section.organization, repositories }
}

/// GitHub's rule for names of users and organisations; `_` occurs in those of managed users.
fn login(name: &str) -> Result<(), String> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if name.is_empty() || name.len() > LOGIN_CHARS_MAX || !plain || name.starts_with('-') || name.ends_with('-') {
        return Err(format!(
            "`{name}` is no name of an organisation or user: write it as in the address github.com/NAME"
        ));
    }
    Ok(())
}

fn repository(owner: &str, text: &str) -> Result<Repo, String> {
    let full = if text.contains('/') { text.to_owned() } else { format!("{owner}/{text}") };
    let ours = Repo::parse(&full).filter(|repo| repo.owner() == owner.to_ascii_lowercase());
    ours.ok_or_else(|| format!("`{text}` is no repository of {owner}: write `NAME` or `{owner}/NAME`"))
}

fn public(file: &ConfigFile, owners: &BTreeMap<String, Owner>, problems: &mut Problems) -> BTreeSet<Repo> {
    let mut allowed = BTreeSet::new();
    for (n, text) in file.public_allowed.iter().enumerate() {
        let at = n.to_string();
        let key = ["public_allowed", at.as_str()];
        match Repo::parse(text) {
            Some(repo) if owners.contains_key(repo.owner()) => {
                allowed.insert(repo);
            }
            Some(repo) => {
                problems.warn(&key, format!("{repo} is not served: there is no section [owners.{}]", repo.owner()))
            }
            None => problems.add(&key, format!("`{text}` is no repository: write `owner/name`")),
        }
    }
    allowed
}

fn classes(file: &ConfigFile, required: Option<&str>, problems: &mut Problems) -> Vec<Class> {
    if file.classes.is_empty() {
        return vec![plain::class()];
    }
    let groups_exist = file.owners.values().any(|owner| owner.organization);
    let mut checked: Vec<Class> = Vec::new();
    for (n, class) in file.classes.iter().enumerate() {
        let at = n.to_string();
        let key = |name| ["classes", at.as_str(), name];
        problems.keep(&key("name"), class_name(class, &checked));
        problems.keep(&key("max"), cap(class.max, file.max_above_ten));
        if class.placements == 0 {
            problems.add(&key("placements"), "a job that may be placed 0 times never runs: write 1 or more");
        }
        size(class, &at, problems);
        allow(&class.allow, &at, problems);
        if file.aws.is_none() {
            vain(&class.allow, &file.engine, &at, problems);
        }
        if class.group.is_some() && !groups_exist {
            problems
                .warn(&key("group"), "only organisations have runner groups, and no owner has `organization = true`");
        }
        let labels = problems.keep(&key("labels"), labels(class, required)).unwrap_or_default();
        checked.push(Class { labels, ..class.clone() });
    }
    checked
}

fn class_name(class: &Class, before: &[Class]) -> Result<(), String> {
    let name = class.name.as_str();
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if name.is_empty() || name.len() > CLASS_CHARS_MAX || !plain {
        return Err(format!("`{name}` is no name of a class: use 1 to {CLASS_CHARS_MAX} letters, digits, `-` and `_`"));
    }
    if before.iter().any(|other| other.name == class.name) {
        return Err(format!("a class before it is named `{name}` too: rename one"));
    }
    Ok(())
}

/// As read from the file they are neither in lower case nor checked.
fn labels(class: &Class, required: Option<&str>) -> Result<LabelSet, String> {
    let labels = LabelSet::parse(class.labels.iter()).map_err(|bad| bad.to_string())?;
    if labels.is_empty() {
        return Err(
            "without labels no job could ask for this class: write `labels = [\"self-hosted\", \"linux\"]`".into()
        );
    }
    match required.filter(|label| !labels.contains(label)) {
        Some(label) => Err(format!(
            "`{label}` is not among them, but every job must ask for it (`required_label`), so none would get this class"
        )),
        None => Ok(labels),
    }
}

fn size(class: &Class, at: &str, problems: &mut Problems) {
    let size = &class.size;
    for (name, value) in [("cpu_milli", size.cpu_milli), ("memory_mb", size.memory_mb), ("disk_gb", size.disk_gb)] {
        if value == 0 {
            problems.add(&["classes", at, "size", name], "a machine without any: write a number above 0");
        }
    }
    let times = [
        ("boot_timeout_ms", class.boot_timeout_ms),
        ("idle_timeout_ms", class.idle_timeout_ms),
        ("max_lifetime_ms", class.max_lifetime_ms),
    ];
    for (name, value) in times {
        problems.keep(&["classes", at, name], time(value));
    }
}

fn allow(allow: &Allow, at: &str, problems: &mut Problems) {
    let wide = |bounds: Option<[u32; 2]>| bounds.map(|bounds| bounds.map(u64::from));
    let all = [
        ("cpu_milli", wide(allow.cpu_milli)),
        ("memory_mb", wide(allow.memory_mb)),
        ("disk_gb", wide(allow.disk_gb)),
        ("timeout_ms", allow.timeout_ms),
    ];
    for (name, bounds) in all {
        if let Some([least, most]) = bounds
            && (least == 0 || least > most)
        {
            let what = format!("{least} to {most} are no bounds: write the least above 0, then the most");
            problems.add(&["classes", at, "allow", name], what);
        }
    }
    let times = allow.timeout_ms.map(|bounds| bounds.map(time).into_iter().collect::<Result<(), _>>());
    problems.keep(&["classes", at, "allow", "timeout_ms"], times.unwrap_or(Ok(())));
}

/// What may be asked for and has no effect on this machine.
fn vain(allow: &Allow, engine: &EngineSection, at: &str, problems: &mut Problems) {
    if allow.spot {
        problems
            .warn(&["classes", at, "allow", "spot"], "this machine has no spare capacity to ask for: only AWS does");
    }
    if allow.disk_gb.is_some() && matches!(engine, EngineSection::Process { .. }) {
        problems
            .warn(&["classes", at, "allow", "disk_gb"], "the disk of processes is not limited, whatever is asked for");
    }
}

/// The times of the whole daemon.
pub(crate) fn times(file: &ConfigFile, problems: &mut Problems) {
    problems.keep(&["sweep_interval_ms"], time(file.sweep_interval_ms));
    problems.keep(&["heartbeat_ms"], time(file.heartbeat_ms));
}

/// Whoever writes `5` or `60` most likely means seconds or minutes.
fn time(value_ms: u64) -> Result<(), String> {
    if value_ms >= MS_MIN {
        return Ok(());
    }
    Err(format!("{value_ms} milliseconds are too few: write at least {MS_MIN} (a second is 1000, a minute 60000)"))
}

/// The engine; the answer is the folder of the runner program, where runners are processes.
pub(super) fn engine(file: &ConfigFile, problems: &mut Problems) -> Option<Option<PathBuf>> {
    match &file.engine {
        EngineSection::Process { runner_dir: dir, pass_env, .. } => {
            root(pass_env, problems);
            problems.keep(&["engine", "runner_dir"], dir.as_deref().map(runner_dir).transpose())
        }
        EngineSection::Docker { image, network, .. } => {
            problems.keep(&["engine", "network"], bridge(network));
            problems.keep(&["engine", "image"], image.as_deref().map_or(Ok(()), image_name));
            for (n, class) in file.classes.iter().enumerate() {
                let at = n.to_string();
                problems.keep(&["classes", &at, "image"], class_image(class.image.as_deref(), image.as_deref()));
            }
            Some(None)
        }
    }
}

fn class_image(own: Option<&str>, usual: Option<&str>) -> Result<(), String> {
    match (own, usual) {
        (Some(own), _) => image_name(own),
        (None, Some(_)) => Ok(()),
        (None, None) => Err("no image: name one here, or for all classes with `image` below [engine]".to_owned()),
    }
}

fn image_name(text: &str) -> Result<(), String> {
    if local::docker::is_image(text) {
        return Ok(());
    }
    Err(format!("`{text}` is no name of an image: write it as for `docker pull`"))
}

/// Containers in the machine's own network could reach everything that listens on its loopback address, `/webhook` too.
fn bridge(network: &str) -> Result<(), String> {
    if network.is_empty() || ["host", "none"].contains(&network) || network.starts_with("container:") {
        return Err(format!("`{network}` keeps nothing apart: name a bridge (`docker network ls`)"));
    }
    Ok(())
}

/// The runner program refuses root unless a variable says otherwise (FACTS §3), and that variable must reach it.
fn root(pass_env: &[String], problems: &mut Problems) {
    let told = std::env::var_os(ALLOW_ROOT).is_some() && pass_env.iter().any(|name| name == ALLOW_ROOT);
    if rustix::process::geteuid().is_root() && !told {
        let what = format!(
            "you are root, whom the runner program refuses: be another user, or `export {ALLOW_ROOT}=1` and write \
             `pass_env = [\"{ALLOW_ROOT}\"]`"
        );
        problems.warn(&["engine"], what);
    }
}

/// No secret of ours may be handed to jobs.
pub(super) fn pass_env(names: &[String], problems: &mut Problems) {
    for (n, name) in names.iter().enumerate().filter(|(_, name)| secrets::VARIABLES.contains(&name.as_str())) {
        let what = format!("{name} is this daemon's secret and must not reach jobs: take it out of the list");
        problems.add(&["engine", "pass_env", &n.to_string()], what);
    }
}

/// An address and a port.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("cannot listen on `{text}`: write an address and a port, as 127.0.0.1:8080"))
}

/// A URL, without the slash at its end.
pub(crate) fn url(text: &str) -> Result<String, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err(format!("`{text}` is no URL: begin it with http:// or https://"))
}

/// Where GitHub is: tokens go there.
pub(crate) fn github_url(text: &str) -> Result<(), String> {
    url(text).and_then(|_| github::check_base_url(text))
}

/// What is left for everything else must be enough.
pub(super) fn poll_share(percent: u32) -> Result<(), String> {
    if percent <= POLL_SHARE_MAX {
        return Ok(());
    }
    Err(format!("{percent}: give 0 to {POLL_SHARE_MAX}; the rest of GitHub's limits is for claims and repairs"))
}

/// The folder of the runner program, from the root.
fn runner_dir(dir: &Path) -> Result<PathBuf, String> {
    let shown = dir.display();
    if dir.join("run.sh").is_file() {
        return std::path::absolute(dir).map_err(|error| format!("{shown}: {error}"));
    }
    Err(format!("no runner program in `{shown}`: unpack a release of actions/runner there, or name its folder"))
}

/// The runner program's own variable.
const ALLOW_ROOT: &str = "RUNNER_ALLOW_RUNASROOT";

/// Beyond it too little is left for everything else.
const POLL_SHARE_MAX: u32 = 80;

/// Runners' names carry the stage, and GitHub takes 64 characters.
const STAGE_CHARS_MAX: usize = 20;

/// Names of classes stand in labels and names of machines.
const CLASS_CHARS_MAX: usize = 40;

/// GitHub's limit for names of users and organisations.
const LOGIN_CHARS_MAX: usize = 39;

/// Below this a time was most likely meant in another unit.
const MS_MIN: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_containers_needs_an_image() {
        assert!(class_image(Some("ghcr.io/a/runner:1"), None).is_ok() && class_image(None, Some("x")).is_ok());
        assert!(class_image(None, None).unwrap_err().contains("below [engine]"));
        assert!(class_image(Some("a runner"), None).unwrap_err().contains("docker pull"));
    }

    #[test]
    fn containers_are_never_in_the_machines_own_network() {
        assert!(bridge("bridge").is_ok() && bridge("runners").is_ok());
        for bad in ["", "host", "none", "container:x"] {
            assert!(bridge(bad).is_err(), "{bad}");
        }
    }
}
