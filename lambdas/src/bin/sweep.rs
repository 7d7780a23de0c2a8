//! The program of `SweepHandler`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lambdas::{parts::Parts, start, sweep::SweepFunction};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start::log();
    let function = &SweepFunction { caller: Parts::open().await?.caller("sweep").await? };
    run(service_fn(async move |event: LambdaEvent<Value>| {
        function.answer(start::last_start(&event.context)).await;
        Ok::<(), Error>(())
    }))
    .await
}
