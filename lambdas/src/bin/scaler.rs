//! The program of `ScalerHandler`.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lambdas::{
    parts::Parts,
    scaler::{Letter, ScalerFunction},
    start,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start::log();
    let parts = Parts::open().await?;
    let function = &ScalerFunction { stage: parts.stage().to_owned(), caller: parts.caller("scaler").await? };
    run(service_fn(async move |event: LambdaEvent<SqsEvent>| {
        let last_start = start::last_start(&event.context);
        let failed = function.answer(letters(event.payload), last_start).await;
        Ok::<SqsBatchResponse, Error>(response(failed))
    }))
    .await
}

fn letters(batch: SqsEvent) -> Vec<Letter> {
    let records = batch.records.into_iter();
    records
        .filter_map(|record| Some(Letter { id: record.message_id?, body: record.body.unwrap_or_default() }))
        .collect()
}

fn response(failed: Vec<String>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed
        .into_iter()
        .map(|id| {
            let mut item = BatchItemFailure::default();
            item.item_identifier = id;
            item
        })
        .collect();
    response
}
