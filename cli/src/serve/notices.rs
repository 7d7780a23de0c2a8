//! Where notices go in `serve`: the log. ERROR only where a person must act.

use async_trait::async_trait;
use controller::ports::{Notifier, PortResult};
use fleet::effect::{Notice, NoticeKind};
use tracing::{error, info, warn};

/// The log as a notifier.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogNotifier;

#[async_trait]
impl Notifier for LogNotifier {
    async fn notify(&self, notice: &Notice) -> PortResult<()> {
        let (kind, text) = (notice.kind.as_str(), &*notice.text);
        match urgency(notice.kind) {
            Urgency::Act => error!(notice = kind, "{text}"),
            Urgency::Know => warn!(notice = kind, "{text}"),
            Urgency::Note => info!(notice = kind, "{text}"),
        }
        Ok(())
    }
}

enum Urgency {
    Act,
    Know,
    Note,
}

fn urgency(kind: NoticeKind) -> Urgency {
    match kind {
        NoticeKind::PoolStarved
        | NoticeKind::ClaimAfterRegistration
        | NoticeKind::RunnerDeprecated
        | NoticeKind::EffectFailing
        | NoticeKind::Denied => Urgency::Act,
        NoticeKind::NoCapacity
        | NoticeKind::JobInterrupted
        | NoticeKind::LifetimeOver
        | NoticeKind::BootOverdue
        | NoticeKind::Impossible
        | NoticeKind::Unexpected => Urgency::Know,
        NoticeKind::TaskAdopted => Urgency::Note,
    }
}
