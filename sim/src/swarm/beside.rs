//! A second store beside a world's own: asked all that the world's is asked, in the same order, and compared answer by
//! answer. So an adapter's store can be held against the core's tables in whole stories, with the real controller.
//!
//! The world goes on with its own store's answers. Time stands still meanwhile only if the second store's calls never
//! wait: whoever gives one sees to that.

use std::{fmt, future::Future, sync::Arc};

use controller::ports::{PortResult, Store};

use super::world::World;

/// A second store.
#[derive(Clone)]
pub struct Beside {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Empties it.
    pub clear: Arc<dyn Fn() + Send + Sync>,
}

/// Asks the second store of a world, if there is one; a violation if it answers otherwise.
pub(super) async fn same<T, F>(world: &World, what: &str, own: &PortResult<T>, ask: impl FnOnce(Arc<dyn Store>) -> F)
where
    T: PartialEq + fmt::Debug,
    F: Future<Output = PortResult<T>>,
{
    let Some(beside) = world.fleet.beside.get() else { return };
    let other = ask(beside.store.clone()).await;
    let agree = match (own, &other) {
        (Ok(own), Ok(other)) => own == other,
        (Err(own), Err(other)) => own.kind == other.kind,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    };
    if !agree {
        world.violation(format!("the store beside answers `{what}` otherwise: {other:?} instead of {own:?}"));
    }
}
