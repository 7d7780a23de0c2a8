//! The program of `AgentHandler`. Not called `agent`, as that of machines is: both would be one file of the target folder.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lambdas::{http, parts::Parts, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start::log();
    let function = &Parts::open().await?.agent().await?;
    run(service_fn(async move |event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let answer = match http::Request::read(event.payload) {
            Ok(request) => function.answer(&request).await,
            Err(answer) => answer,
        };
        Ok::<ApiGatewayV2httpResponse, Error>(http::response(&answer))
    }))
    .await
}
