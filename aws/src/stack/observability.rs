//! Log groups. Each is made before its first writer, so that none is kept for ever because a service made it.

use serde_json::{Value, json};

use super::{
    Stack,
    template::{Id, Resource, Template},
};

impl Stack<'_> {
    /// A log group that forgets in time.
    pub(super) fn log_group(&self, template: &mut Template, id: String, name: &str, about: &str) -> Id {
        let group = json!({
            "LogGroupName": name,
            "RetentionInDays": self.settings.log_retention_days,
            "Tags": self.tag_list(),
        });
        template.add(id, Resource::new("AWS::Logs::LogGroup", about, group).with("KmsKeyId", self.key()))
    }

    /// What a request to the API leaves: nothing of its body, its query or its signature.
    pub(super) fn access_log_format() -> Value {
        json!({
            "time": "$context.requestTime",
            "request": "$context.requestId",
            "method": "$context.httpMethod",
            "route": "$context.routeKey",
            "status": "$context.status",
            "source": "$context.identity.sourceIp",
            "duration_ms": "$context.responseLatency",
            "error": "$context.integrationErrorMessage",
        })
        .to_string()
        .into()
    }
}
