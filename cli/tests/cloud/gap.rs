//! What the local AWS lacks, supplied for a stage: the events of tasks that stopped, an address of the API that containers
//! reach, the minute's sweep.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};

use crate::{
    meter::{Meter, NAME_VARIABLE},
    place::{Place, signed},
};

/// The functions that are told where containers reach the API, and to say who they are.
pub(crate) const TOLD: [&str; 4] = ["WebhookHandlerGHA", "ScalerHandler", "SweepHandler", "AgentHandler"];

/// The variable that says where the API is.
const PUBLIC_URL: &str = "PUBLIC_URL";

/// One stage's.
pub(crate) struct Gap {
    place: &'static Place,
    stage: &'static str,
    /// Between the machines and the API.
    pub(crate) gate: Meter,
    at: SocketAddr,
    told: Mutex<BTreeSet<String>>,
}

impl Gap {
    pub(crate) async fn open(place: &'static Place, stage: &'static str) -> Self {
        let (gate, at) = Meter::begin(place.url.clone(), place.gateway).await;
        Self { place, stage, gate, at, told: Mutex::default() }
    }

    /// Where the API answers on this machine; `None`: the stage is not deployed. Containers reach it at their gateway and
    /// by a path, not by the name of a host: the functions are told so, again after each deployment.
    pub(crate) async fn reach(&self) -> Option<String> {
        let told = self.variables("AgentHandler").await?;
        let api = self.variables("ScalerHandler").await?;
        let api = api[PUBLIC_URL].as_str().and_then(api_of)?;
        let path = format!("/_aws/execute-api/{api}/$default");
        if told.get(NAME_VARIABLE).is_none() {
            for function in TOLD {
                let mut variables = self.variables(function).await?;
                variables[NAME_VARIABLE] = self.function(function).into();
                if variables.get(PUBLIC_URL).is_some() {
                    variables[PUBLIC_URL] = format!("http://{}{path}", self.at).into();
                }
                let change = json!({ "Environment": { "Variables": variables } });
                let asked = self.place.http.put(self.url(function)).header("authorization", signed("lambda"));
                // One that is being made, or goes, is told at the next look.
                if !asked.json(&change).send().await.ok()?.status().is_success() {
                    return None;
                }
            }
        }
        Some(format!("{}{path}", self.place.url))
    }

    async fn variables(&self, function: &str) -> Option<Value> {
        let asked = self.place.http.get(self.url(function)).header("authorization", signed("lambda"));
        let mut settings: Value = asked.send().await.unwrap().json().await.ok()?;
        Some(settings["Environment"]["Variables"].take()).filter(|variables| !variables.is_null())
    }

    /// Where the local AWS tells of a function.
    pub(crate) fn url(&self, function: &str) -> String {
        format!("{}/2015-03-31/functions/{}/configuration", self.place.url, self.function(function))
    }

    pub(crate) fn function(&self, name: &str) -> String {
        format!("self-runners-{}-{name}", self.stage)
    }

    pub(crate) fn cluster(&self) -> String {
        format!("self-runners-{}", self.stage)
    }

    /// As the schedule does it each minute: with what the function says if it fails.
    pub(crate) async fn sweep(&self) -> Result<(), String> {
        let url = format!("{}/2015-03-31/functions/{}/invocations", self.place.url, self.function("SweepHandler"));
        let asked =
            self.place.http.post(url).header("authorization", signed("lambda")).body("{}").send().await.unwrap();
        if asked.headers().get("x-amz-function-error").is_none() {
            return Ok(());
        }
        Err(format!("the sweep failed: {}", asked.text().await.unwrap_or_default()))
    }

    /// Tasks that ECS wants running, or stopped.
    pub(crate) async fn listed(&self, desired: &str) -> Vec<String> {
        let body = json!({ "cluster": self.cluster(), "desiredStatus": desired });
        let listed = self.place.call("AmazonEC2ContainerServiceV20141113.ListTasks", &body).await;
        let arns = listed["taskArns"].as_array().map(Vec::as_slice).unwrap_or_default();
        arns.iter().filter_map(|arn| arn.as_str().map(str::to_owned)).collect()
    }

    /// How many tasks were seen to have stopped.
    pub(crate) fn stopped(&self) -> usize {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What EventBridge would put into the queue.
    pub(crate) async fn tell_of_stopped(&self) {
        let stopped = self.listed("STOPPED").await;
        let new: Vec<String> =
            stopped.into_iter().filter(|arn| self.told.lock().unwrap().insert(arn.clone())).collect();
        if new.is_empty() {
            return;
        }
        let body = json!({ "cluster": self.cluster(), "tasks": new, "include": ["TAGS"] });
        let described = self.place.call("AmazonEC2ContainerServiceV20141113.DescribeTasks", &body).await;
        let queue = format!("{}/000000000000/self-runners-{}-events", self.place.url, self.stage);
        for task in described["tasks"].as_array().unwrap() {
            if task["lastStatus"] != "STOPPED" {
                self.told.lock().unwrap().remove(task["taskArn"].as_str().unwrap());
                continue;
            }
            let event = json!({ "source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": task });
            let body = json!({ "QueueUrl": queue, "MessageBody": event.to_string() });
            self.place.call("AmazonSQS.SendMessage", &body).await;
        }
    }
}

/// The API's id: in `http://ID.execute-api.…` as the stack has it, or in the path that replaced that.
fn api_of(url: &str) -> Option<&str> {
    let named = url.split_once(".execute-api.").and_then(|(before, _)| before.rsplit('/').next());
    named.or_else(|| url.split_once("/execute-api/")?.1.split('/').next())
}
