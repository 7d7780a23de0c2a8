//! What a container is created with: its environment, its limits, and what it may not.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use controller::ports::ClaimEnv;
use fleet::{effect::LaunchSpec, wire::env};

use super::{DockerSettings, labels};

/// Processes and threads that one container may have: a fork bomb ends there.
const PIDS_MAX: i64 = 16_384;

/// The kernel's usual period of a processor's quota, microseconds.
const CPU_PERIOD_US: i64 = 100_000;

const BYTES_PER_MIB: i64 = 1_048_576;

/// What the engine keeps of a container's output: this size, twice.
const LOG_SIZE: &str = "5m";
const LOG_FILES: &str = "2";

/// Variables of the daemon's that no list can pass on.
const NEVER_PASSED: [&str; 2] = ["SELF_RUNNERS_", "GITHUB_"];

/// What jobs need of root inside their container: package managers change owners and modes and become other users.
/// Docker's own list has NET_RAW (forged packets between containers), MKNOD, SETFCAP, SETPCAP and AUDIT_WRITE besides.
const CAPABILITIES: [&str; 9] =
    ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID", "SYS_CHROOT"];

/// `sudo` writes to the kernel's audit log, and ends where it may not.
const SUDO_CAPABILITY: &str = "AUDIT_WRITE";

/// The container of a launch.
pub(super) fn of(
    settings: &DockerSettings,
    limits_disk: bool,
    image: &str,
    spec: &LaunchSpec,
    claim: &ClaimEnv,
) -> ContainerCreateBody {
    let grace_s = i64::try_from(settings.stop_grace.as_secs()).unwrap_or(i64::MAX);
    ContainerCreateBody {
        image: Some(image.to_owned()),
        user: settings.user.clone(),
        env: Some(environment(settings, spec, claim)),
        labels: Some(labels::of(&settings.stage, spec)),
        stop_signal: Some("SIGTERM".to_owned()),
        stop_timeout: Some(grace_s),
        host_config: Some(host(settings, limits_disk, spec)),
        ..ContainerCreateBody::default()
    }
}

fn environment(settings: &DockerSettings, spec: &LaunchSpec, claim: &ClaimEnv) -> Vec<String> {
    let mut all = Vec::new();
    for name in &settings.pass_env {
        let passed = !NEVER_PASSED.iter().any(|no| name.starts_with(no));
        all.extend(std::env::var(name).ok().filter(|_| passed).map(|value| format!("{name}={value}")));
    }
    let mut set = |name: &str, value: &str| all.push(format!("{name}={value}"));
    for (name, value) in claim.variables(spec) {
        set(name, &value);
    }
    // Where it is not given, the image says it.
    if let Some(dir) = &settings.runner_dir {
        set(env::RUNNER_DIR, dir);
    }
    if settings.debug {
        set(env::DEBUG, "1");
    }
    all
}

fn host(settings: &DockerSettings, limits_disk: bool, spec: &LaunchSpec) -> HostConfig {
    let memory = i64::from(spec.size.memory_mb) * BYTES_PER_MIB;
    let disk = || HashMap::from([("size".to_owned(), format!("{}G", spec.size.disk_gb))]);
    let mut capabilities: Vec<String> = CAPABILITIES.map(str::to_owned).to_vec();
    capabilities.extend(settings.allow_sudo.then(|| SUDO_CAPABILITY.to_owned()));
    HostConfig {
        // A quota, because the engine refuses a number of processors that the machine does not have.
        cpu_period: Some(CPU_PERIOD_US),
        cpu_quota: Some(i64::from(spec.size.cpu_milli) * CPU_PERIOD_US / 1_000),
        memory: Some(memory),
        // Memory and swap together: no swap.
        memory_swap: Some(memory),
        pids_limit: Some(PIDS_MAX),
        storage_opt: limits_disk.then(disk),
        // Core files hold tokens.
        ulimits: Some(vec![ResourcesUlimits { name: Some("core".to_owned()), soft: Some(0), hard: Some(0) }]),
        log_config: Some(log()),
        network_mode: Some(settings.network.clone()),
        // An end is an end, and is looked at before the container goes.
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        auto_remove: Some(false),
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(capabilities),
        security_opt: (!settings.allow_sudo).then(|| vec!["no-new-privileges".to_owned()]),
        ..HostConfig::default()
    }
}

fn log() -> HostConfigLogConfig {
    let options = [("max-size", LOG_SIZE), ("max-file", LOG_FILES)];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(HashMap::from(options)) }
}

#[cfg(test)]
mod tests {
    use controller::{contract::facts, ports::Secret};

    use super::*;

    fn body(change: impl FnOnce(&mut DockerSettings)) -> ContainerCreateBody {
        let mut settings = DockerSettings::new("dev", "/data");
        change(&mut settings);
        let claim = ClaimEnv::Ask { url: "http://172.17.0.1:8080".into(), token: Secret::new("t") };
        of(&settings, false, "image", &facts::launch("sr-dev-a", 1), &claim)
    }

    #[test]
    fn a_container_has_the_limits_of_its_class_and_no_privileges() {
        let host = body(|_| {}).host_config.unwrap();
        assert_eq!((host.cpu_quota, host.cpu_period), (Some(400_000), Some(100_000)));
        assert_eq!((host.memory, host.memory_swap), (Some(16 << 30), Some(16 << 30)));
        assert_eq!((host.privileged, host.auto_remove, host.storage_opt), (Some(false), Some(false), None));
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges".to_owned()]));
        assert!(!host.cap_add.unwrap().contains(&SUDO_CAPABILITY.to_owned()));
        let sudo = body(|settings| settings.allow_sudo = true).host_config.unwrap();
        assert_eq!((sudo.security_opt, sudo.privileged), (None, Some(false)));
    }

    #[test]
    fn the_daemons_own_variables_are_never_passed_on() {
        let env = body(|settings| settings.pass_env = vec!["PATH".into(), "GITHUB_TOKEN".into()]).env.unwrap();
        let names: Vec<&str> = env.iter().filter_map(|one| Some(one.split_once('=')?.0)).collect();
        assert_eq!(names, ["PATH", env::RUNNER, env::ATTEMPT, env::URL, env::CLAIM_TOKEN]);
    }
}
