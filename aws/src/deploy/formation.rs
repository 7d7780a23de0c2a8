//! CloudFormation, as far as a deployment needs it.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_cloudformation::{
    Client,
    types::{
        Capability, ChangeAction, ChangeSetStatus, ChangeSetType, Parameter, Replacement as SdkReplacement,
        ResourceChange, Stack, StackEvent, StackStatus, Tag,
    },
};
use controller::ports::{ErrorKind, PortError, PortResult};

use super::{
    Standing, Tell,
    change::{Act, Change, Replacement},
    progress::Happening,
};
use crate::{
    cloud::Cloud,
    heard::{self, Heard, refused},
    stack::{APPLICATION, TAG_APPLICATION},
};

/// Between two looks at something that is under way.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// A change set that is not made by then never is.
const PROPOSED_WITHIN: Duration = Duration::from_secs(300);

/// What CloudFormation says of a change set that changes nothing.
const NO_CHANGES: [&str; 2] = ["didn't contain changes", "No updates are to be performed"];

/// A change set that nobody has carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    arn: String,
    /// What it would do.
    pub changes: Vec<Change>,
}

/// Where CloudFormation finds a template.
pub(super) enum TemplateAt {
    /// This is it.
    Here(String),
    /// In a bucket.
    Url(String),
}

#[derive(Debug)]
pub(super) struct Formation {
    client: Client,
}

impl Formation {
    pub(super) fn new(cloud: &Cloud) -> Self {
        Self { client: Client::new(cloud.config()) }
    }

    pub(super) async fn standing(&self, name: &str) -> PortResult<Standing> {
        let Some(stack) = self.stack(name).await? else { return Ok(Standing::Nothing) };
        let standing = standing(&stack);
        let is_proposed = stack.stack_status() == Some(&StackStatus::ReviewInProgress);
        let is_foreign = if standing == Standing::Nothing {
            is_proposed && self.has_foreign_proposals(name).await?
        } else {
            !is_ours(&stack)
        };
        if is_foreign {
            return Err(PortError::new(
                ErrorKind::Conflict,
                format!(
                    "the name {name} is taken by a stack of somebody else's ({}): give this stage another name, as `stage` \
                     in the configuration or with `--stage`",
                    stack.description().filter(|text| !text.is_empty()).unwrap_or("it has no description")
                ),
            ));
        }
        Ok(standing)
    }

    pub(super) async fn outputs(&self, name: &str) -> PortResult<BTreeMap<String, String>> {
        Ok(self.stack(name).await?.as_ref().map(outputs).unwrap_or_default())
    }

    async fn stack(&self, name: &str) -> PortResult<Option<Stack>> {
        let told = self.client.describe_stacks().stack_name(name).send().await;
        match told.map_err(|error| heard::hear(&error)) {
            Ok(told) => Ok(told.stacks.unwrap_or_default().into_iter().next()),
            Err(heard) if is_missing(&heard) => Ok(None),
            Err(heard) => Err(refused(&format!("look at the stack {name}"), "cloudformation:DescribeStacks", &heard)),
        }
    }

    /// Whether somebody else has proposed what that stack is to be: it bears neither tags nor a description yet.
    async fn has_foreign_proposals(&self, name: &str) -> PortResult<bool> {
        let told = self.client.list_change_sets().stack_name(name).send().await;
        let told = told
            .map_err(|error| refused("list the change sets", "cloudformation:ListChangeSets", &heard::hear(&error)))?;
        let is_ours = |name: &str| name.starts_with(&format!("{APPLICATION}-"));
        Ok(told.summaries().iter().any(|set| !set.change_set_name().is_some_and(is_ours)))
    }

    /// Whether another stage is deployed here.
    pub(super) async fn has_others(&self) -> PortResult<bool> {
        let mut pages = self.client.describe_stacks().into_paginator().items().send();
        while let Some(stack) = pages.next().await {
            let stack = stack
                .map_err(|error| refused("list the stacks", "cloudformation:DescribeStacks", &heard::hear(&error)))?;
            let is_named = stack.stack_name().is_some_and(|name| name.starts_with(&format!("{APPLICATION}-")));
            if is_named && is_ours(&stack) && standing(&stack) != Standing::Nothing {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) async fn propose(
        &self,
        name: &str,
        template: TemplateAt,
        parameters: &[(&str, &str)],
        first: bool,
    ) -> PortResult<Option<Proposal>> {
        let (template_body, template_url) = match template {
            TemplateAt::Here(text) => (Some(text), None),
            TemplateAt::Url(url) => (None, Some(url)),
        };
        let parameter =
            |(key, value): &(&str, &str)| Parameter::builder().parameter_key(*key).parameter_value(*value).build();
        let asked = self
            .client
            .create_change_set()
            .stack_name(name)
            .change_set_name(format!("{APPLICATION}-{:016x}", fastrand::u64(..)))
            .change_set_type(if first { ChangeSetType::Create } else { ChangeSetType::Update })
            .set_template_url(template_url)
            .set_template_body(template_body)
            .capabilities(Capability::CapabilityNamedIam)
            .tags(Tag::builder().key(TAG_APPLICATION).value(APPLICATION).build())
            .set_parameters(Some(parameters.iter().map(parameter).collect()))
            .send()
            .await;
        let asked = asked.map_err(|error| {
            refused(&format!("propose a change of {name}"), "cloudformation:CreateChangeSet", &heard::hear(&error))
        })?;
        let arn = asked.id.unwrap_or_default();
        let proposal = Proposal { changes: self.changes(&arn).await?, arn };
        if proposal.changes.is_empty() {
            self.withdraw(&proposal).await?;
            return Ok(None);
        }
        Ok(Some(proposal))
    }

    /// Waits until it is known what the change set does.
    async fn changes(&self, arn: &str) -> PortResult<Vec<Change>> {
        let deadline = tokio::time::Instant::now() + PROPOSED_WITHIN;
        loop {
            let (mut changes, mut page) = (Vec::new(), None);
            let (status, reason) = loop {
                let told = self.client.describe_change_set().change_set_name(arn).set_next_token(page).send().await;
                let told = told.map_err(|error| {
                    refused("look at the change set", "cloudformation:DescribeChangeSet", &heard::hear(&error))
                })?;
                changes.extend(told.changes().iter().filter_map(|it| it.resource_change()).map(change));
                page = told.next_token;
                if page.is_none() {
                    break (told.status, told.status_reason.unwrap_or_default());
                }
            };
            match status {
                Some(ChangeSetStatus::CreateComplete) => return Ok(changes),
                Some(ChangeSetStatus::Failed) if NO_CHANGES.iter().any(|words| reason.contains(words)) => {
                    return Ok(Vec::new());
                }
                Some(ChangeSetStatus::Failed) => {
                    return Err(PortError::new(
                        ErrorKind::Invalid,
                        format!("CloudFormation refuses the template: {reason}"),
                    ));
                }
                _ if tokio::time::Instant::now() > deadline => {
                    return Err(PortError::retry("CloudFormation does not say what would change"));
                }
                _ => tokio::time::sleep(LOOK_EACH).await,
            }
        }
    }

    pub(super) async fn withdraw(&self, proposal: &Proposal) -> PortResult<()> {
        let gone = self.client.delete_change_set().change_set_name(&proposal.arn).send().await;
        gone.map(drop).map_err(|error| {
            refused("take the change set back", "cloudformation:DeleteChangeSet", &heard::hear(&error))
        })
    }

    pub(super) async fn execute(&self, proposal: &Proposal) -> PortResult<()> {
        let begun = self.client.execute_change_set().change_set_name(&proposal.arn).send().await;
        begun.map(drop).map_err(|error| {
            refused("carry the change set out", "cloudformation:ExecuteChangeSet", &heard::hear(&error))
        })
    }

    pub(super) async fn delete(&self, name: &str) -> PortResult<()> {
        let begun = self.client.delete_stack().stack_name(name).send().await;
        begun.map(drop).map_err(|error| {
            refused(&format!("delete the stack {name}"), "cloudformation:DeleteStack", &heard::hear(&error))
        })
    }

    /// All events, the oldest first.
    pub(super) async fn events(&self, name: &str) -> PortResult<Vec<Happening>> {
        let mut events = Vec::new();
        let mut pages = self.client.describe_stack_events().stack_name(name).into_paginator().items().send();
        while let Some(event) = pages.next().await {
            match event.map_err(|error| heard::hear(&error)) {
                Ok(event) => events.push(happening(&event)),
                Err(heard) if is_missing(&heard) => break,
                Err(heard) => {
                    return Err(refused("read the stack's events", "cloudformation:DescribeStackEvents", &heard));
                }
            }
        }
        events.reverse();
        Ok(events)
    }

    /// Tells what happens until the stack stands still; all that has happened since `seen`.
    pub(super) async fn follow(
        &self,
        name: &str,
        seen: Vec<Happening>,
        tell: &mut Tell<'_>,
    ) -> PortResult<Vec<Happening>> {
        // By its id also a stack that is gone can be asked for, so that its last events are told.
        let id = self.stack(name).await?.and_then(|stack| stack.stack_id).unwrap_or_else(|| name.to_owned());
        let mut happened: Vec<Happening> = Vec::new();
        loop {
            let still = !matches!(self.standing(&id).await?, Standing::Busy(_));
            let known: Vec<&str> = seen.iter().chain(&happened).map(|it| it.event.as_str()).collect();
            let events = self.events(&id).await?;
            let new: Vec<_> = events.into_iter().filter(|it| !known.contains(&it.event.as_str())).collect();
            new.iter().for_each(&mut *tell);
            happened.extend(new);
            if still {
                return Ok(happened);
            }
            tokio::time::sleep(LOOK_EACH).await;
        }
    }
}

/// CloudFormation has no code of its own for a stack that is not there.
fn is_missing(heard: &Heard) -> bool {
    matches!(heard, Heard::Refused { code, message } if code == "ValidationError" && message.contains("does not exist"))
}

/// Its tags say whose it is, or our template's description, where that was deployed by other means. A stack of somebody
/// else's would be changed into ours, or deleted.
fn is_ours(stack: &Stack) -> bool {
    let tagged = stack.tags().iter().any(|tag| tag.key() == Some(TAG_APPLICATION) && tag.value() == Some(APPLICATION));
    tagged || stack.description().is_some_and(|text| text.starts_with(APPLICATION))
}

fn standing(stack: &Stack) -> Standing {
    let status = stack.stack_status().map_or("", StackStatus::as_str).to_owned();
    match status.as_str() {
        "DELETE_COMPLETE" | "REVIEW_IN_PROGRESS" => Standing::Nothing,
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED" => Standing::Broken(status),
        "UPDATE_ROLLBACK_FAILED" => Standing::Stuck(status),
        busy if busy.ends_with("_IN_PROGRESS") => Standing::Busy(status),
        _ => Standing::Deployed { status, outputs: outputs(stack) },
    }
}

fn outputs(stack: &Stack) -> BTreeMap<String, String> {
    let outputs = stack.outputs().iter();
    outputs.filter_map(|it| Some((it.output_key()?.to_owned(), it.output_value()?.to_owned()))).collect()
}

fn change(told: &ResourceChange) -> Change {
    let act = match told.action() {
        Some(ChangeAction::Add | ChangeAction::Import) => Act::Add,
        Some(ChangeAction::Remove) => Act::Remove,
        _ => Act::Change,
    };
    let replacement = match told.replacement() {
        Some(SdkReplacement::True) => Replacement::Surely,
        Some(SdkReplacement::Conditional) => Replacement::Perhaps,
        _ => Replacement::Never,
    };
    let mut properties: Vec<String> = told
        .details()
        .iter()
        .filter_map(|detail| detail.target())
        .map(|target| target.name().or(target.attribute().map(|it| it.as_str())).unwrap_or_default().to_owned())
        .collect();
    properties.sort_unstable();
    properties.dedup();
    let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
    Change { act, id: text(told.logical_resource_id()), kind: text(told.resource_type()), replacement, properties }
}

fn happening(event: &StackEvent) -> Happening {
    let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
    Happening {
        event: text(event.event_id()),
        id: text(event.logical_resource_id()),
        kind: text(event.resource_type()),
        status: text(event.resource_status().map(|status| status.as_str())),
        reason: text(event.resource_status_reason()),
    }
}
