//! What whoever deploys must be allowed, and whether IAM allows it: told before something is made, and not in the middle
//! of it by CloudFormation.
//!
//! Only actions that the making or taking away of such a resource cannot do without are asked for. What an organisation
//! forbids (service control policies) IAM's simulation does not tell.

use std::collections::BTreeSet;

use aws_sdk_iam::{
    Client,
    types::{EvaluationResult, PolicyEvaluationDecisionType as Decision},
};
use controller::ports::{ErrorKind, PortError, PortResult};

use crate::{
    Identity,
    cloud::Cloud,
    heard::{self, refused},
};

/// Something to be allowed: for resources of this type, on this ARN, these actions.
struct Need {
    /// Beginning of the types of CloudFormation that need it; empty: every stack does.
    of: &'static str,
    /// `{partition}`, `{region}`, `{account}` and `{stack}` are filled in.
    on: &'static str,
    actions: &'static [&'static str],
}

/// Each type's handlers name them: `aws cloudformation describe-type`.
const NEEDS: [Need; 20] = [
    Need {
        of: "",
        on: "arn:{partition}:cloudformation:{region}:{account}:stack/{stack}/0",
        actions: &[
            "cloudformation:CreateChangeSet",
            "cloudformation:DeleteChangeSet",
            "cloudformation:DeleteStack",
            "cloudformation:DescribeChangeSet",
            "cloudformation:DescribeStackEvents",
            "cloudformation:DescribeStacks",
            "cloudformation:ExecuteChangeSet",
        ],
    },
    Need {
        of: "",
        on: "arn:{partition}:s3:::self-runners-{account}-{region}",
        actions: &[
            "s3:CreateBucket",
            "s3:DeleteBucket",
            "s3:ListBucket",
            "s3:PutBucketPolicy",
            "s3:PutBucketPublicAccessBlock",
        ],
    },
    Need {
        of: "",
        on: "arn:{partition}:s3:::self-runners-{account}-{region}/0",
        actions: &["s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
    },
    Need {
        of: "AWS::IAM::Role",
        on: "arn:{partition}:iam::{account}:role/{stack}-0",
        actions: &[
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:GetRole",
            "iam:PassRole",
            "iam:PutRolePolicy",
        ],
    },
    Need {
        of: "AWS::Lambda::Function",
        on: "arn:{partition}:lambda:{region}:{account}:function:{stack}-0",
        actions: &["lambda:AddPermission", "lambda:CreateFunction", "lambda:DeleteFunction", "lambda:GetFunction"],
    },
    Need {
        of: "AWS::Lambda::EventSourceMapping",
        on: "*",
        actions: &["lambda:CreateEventSourceMapping", "lambda:GetEventSourceMapping"],
    },
    Need {
        of: "AWS::SQS::Queue",
        on: "arn:{partition}:sqs:{region}:{account}:{stack}-0",
        actions: &["sqs:CreateQueue", "sqs:DeleteQueue", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes"],
    },
    Need {
        of: "AWS::DynamoDB::Table",
        on: "arn:{partition}:dynamodb:{region}:{account}:table/{stack}-0",
        actions: &["dynamodb:CreateTable", "dynamodb:DeleteTable", "dynamodb:DescribeTable"],
    },
    Need {
        of: "AWS::SecretsManager::Secret",
        on: "arn:{partition}:secretsmanager:{region}:{account}:secret:self-runners/0",
        actions: &[
            "secretsmanager:CreateSecret",
            "secretsmanager:DeleteSecret",
            "secretsmanager:GetSecretValue",
            "secretsmanager:PutSecretValue",
        ],
    },
    Need {
        of: "AWS::Scheduler::Schedule",
        on: "arn:{partition}:scheduler:{region}:{account}:schedule/default/{stack}-0",
        actions: &["scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:GetSchedule"],
    },
    Need {
        of: "AWS::Events::Rule",
        on: "arn:{partition}:events:{region}:{account}:rule/{stack}-0",
        actions: &["events:DeleteRule", "events:DescribeRule", "events:PutRule", "events:PutTargets"],
    },
    Need {
        of: "AWS::ECS::Cluster",
        on: "arn:{partition}:ecs:{region}:{account}:cluster/{stack}",
        actions: &["ecs:DeleteCluster", "ecs:DescribeClusters"],
    },
    Need {
        of: "AWS::ECS::",
        on: "*",
        actions: &["ecs:CreateCluster", "ecs:DeregisterTaskDefinition", "ecs:RegisterTaskDefinition"],
    },
    Need {
        of: "AWS::ECR::Repository",
        on: "arn:{partition}:ecr:{region}:{account}:repository/{stack}/runner",
        actions: &["ecr:CreateRepository", "ecr:DeleteRepository", "ecr:DescribeRepositories"],
    },
    Need {
        of: "AWS::Logs::LogGroup",
        on: "arn:{partition}:logs:{region}:{account}:log-group:/aws/lambda/{stack}-0",
        actions: &["logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy"],
    },
    Need {
        of: "AWS::ApiGatewayV2::",
        on: "arn:{partition}:apigateway:{region}::/apis",
        actions: &["apigateway:GET", "apigateway:POST"],
    },
    Need {
        of: "AWS::EC2::VPC",
        on: "*",
        actions: &["ec2:CreateSubnet", "ec2:CreateVpc", "ec2:DeleteVpc", "ec2:DescribeVpcs"],
    },
    Need {
        of: "AWS::EC2::SecurityGroup",
        on: "*",
        actions: &["ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup", "ec2:DescribeSecurityGroups"],
    },
    Need {
        of: "AWS::ElastiCache::",
        on: "*",
        actions: &["elasticache:CreateServerlessCache", "elasticache:DeleteServerlessCache"],
    },
    Need { of: "AWS::CertificateManager::", on: "*", actions: &["acm:DeleteCertificate", "acm:RequestCertificate"] },
];

/// Who deploys what where.
#[derive(Debug, Clone, Copy)]
pub struct Deployment<'a> {
    /// Whose credentials are in use.
    pub identity: &'a Identity,
    /// The Region.
    pub region: &'a str,
    /// The stack's name.
    pub stack: &'a str,
}

impl Deployment<'_> {
    /// What of it IAM does not allow, as `ACTION, ACTION on ARN`; none: all that was asked is allowed. `kinds` are the types
    /// of the stack's resources.
    ///
    /// # Errors
    /// `Denied`: IAM may not be asked. `Invalid`: these credentials are nothing that IAM simulates. `Retry`.
    pub async fn lacks(&self, cloud: &Cloud, kinds: &BTreeSet<&str>) -> PortResult<Vec<String>> {
        let client = Client::new(cloud.config());
        let Some(principal) = self.principal(&client).await? else { return Ok(Vec::new()) };
        let mut lacks = Vec::new();
        for need in NEEDS.iter().filter(|need| need.is_of(kinds)) {
            let on = self.filled(need.on);
            let denied = denied(&client, &principal, &on, need.actions).await?;
            if !denied.is_empty() {
                lacks.push(format!("{} on {on}", denied.join(", ")));
            }
        }
        Ok(lacks)
    }

    fn filled(&self, pattern: &str) -> String {
        let partition = self.identity.arn.split(':').nth(1).unwrap_or("aws");
        pattern
            .replace("{partition}", partition)
            .replace("{region}", self.region)
            .replace("{account}", &self.identity.account)
            .replace("{stack}", self.stack)
    }

    /// Whose policies count; `None`: the account's root user, who may do everything.
    async fn principal(&self, client: &Client) -> PortResult<Option<String>> {
        let arn = &self.identity.arn;
        let resource = arn.split(':').nth(ARN_RESOURCE).unwrap_or_default();
        let mut parts = resource.split('/');
        match (parts.next(), parts.next()) {
            (Some("root"), _) => Ok(None),
            (Some("user" | "role"), _) => Ok(Some(arn.clone())),
            // The session's ARN leaves out the role's path, as roles of IAM Identity Center have one.
            (Some("assumed-role"), Some(name)) => role(client, name).await.map(Some),
            _ => Err(PortError::new(ErrorKind::Invalid, format!("IAM does not simulate what {arn} may"))),
        }
    }
}

impl Need {
    fn is_of(&self, kinds: &BTreeSet<&str>) -> bool {
        self.of.is_empty() || kinds.iter().any(|kind| kind.starts_with(self.of))
    }
}

async fn role(client: &Client, name: &str) -> PortResult<String> {
    let told = client.get_role().role_name(name).send().await;
    let told =
        told.map_err(|error| refused(&format!("look at the role {name}"), "iam:GetRole", &heard::hear(&error)))?;
    Ok(told.role().map(|role| role.arn().to_owned()).unwrap_or_default())
}

async fn denied(client: &Client, principal: &str, on: &str, actions: &[&str]) -> PortResult<Vec<String>> {
    let ask = client.simulate_principal_policy().policy_source_arn(principal).resource_arns(on);
    let ask = ask.set_action_names(Some(actions.iter().map(ToString::to_string).collect()));
    let mut results = ask.into_paginator().items().send();
    let mut denied = Vec::new();
    while let Some(result) = results.next().await {
        let result = result
            .map_err(|error| refused("ask IAM what is allowed", "iam:SimulatePrincipalPolicy", &heard::hear(&error)))?;
        if is_denied(&result) {
            denied.push(result.eval_action_name().to_owned());
        }
    }
    Ok(denied)
}

/// A condition that the call itself will meet cannot be judged without it.
fn is_denied(result: &EvaluationResult) -> bool {
    *result.eval_decision() != Decision::Allowed && result.missing_context_values().is_empty()
}

/// `arn:partition:service:region:account:resource`
const ARN_RESOURCE: usize = 5;
