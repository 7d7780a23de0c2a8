//! Launches: who gets a task, who gets the one that there is, who gets none.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::faults::Shortage;
use super::life::Timer;
use super::model::{ACCOUNT, Definition, REGION, State, Status, Task, Token};
use super::shape::{self, Refusal};
use super::{Ecs, checks};

/// Tasks of one call.
const COUNT_MAX: u64 = 10;

const FARGATE: &str = "FARGATE";
const FARGATE_SPOT: &str = "FARGATE_SPOT";

/// Where and of what one call's tasks are to be.
struct Wish {
    cluster: String,
    definition: Definition,
    provider: String,
    subnets: Vec<String>,
    cpu: u32,
    count: u32,
}

impl Ecs {
    pub(super) fn run_task(&mut self, now_ms: u64, body: &Value) -> Result<Value, Refusal> {
        let wish = self.wish(body)?;
        if let Some(answer) = self.known(now_ms, &wish.cluster, body)? {
            return Ok(answer);
        }
        self.take_launches(&wish, now_ms)?;
        let subnet = match self.place(&wish) {
            Ok(subnet) => subnet,
            Err(reason) => {
                let failure = json!({"arn": shape::cluster_arn(&wish.cluster), "reason": reason});
                return Ok(json!({"tasks": [], "failures": [failure]}));
            }
        };
        let request = Arc::new(body.clone());
        let made: Vec<Arc<str>> = (0..wish.count).map(|_| self.make(now_ms, &wish, &subnet, &request)).collect();
        let shown = made.iter().filter_map(|arn| self.tasks.get(arn));
        let shown: Vec<Value> = shown.filter_map(|task| Some(shape::task(task, task.now()?, true))).collect();
        let answer = json!({"tasks": shown, "failures": []});
        if let Some(token) = body.get("clientToken").and_then(Value::as_str) {
            let kept = Token { request, answer: answer.clone(), tasks: made, at_ms: now_ms };
            self.tokens.insert((wish.cluster, token.to_owned()), kept);
        }
        Ok(answer)
    }

    fn wish(&self, body: &Value) -> Result<Wish, Refusal> {
        let cluster = self.cluster(body)?;
        checks::run_task(body)?;
        let definition = self.definition(body)?;
        let provider = self.provider(&cluster, body)?;
        let subnets = body.pointer("/networkConfiguration/awsvpcConfiguration/subnets").and_then(Value::as_array);
        let subnets = subnets.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let count = body.get("count").and_then(Value::as_u64).unwrap_or(1);
        if !(1..=COUNT_MAX).contains(&count) {
            return Err(Refusal::invalid("Count must be between 1 and 10."));
        }
        let cpu = body.pointer("/overrides/cpu").and_then(Value::as_str).and_then(|cpu| cpu.parse().ok());
        let cpu = cpu.unwrap_or(definition.cpu);
        Ok(Wish { cluster, definition, provider, subnets, cpu, count: u32::try_from(count).unwrap_or(1) })
    }

    /// The cluster that a request names, by name or ARN.
    pub(super) fn cluster(&self, body: &Value) -> Result<String, Refusal> {
        let name = body.get("cluster").and_then(Value::as_str).unwrap_or("default");
        let name = name.rsplit('/').next().unwrap_or_default();
        if self.clusters.contains_key(name) {
            return Ok(name.to_owned());
        }
        Err(Refusal::new("ClusterNotFoundException", "Cluster not found."))
    }

    fn definition(&self, body: &Value) -> Result<Definition, Refusal> {
        let named = body.get("taskDefinition").and_then(Value::as_str).unwrap_or_default();
        let name = named.rsplit('/').next().unwrap_or_default();
        let (family, revision) = name.split_once(':').map_or((name, None), |(family, at)| (family, Some(at)));
        let found = self.definitions.get(family);
        let found = found.filter(|found| revision.is_none_or(|at| at == found.revision.to_string()));
        match found {
            Some(found) if found.active => Ok(found.clone()),
            Some(_) => Err(Refusal::invalid("TaskDefinition is inactive")),
            None => Err(Refusal::client("TaskDefinition not found.")),
        }
    }

    fn provider(&self, cluster: &str, body: &Value) -> Result<String, Refusal> {
        let Some(first) = body.pointer("/capacityProviderStrategy/0/capacityProvider").and_then(Value::as_str) else {
            return Ok(FARGATE.to_owned());
        };
        if self.clusters.get(cluster).is_some_and(|all| all.contains(first)) {
            return Ok(first.to_owned());
        }
        Err(Refusal::invalid(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with \
             the cluster. Associate the capacity provider with the cluster and try again.",
        ))
    }

    /// What a used client token is answered; `None`: it is new, or none was given.
    fn known(&mut self, now_ms: u64, cluster: &str, body: &Value) -> Result<Option<Value>, Refusal> {
        let Some(token) = body.get("clientToken").and_then(Value::as_str) else { return Ok(None) };
        let key = (cluster.to_owned(), token.to_owned());
        let Some(kept) = self.tokens.get(&key) else { return Ok(None) };
        if now_ms >= self.token_ends_ms(kept) {
            self.tokens.remove(&key);
            return Ok(None);
        }
        if *kept.request == *body {
            return Ok(Some(kept.answer.clone()));
        }
        let mut conflict = Refusal::new("ConflictException", "The client token is in use with other parameters.");
        conflict.resource_ids = kept.tasks.clone();
        Err(conflict)
    }

    /// A day after its first use, or an hour after the end of its last task, whichever is earlier.
    fn token_ends_ms(&self, token: &Token) -> u64 {
        let ends = token.tasks.iter().map(|arn| match self.tasks.get(arn) {
            Some(task) => task.since_ms(Status::Stopped).unwrap_or(u64::MAX),
            None => 0,
        });
        let last_ms = ends.max().unwrap_or(u64::MAX);
        (token.at_ms + self.times.token_ms).min(last_ms.saturating_add(self.times.token_after_end_ms))
    }

    /// Fargate's launch rates: one bucket for it, one for its Spot.
    fn take_launches(&mut self, wish: &Wish, now_ms: u64) -> Result<(), Refusal> {
        let bucket = match wish.provider.as_str() {
            FARGATE => "launches",
            FARGATE_SPOT => "launches on Spot",
            _ => return Ok(()),
        };
        self.take(bucket, self.limits.launches, wish.count, now_ms)
    }

    /// The subnet that has capacity, or the reason why none has.
    fn place(&mut self, wish: &Wish) -> Result<String, String> {
        if let Some(reason) = self.over_quota(wish) {
            return Err(reason);
        }
        if self.chance(self.faults.no_capacity) {
            return Err(Shortage::FULL.to_owned());
        }
        let short = |subnet: &String| {
            self.faults.shortages.iter().find(|short| {
                short.provider.as_ref().is_none_or(|of| *of == wish.provider)
                    && short.subnet.as_ref().is_none_or(|of| of == subnet)
            })
        };
        let open: Vec<&String> = wish.subnets.iter().filter(|subnet| short(subnet).is_none()).collect();
        if open.is_empty() {
            let reason = wish.subnets.first().and_then(short).map(|short| short.reason.clone());
            return Err(reason.unwrap_or_else(|| Shortage::FULL.to_owned()));
        }
        let at = self.rng.usize(..open.len());
        Ok(open[at].clone())
    }

    fn over_quota(&self, wish: &Wish) -> Option<String> {
        let most = self.limits.vcpus?;
        let live = self.tasks.values().filter(|task| task.is_live() && task.provider == wish.provider);
        let used: u32 = live.map(|task| task.cpu).sum();
        let fargate = wish.provider.starts_with(FARGATE);
        (fargate && used + wish.cpu * wish.count > most * 1_024)
            .then(|| "You've reached the limit on the number of vCPUs you can run concurrently".to_owned())
    }

    fn make(&mut self, now_ms: u64, wish: &Wish, subnet: &str, request: &Arc<Value>) -> Arc<str> {
        let id = self.rng.u128(..);
        let arn: Arc<str> = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task/{}/{id:032x}", wish.cluster).into();
        let broken = self.chance(self.faults.never_starts).then(|| {
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed".into()
        });
        let first = State {
            at_ms: now_ms,
            last: Status::Provisioning,
            ending: None,
            exit_code: None,
            container_reason: None,
            tagged: true,
            version: 1,
        };
        let task = Task {
            arn: arn.clone(),
            cluster: wish.cluster.clone(),
            request: request.clone(),
            definition: wish.definition.arn(),
            container: wish.definition.container.clone(),
            provider: wish.provider.clone(),
            subnet: subnet.to_owned(),
            cpu: wish.cpu,
            never_starts: broken.or_else(|| wish.definition.broken.clone()),
            states: vec![first],
        };
        self.tasks.insert(arn.clone(), task);
        self.tell(now_ms, &arn);
        self.timers.insert((now_ms + self.times.step_up_ms, Timer::Step { arn: arn.clone(), version: 1 }));
        arn
    }

    /// The subnets that tasks of a provider have been given, for who asks whether others were tried.
    pub fn subnets_used(&self, provider: &str) -> BTreeSet<&str> {
        self.tasks.values().filter(|task| task.provider == provider).map(|task| task.subnet.as_str()).collect()
    }
}
