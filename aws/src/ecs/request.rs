//! The call that starts a task, made from the stored launch alone: the same launch is the same call.

use aws_sdk_ecs::{
    Client,
    operation::run_task::builders::RunTaskFluentBuilder,
    types::{
        AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, EphemeralStorage,
        KeyValuePair, LaunchType, NetworkConfiguration, PropagateTags, Tag, TaskOverride,
    },
};
use controller::ports::{ClaimEnv, ErrorKind, PortResult};
use fleet::{class::Size, effect::LaunchSpec};
use serde_json::json;

use super::{
    EcsSettings, names,
    placement::{self, EcsClass, Provider},
    refused, tags,
};
use crate::settings::size::DISK_GB_DEFAULT;

/// Characters of the overrides, JSON and all (FACTS §4).
const OVERRIDES_MAX: usize = 8_192;

/// CPU units of a processor.
const UNITS_PER_CPU: u32 = 1_024;

/// The call for a launch.
///
/// # Errors
/// `Invalid`: the configuration has no place for it, or ECS would refuse its names.
pub(super) fn of(
    settings: &EcsSettings,
    client: &Client,
    spec: &LaunchSpec,
    claim: &ClaimEnv,
) -> PortResult<RunTaskFluentBuilder> {
    let invalid = |why: &str| refused(ErrorKind::Invalid, spec, why);
    let Some(class) = settings.classes.get(&spec.pool.class) else {
        return Err(invalid("its class has no task definition: run `self-runners deploy` again"));
    };
    let Some((subnet, provider)) = placement::of(spec, &settings.subnets, class) else {
        return Err(invalid("there is no subnet to run it in: name some in the configuration, and deploy again"));
    };
    let ask = client
        .run_task()
        .cluster(&settings.cluster)
        .task_definition(&class.task_definition)
        .count(1)
        .client_token(names::client_token(spec)?)
        .started_by(names::started_by(&settings.stage, spec)?)
        .set_group(settings.group.clone())
        .set_tags(Some(tags(&settings.stage, spec)?))
        // The stage's and the operator's, for the bill.
        .propagate_tags(PropagateTags::TaskDefinition)
        .network_configuration(network(settings, subnet, provider).map_err(|error| invalid(&error))?)
        .overrides(overrides(class, spec, claim).map_err(|error| invalid(&error))?);
    on(ask, provider).map_err(|error| invalid(&error))
}

/// On-demand Fargate needs no association with the cluster; all else is named as a capacity provider.
fn on(ask: RunTaskFluentBuilder, provider: &Provider) -> Result<RunTaskFluentBuilder, String> {
    let name = match provider {
        Provider::Fargate => return Ok(ask.launch_type(LaunchType::Fargate)),
        Provider::FargateSpot => "FARGATE_SPOT",
        Provider::Named(name) => name,
    };
    let item = CapacityProviderStrategyItem::builder().capacity_provider(name).weight(1).build();
    Ok(ask.capacity_provider_strategy(item.map_err(|error| error.to_string())?))
}

fn tags(stage: &str, spec: &LaunchSpec) -> PortResult<Vec<Tag>> {
    let tags = tags::of(stage, spec)?.into_iter();
    Ok(tags.map(|(key, value)| Tag::builder().key(key).value(value).build()).collect())
}

fn network(settings: &EcsSettings, subnet: &str, provider: &Provider) -> Result<NetworkConfiguration, String> {
    let public = match provider {
        Provider::Fargate | Provider::FargateSpot if settings.assign_public_ip => Some(AssignPublicIp::Enabled),
        Provider::Fargate | Provider::FargateSpot => Some(AssignPublicIp::Disabled),
        // A task on an instance goes out through the instance's addresses: ECS refuses one of its own.
        Provider::Named(_) => None,
    };
    let vpc = AwsVpcConfiguration::builder()
        .subnets(subnet)
        .set_security_groups(Some(settings.security_groups.clone()))
        .set_assign_public_ip(public)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(NetworkConfiguration::builder().awsvpc_configuration(vpc).build())
}

/// What is told to the agent, and a size that the task definition does not have.
fn overrides(class: &EcsClass, spec: &LaunchSpec, claim: &ClaimEnv) -> Result<TaskOverride, String> {
    let told = claim.variables(spec);
    let mut container = ContainerOverride::builder().name(&class.container);
    for (name, value) in &told {
        container = container.environment(KeyValuePair::builder().name(*name).value(value).build());
    }
    let mut all = TaskOverride::builder();
    let size = class.size.filter(|size| *size != spec.size).map(|_| spec.size);
    if let Some(size) = size {
        let disk = EphemeralStorage::builder().size_in_gib(i32::try_from(size.disk_gb).unwrap_or(i32::MAX)).build();
        // What every task has cannot be asked for.
        let disk = Some(disk).filter(|_| class.is_on_fargate() && size.disk_gb > DISK_GB_DEFAULT);
        all = all.cpu(cpu(&size)).memory(size.memory_mb.to_string()).set_ephemeral_storage(disk);
    }
    let length = length(class, &told, size);
    if length > OVERRIDES_MAX {
        let instead = match claim {
            ClaimEnv::Ask { .. } => "shorten the control plane's URL",
            ClaimEnv::Given(_) => "GitHub's configuration is too long for `credentials = \"env\"`; take `jit`",
        };
        return Err(format!(
            "what its agent is told is {length} characters long and ECS takes {OVERRIDES_MAX}: {instead}"
        ));
    }
    Ok(all.container_overrides(container.build()).build())
}

fn cpu(size: &Size) -> String {
    (u64::from(size.cpu_milli) * u64::from(UNITS_PER_CPU) / 1_000).to_string()
}

/// Characters of the overrides as they are sent.
fn length(class: &EcsClass, told: &[(&str, String)], size: Option<Size>) -> usize {
    let environment: Vec<_> = told.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let mut all = json!({"containerOverrides": [{"name": class.container, "environment": environment}]});
    if let Some(size) = size {
        all["cpu"] = json!(cpu(&size));
        all["memory"] = json!(size.memory_mb.to_string());
        all["ephemeralStorage"] = json!({"sizeInGiB": size.disk_gb});
    }
    all.to_string().chars().count()
}
