//! The queue between intake and decision, what cannot be handled, and what AWS itself sends there.

use serde_json::{Value, json};

use super::{
    Stack,
    ecs::Cluster,
    functions::SCALER_TIMEOUT_S,
    policy::{Arn, Statement},
    template::{Id, Resource, Template},
};

/// The queues.
pub(super) struct Queue {
    /// Where events wait.
    pub(super) events: Id,
}

impl Stack<'_> {
    /// Makes the queues and lets the cluster's events in.
    pub(super) fn queue(&self, template: &mut Template, cluster: &Cluster) -> Queue {
        let dead = json!({
            "QueueName": self.name("events-dead"),
            "MessageRetentionPeriod": DEAD_RETENTION_S,
            "Tags": self.tag_list(),
        });
        let about = "Events that could not be handled, kept to be looked at.";
        let dead = template.add("DeadLetters", self.encrypted(Resource::new("AWS::SQS::Queue", about, dead)));
        let events = json!({
            "QueueName": self.name("events"),
            "MessageRetentionPeriod": RETENTION_S,
            "VisibilityTimeout": SCALER_TIMEOUT_S * VISIBILITY_TIMEOUTS,
            "ReceiveMessageWaitTimeSeconds": LONG_POLL_S,
            "RedrivePolicy": { "deadLetterTargetArn": dead.att("Arn"), "maxReceiveCount": RECEIVES_MAX },
            "Tags": self.tag_list(),
        });
        let about = "Events that wait to be handled: webhooks, task states, timers.";
        let events = template.add("Events", self.encrypted(Resource::new("AWS::SQS::Queue", about, events)));
        template.output("QueueUrl", "URL of the queue of events", events.reference());
        template.output("DeadLetterQueueUrl", "URL of the queue of events that could not be handled", dead.reference());
        self.task_events(template, cluster, &events);
        Queue { events }
    }

    fn encrypted(&self, queue: Resource) -> Resource {
        let usual = self.key().is_none().then_some(Value::Bool(true));
        queue.with("KmsMasterKeyId", self.key()).with("SqsManagedSseEnabled", usual)
    }

    /// The engine's own word: that a task runs, that it is gone.
    fn task_events(&self, template: &mut Template, cluster: &Cluster, events: &Id) {
        let rule = json!({
            "Name": self.name("tasks"),
            "Description": "Tasks of the runners that run or stopped",
            "State": "ENABLED",
            "EventPattern": {
                "source": ["aws.ecs"],
                "detail-type": ["ECS Task State Change"],
                "detail": { "clusterArn": [cluster.id.att("Arn")], "lastStatus": ["RUNNING", "STOPPED"] },
            },
            "Targets": [{ "Id": "events", "Arn": events.att("Arn") }],
            "Tags": self.tag_list(),
        });
        let about = "The cluster tells that a task runs or is gone.";
        let rule = template.add("TaskEvents", Resource::new("AWS::Events::Rule", about, rule));
        let mut allowed = super::policy::document(vec![
            Statement::allow("TaskEvents", &["sqs:SendMessage"], [Arn::of(events)])
                .only_if(json!({ "ArnEquals": { "aws:SourceArn": rule.att("Arn") } })),
        ]);
        allowed["Statement"][0]["Principal"] = json!({ "Service": "events.amazonaws.com" });
        let policy = json!({ "Queues": [events.reference()], "PolicyDocument": allowed });
        let about = "The rule, and no other one, may send to the queue.";
        template.add("EventsPolicy", Resource::new("AWS::SQS::QueuePolicy", about, policy));
    }
}

/// Two weeks, the longest that SQS keeps a message: long enough to come back from a holiday.
const DEAD_RETENTION_S: u32 = 14 * 86_400;

/// Four days. What is older tells nothing any more: the sweep has looked since.
const RETENTION_S: u32 = 4 * 86_400;

/// AWS asks for six times the function's timeout (FACTS §5).
const VISIBILITY_TIMEOUTS: u32 = 6;

/// The longest wait of an empty read.
const LONG_POLL_S: u32 = 20;

/// AWS advises at least five, so that a throttled function does not lose messages.
const RECEIVES_MAX: u32 = 5;
