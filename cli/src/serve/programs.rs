//! The official runner program, as the process engine fetches it: GitHub's client as the engine's source.

use std::sync::Arc;

use async_trait::async_trait;
use controller::ports::PortResult;
use fleet::ids::Scope;
use github::{Client, release::this_platform};
use local::programs::{Expected, Sink, Source};

/// GitHub as the source of runner programs.
pub(crate) struct GitHubSource(pub(crate) Arc<Client>);

#[async_trait]
impl Source for GitHubSource {
    async fn expected(&self, scope: &Scope) -> PortResult<Expected> {
        let program = self.0.expected_runner(scope, this_platform()).await?;
        Ok(Expected { version: program.version, file: program.file, sum: *program.sum.bytes() })
    }

    async fn fetch(&self, scope: &Scope, _expected: &Expected, sink: &mut Sink<'_>) -> PortResult<()> {
        // Asked anew, because the address may be good for a short time only. If GitHub expects another version meanwhile,
        // the sum tells, and the next try asks for that one.
        let program = self.0.expected_runner(scope, this_platform()).await?;
        self.0.fetch(&program, |piece| sink(piece)).await
    }
}
