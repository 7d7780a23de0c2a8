//! Where runners run: the cluster, a task definition for each class, the repository of their image.

use std::collections::BTreeSet;

use fleet::{
    class::{Arch, Class},
    ids::ClassName,
};
use serde_json::{Value, json};

use super::{
    Stack,
    policy::{Arn, Statement},
    stack_name,
    template::{Id, Resource, Template, join},
};
use crate::settings::{
    CapacityKind,
    size::{DISK_GB_DEFAULT, cpu_units},
};

/// The container of a task; overrides name it.
pub const CONTAINER: &str = "runner";

/// What tasks are grouped under, as in the original system.
pub const SERVICE: &str = "RunnersService";

/// What there is.
pub(super) struct Cluster {
    /// The cluster.
    pub(super) id: Id,
    /// Task definitions by class.
    pub(super) tasks: Vec<(ClassName, Id)>,
    /// The role of the tasks, which may do nothing.
    pub(super) task_role: Id,
    /// The role with which ECS starts tasks.
    pub(super) execution_role: Id,
}

/// Name of the log group of a stage's runners.
#[must_use]
pub fn runner_logs(stage: &str) -> String {
    format!("/ecs/{SERVICE}/{stage}")
}

impl Stack<'_> {
    /// Makes them.
    pub(super) fn cluster(&self, template: &mut Template) -> Cluster {
        let cluster = json!({
            "ClusterName": stack_name(&self.policy.stage),
            "CapacityProviders": self.cluster_providers(),
            // Its metrics cost more than the control plane; what a runner does is in our own rows.
            "ClusterSettings": [{ "Name": "containerInsights", "Value": "disabled" }],
            "Tags": self.tag_list(),
        });
        let id = template.add("Cluster", Resource::new("AWS::ECS::Cluster", "Where the runners run.", cluster));
        template.output("ClusterName", "Name of the cluster", id.reference());
        let repository = self.repository(template);
        let name = runner_logs(&self.policy.stage);
        let logs = self.log_group(template, "RunnersLogs".into(), &name, "What the agents of runners write.");
        let task_role = self.task_role(template);
        let execution_role = self.execution_role(template, &repository, &logs);
        let mut tasks = Vec::new();
        let mut used = BTreeSet::new();
        for class in &self.policy.classes {
            let definition = self.task_definition(class, &logs, &task_role, &execution_role);
            let id = template.add(logical_name(class, &mut used), definition);
            tasks.push((class.name.clone(), id));
        }
        Cluster { id, tasks, task_role, execution_role }
    }

    fn task_definition(&self, class: &Class, logs: &Id, task_role: &Id, execution_role: &Id) -> Resource {
        let size = &class.size;
        let capacity = self.settings.capacity.get(&class.name);
        let runs_on = capacity.map_or("FARGATE", |capacity| match capacity.kind {
            CapacityKind::Ec2 => "EC2",
            CapacityKind::Managed => "MANAGED_INSTANCES",
        });
        // The disk of an instance is its provider's matter.
        let disk = (capacity.is_none() && size.disk_gb > DISK_GB_DEFAULT).then(|| json!({ "SizeInGiB": size.disk_gb }));
        let definition = json!({
            "Family": self.name(class.name.as_str()),
            "RequiresCompatibilities": [runs_on],
            "NetworkMode": "awsvpc",
            "Cpu": cpu_units(size).to_string(),
            "Memory": size.memory_mb.to_string(),
            "RuntimePlatform": { "CpuArchitecture": architecture(size.arch), "OperatingSystemFamily": "LINUX" },
            "TaskRoleArn": task_role.att("Arn"),
            "ExecutionRoleArn": execution_role.att("Arn"),
            "ContainerDefinitions": [{
                "Name": CONTAINER,
                "Image": self.settings.image_of(class),
                "Essential": true,
                "StopTimeout": STOP_TIMEOUT_S,
                "LogConfiguration": {
                    "LogDriver": "awslogs",
                    "Options": {
                        "awslogs-group": logs.reference(),
                        "awslogs-region": { "Ref": "AWS::Region" },
                        "awslogs-stream-prefix": class.name,
                    },
                },
            }],
            "Tags": self.tag_list(),
        });
        let about = format!("Machines of the class `{}`.", class.name);
        Resource::new("AWS::ECS::TaskDefinition", about, definition).with("EphemeralStorage", disk)
    }

    /// Those of Managed Instances are the cluster's from their making on, and are not named.
    fn cluster_providers(&self) -> Vec<&str> {
        let capacity = self.settings.capacity.values().filter(|capacity| capacity.kind == CapacityKind::Ec2);
        let own: BTreeSet<&str> = capacity.flat_map(|capacity| &capacity.providers).map(String::as_str).collect();
        ["FARGATE", "FARGATE_SPOT"].into_iter().chain(own).collect()
    }

    fn repository(&self, template: &mut Template) -> Id {
        let keep = json!({ "rules": [{
            "rulePriority": 1,
            "description": "Images that nothing names any more",
            "selection": { "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": UNTAGGED_DAYS },
            "action": { "type": "expire" },
        }] });
        let own = self.key().map_or_else(
            || json!({ "EncryptionType": "AES256" }),
            |key| json!({ "EncryptionType": "KMS", "KmsKey": key }),
        );
        let repository = json!({
            "RepositoryName": format!("{}/{CONTAINER}", stack_name(&self.policy.stage)),
            "ImageTagMutability": "IMMUTABLE",
            "ImageScanningConfiguration": { "ScanOnPush": true },
            "EncryptionConfiguration": own,
            "LifecyclePolicy": { "LifecyclePolicyText": keep.to_string() },
            "EmptyOnDelete": true,
            "Tags": self.tag_list(),
        });
        let about = "For the image of the runners.";
        let id = template.add("Repository", Resource::new("AWS::ECR::Repository", about, repository));
        template.output("RepositoryUri", "Where the image of the runners can be pushed", id.att("RepositoryUri"));
        id
    }

    /// A job can take on the role of its task: so that role may do nothing at all.
    fn task_role(&self, template: &mut Template) -> Id {
        let about = "What jobs may do in this account: nothing.";
        template.add("TaskRole", self.role(about, TASKS, Some(task_trust()), Vec::new()))
    }

    fn execution_role(&self, template: &mut Template, repository: &Id, logs: &Id) -> Id {
        let images = self.policy.classes.iter().filter_map(|class| ecr(self.settings.image_of(class)?));
        let images: BTreeSet<[String; 3]> = images.collect();
        let mut repositories = vec![Arn::of(repository)];
        repositories.extend(images.into_iter().map(|image| Arn::repository(&image)));
        let statements = vec![
            Statement::allow("PullImage", PULL_ACTIONS, repositories),
            Statement::anywhere("PullToken", &["ecr:GetAuthorizationToken"], "the token is the account's"),
            Statement::allow("Logs", WRITE_LOGS, [Arn::below(logs, ":*")]),
        ];
        let about = "With which ECS pulls the image and writes logs.";
        template.add("ExecutionRole", self.role(about, TASKS, Some(task_trust()), statements))
    }

    /// Families of this stage's task definitions, in any revision: a function that an update has not reached yet uses
    /// the one before.
    pub(super) fn families(&self) -> Vec<Arn> {
        let name = |class: &Class| format!("task-definition/{}:*", self.name(class.name.as_str()));
        self.policy.classes.iter().map(|class| Arn::local("ecs", name(class))).collect()
    }
}

impl Cluster {
    /// `class=arn`, with commas.
    pub(super) fn task_definitions(&self) -> Value {
        let mut parts = Vec::new();
        for (n, (class, id)) in self.tasks.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            parts.push(format!("{comma}{class}=").into());
            parts.push(id.reference());
        }
        join("", parts)
    }

    /// The tasks of this cluster.
    fn all_tasks(&self) -> Arn {
        Arn::local("ecs", format!("task/${{{}}}/*", self.id.as_str()))
    }

    /// What starts, looks at and stops runners may do.
    pub(super) fn permissions(&self, families: Vec<Arn>) -> Vec<Statement> {
        let here = json!({ "ArnEquals": { "ecs:cluster": self.id.att("Arn") } });
        vec![
            Statement::allow("StartRunners", &["ecs:RunTask"], families).only_if(here.clone()),
            Statement::allow("TagRunners", &["ecs:TagResource"], [self.all_tasks()])
                .only_if(json!({ "StringEquals": { "ecs:CreateAction": "RunTask" } })),
            Statement::allow("Runners", &["ecs:DescribeTasks", "ecs:StopTask"], [self.all_tasks()]),
            Statement::anywhere(
                "ListRunners",
                &["ecs:ListTasks"],
                "it knows none of a cluster, so a condition holds it there",
            )
            .only_if(here),
            Statement::allow("PassRoles", &["iam:PassRole"], [Arn::of(&self.task_role), Arn::of(&self.execution_role)])
                .only_if(json!({ "StringEquals": { "iam:PassedToService": TASKS } })),
        ]
    }
}

impl Arn {
    /// Of a repository of images: account, Region, name.
    fn repository([account, region, name]: &[String; 3]) -> Self {
        Self::somewhere(format!("ecr:{region}:{account}:repository/{name}"))
    }
}

/// Account, Region and repository, if the image is in ECR: others need no permission of this account.
fn ecr(image: &str) -> Option<[String; 3]> {
    let (registry, rest) = image.split_once('/')?;
    let (account, host) = registry.split_once(".dkr.ecr.")?;
    let region = host.split_once(".amazonaws.com")?.0;
    let name = rest.split(['@', ':']).next()?;
    let digits = account.len() == ACCOUNT_DIGITS && account.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| [account.to_owned(), region.to_owned(), name.to_owned()])
}

/// Logical names have letters and digits only.
fn logical_name(class: &Class, used: &mut BTreeSet<String>) -> String {
    let mut name = String::from("TaskDefinition");
    for word in class.name.as_str().split(['-', '_']) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    while !used.insert(name.clone()) {
        name.push_str("Too");
    }
    name
}

fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::Arm64 => "ARM64",
        Arch::X86_64 => "X86_64",
    }
}

/// Only for tasks of this account.
fn task_trust() -> Value {
    json!({ "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } })
}

/// The service that runs tasks.
const TASKS: &str = "ecs-tasks.amazonaws.com";

/// The longest that Fargate waits between SIGTERM and SIGKILL (FACTS §4): for the job's own clean-up.
const STOP_TIMEOUT_S: u32 = 120;

/// Days that an image without a tag stays.
const UNTAGGED_DAYS: u32 = 7;

/// Digits of an account's number.
const ACCOUNT_DIGITS: usize = 12;

/// Pulling an image.
const PULL_ACTIONS: &[&str] = &["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];

/// Writing to a log group that is there.
pub(super) const WRITE_LOGS: &[&str] = &["logs:CreateLogStream", "logs:PutLogEvents"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_ecr_are_told_from_others() {
        let own = ecr("123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/runner:1@sha256:0").unwrap();
        assert_eq!(own, ["123456789012", "eu-central-1", "team/runner"]);
        assert_eq!(ecr("ghcr.io/acme/runner:1"), None);
    }

    #[test]
    fn logical_names_are_plain_and_differ() {
        let mut used = BTreeSet::new();
        let mut name = |name: &str| logical_name(&Class { name: name.into(), ..Class::default() }, &mut used);
        assert_eq!([name("big-arm"), name("big_arm")], ["TaskDefinitionBigArm", "TaskDefinitionBigArmToo"]);
    }
}
