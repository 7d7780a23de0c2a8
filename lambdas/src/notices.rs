//! What a person is to know: a line of the log that is a count too, in CloudWatch's embedded metric format. Alarms stand
//! on the counts, people read the text.

use std::io::Write as _;

use async_trait::async_trait;
use controller::ports::{Clock as _, Notifier, PortError, PortResult};
use fleet::effect::Notice;
use serde_json::{Value, json};

use crate::clock::WallClock;

/// Writes notices to the function's log.
#[derive(Debug, Clone)]
pub struct CountedNotices {
    /// The stage, which is the metrics' one dimension.
    pub stage: String,
}

#[async_trait]
impl Notifier for CountedNotices {
    async fn notify(&self, notice: &Notice) -> PortResult<()> {
        let line = line(&self.stage, notice, WallClock.now_ms());
        writeln!(std::io::stdout().lock(), "{line}")
            .map_err(|error| PortError::retry(format!("a notice cannot be written to the log: {error}")))
    }
}

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
fn line(stage: &str, notice: &Notice, now_ms: u64) -> Value {
    let metric = notice.kind.as_str();
    let mut line = json!({
        "_aws": {
            "Timestamp": now_ms,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["stage"]],
                "Metrics": [{ "Name": metric, "Unit": "Count" }],
            }],
        },
        "level": "WARN",
        "stage": stage,
        "notice": metric,
        "message": &*notice.text,
    });
    line[metric] = json!(1);
    line
}

/// Where CloudWatch shows the counts.
pub const NAMESPACE: &str = "self-runners";

#[cfg(test)]
mod tests {
    use fleet::effect::NoticeKind;

    use super::*;

    #[test]
    fn a_notice_is_a_text_and_a_count() {
        let notice = Notice { kind: NoticeKind::NoCapacity, text: "no vCPU".into() };
        let line = line("dev", &notice, 7);
        assert_eq!(
            (&line["message"], &line["no_capacity"], &line["stage"]),
            (&"no vCPU".into(), &1.into(), &"dev".into())
        );
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"], "no_capacity");
    }
}
