//! The engine ECS against the simulated one, over HTTP.

mod agents;
mod bench;
mod launches;
mod looks;
mod stories;
mod system;

use bench::World;
pub(crate) use bench::cloud;
use controller::contract;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_promises_of_an_engine() {
    if let Err(broken) = contract::engine::all(World::new).await {
        panic!("{broken}");
    }
}
