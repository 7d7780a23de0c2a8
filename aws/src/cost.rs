//! What a stage costs: at rest, a job's share of the control plane, a runner's hour. Pure; prices come from one file.
//!
//! What is counted was seen (`docs/performance.md`, `./test dynamo` and `./test cloud` print it); what is assumed is named as
//! such: how long functions take on AWS, where most of it is waiting.

use std::collections::BTreeMap;

use fleet::{
    class::{Arch, Size},
    policy::Policy,
};
use serde::Deserialize;

use crate::settings::{Network, Settings, State};

/// The prices that come with this program.
pub const PRICES: &str = include_str!("cost/prices.json");

/// Hours of a month, as AWS counts.
const MONTH_HOURS: f64 = 730.0;

/// Secrets of a stage: the webhook's, and the token or App's key.
const SECRETS: f64 = 2.0;

/// Units of DynamoDB that a sweep takes which finds nothing (counted).
const SWEEP_READS: f64 = 13.0;
const SWEEP_WRITES: f64 = 2.0;

/// Requests a month of an event source mapping that polls an empty queue (FACTS: about).
const IDLE_POLLS: f64 = 650_000.0;

/// What a call of a function leaves in its log, bytes: Lambda's three lines and ours.
const LOG_BYTES_A_CALL: f64 = 800.0;

/// What a request leaves in the API's access log, and a runner in its own, bytes.
const LOG_BYTES_A_REQUEST: f64 = 250.0;
const LOG_BYTES_A_RUNNER: f64 = 1_500.0;

/// GB that Fargate's tasks have without being charged.
const DISK_FREE_GB: f64 = 20.0;

/// What one job makes the control plane do.
struct PerJob {
    /// Units of DynamoDB, its share of a sweep among them (counted: `./test dynamo`).
    reads: f64,
    writes: f64,
    /// Requests to the API: three webhooks, a claim and four reports (counted: `./test cloud`).
    webhooks: f64,
    agent_calls: f64,
    /// Calls of the scaler, if each of its messages comes alone: the webhooks, two task events, wake-ups.
    scaler_calls: f64,
    /// Requests to SQS: each message is put in, taken out and deleted.
    sqs: f64,
    /// How long the functions take, seconds (assumed: six milliseconds a call of DynamoDB, a quarter of a second GitHub,
    /// half a second `RunTask`).
    webhook_s: f64,
    agent_s: f64,
    scaler_s: f64,
}

/// The units of DynamoDB among it: read, written. `./test dynamo` holds them to what it counts, within a tenth: how many sweeps
/// fall to a job is chance.
pub const JOB_UNITS: (f64, f64) = (119.7, 73.8);

const PER_JOB: PerJob = PerJob {
    reads: JOB_UNITS.0,
    writes: JOB_UNITS.1,
    webhooks: 3.0,
    agent_calls: 5.0,
    scaler_calls: 5.4,
    sqs: 16.8,
    webhook_s: 0.015,
    agent_s: 0.08,
    scaler_s: 0.16,
};

/// How long a sweep takes that finds nothing, seconds (assumed).
const SWEEP_S: f64 = 0.3;

/// Memory of the functions, GB: `stack::functions`.
const SMALL_GB: f64 = 0.25;
const LARGE_GB: f64 = 0.5;

/// A price, and how much of it a month is free for ever.
#[derive(Debug, Clone, Deserialize)]
struct Price {
    usd: f64,
    #[serde(default)]
    free: f64,
    source: String,
}

/// A list of prices.
#[derive(Debug, Clone, Deserialize)]
pub struct Prices {
    /// Whose they are.
    pub region: String,
    /// When they were looked up.
    pub seen: String,
    prices: BTreeMap<String, Price>,
}

/// Every price that is asked for.
const NAMES: [&str; 20] = [
    "dynamodb_read_million",
    "dynamodb_write_million",
    "fargate_arm_gb_hour",
    "fargate_arm_vcpu_hour",
    "fargate_disk_gb_hour",
    "fargate_spot_share",
    "fargate_x86_gb_hour",
    "fargate_x86_vcpu_hour",
    "http_api_million",
    "kms_key_month",
    "lambda_arm_gb_second",
    "lambda_call_million",
    "lambda_x86_gb_second",
    "logs_gb",
    "nat_gateway_hour",
    "public_ipv4_hour",
    "scheduler_million",
    "secret_month",
    "sqs_million",
    "valkey_serverless_month",
];

impl Prices {
    /// Reads a list.
    ///
    /// # Errors
    /// It is not JSON of this shape, or a price is missing, unknown or below nothing: which.
    pub fn read(text: &str) -> Result<Self, String> {
        let prices: Self = serde_json::from_str(text).map_err(|error| {
            format!("that is no list of prices ({error}): write it as aws/src/cost/prices.json of the sources")
        })?;
        if let Some(name) = NAMES.iter().find(|name| !prices.prices.contains_key(**name)) {
            return Err(format!("the price `{name}` is missing"));
        }
        for (name, Price { usd, free, .. }) in &prices.prices {
            if !NAMES.contains(&name.as_str()) {
                return Err(format!("nothing is priced as `{name}`: leave it out, or look at its spelling"));
            }
            if *usd < 0.0 || *free < 0.0 {
                return Err(format!("the price `{name}` is below nothing"));
            }
        }
        Ok(prices)
    }

    fn usd(&self, name: &str) -> f64 {
        self.prices.get(name).map_or(0.0, |price| price.usd)
    }

    /// So much of something in a month: with what is free for ever, and without.
    fn of(&self, name: &str, amount: f64) -> Usd {
        let free = self.prices.get(name).map_or(0.0, |price| price.free);
        let usd = self.usd(name);
        Usd { inside: (amount - free).max(0.0) * usd, outside: amount * usd }
    }

    /// Each price with its source.
    pub fn sources(&self) -> impl Iterator<Item = (&str, f64, f64, &str)> {
        self.prices.iter().map(|(name, price)| (name.as_str(), price.usd, price.free, price.source.as_str()))
    }
}

/// Dollars, where what AWS gives for nothing for ever is not used up elsewhere, and where it is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usd {
    /// Inside the always-free tier.
    pub inside: f64,
    /// Outside it.
    pub outside: f64,
}

impl std::ops::Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { inside: self.inside + other.inside, outside: self.outside + other.outside }
    }
}

fn same(usd: f64) -> Usd {
    Usd { inside: usd, outside: usd }
}

/// An entry of a bill.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What for.
    pub what: &'static str,
    /// How much of it.
    pub amount: String,
    /// What that costs.
    pub usd: Usd,
}

/// The sum of a bill.
#[must_use]
pub fn sum(items: &[Item]) -> Usd {
    items.iter().fold(Usd::default(), |sum, item| sum + item.usd)
}

/// A configuration's costs.
#[derive(Debug)]
pub struct Cost<'a> {
    /// Prices.
    pub prices: &'a Prices,
    /// Where and how it is deployed.
    pub settings: &'a Settings,
    /// The rules.
    pub policy: &'a Policy,
    /// Milliseconds between two sweeps.
    pub sweep_interval_ms: u64,
}

impl Cost<'_> {
    /// What a month costs in which no job comes. Alarms and the image of the runners in ECR ($0.10 a GB) come on top.
    #[must_use]
    pub fn at_rest(&self) -> Vec<Item> {
        let prices = self.prices;
        let sweeps = MONTH_HOURS * 3_600_000.0 / self.sweep_interval_ms as f64;
        let logs_gb = sweeps * LOG_BYTES_A_CALL / 1e9;
        let item = |what, amount: String, usd| Item { what, amount, usd };
        let mut items = vec![
            item("Secrets Manager", format!("{SECRETS:.0} secrets"), prices.of("secret_month", SECRETS)),
            item(
                "Lambda, sweeps",
                format!("{sweeps:.0} of {SWEEP_S} s"),
                self.lambda(sweeps, sweeps * SWEEP_S * LARGE_GB),
            ),
            item("EventBridge Scheduler", format!("{sweeps:.0} calls"), prices.of("scheduler_million", sweeps / 1e6)),
            item(
                "SQS, polled by Lambda",
                format!("{IDLE_POLLS:.0} requests"),
                prices.of("sqs_million", IDLE_POLLS / 1e6),
            ),
            item("CloudWatch Logs", format!("{logs_gb:.3} GB"), prices.of("logs_gb", logs_gb)),
        ];
        items.extend(self.state_at_rest(sweeps));
        if self.settings.kms_key.is_some() {
            items.push(item("KMS", "1 key".into(), prices.of("kms_key_month", 1.0)));
        }
        items
    }

    fn state_at_rest(&self, sweeps: f64) -> Vec<Item> {
        let prices = self.prices;
        let mut items = Vec::new();
        if self.settings.state == State::DynamoDb {
            let (reads, writes) = (sweeps * SWEEP_READS, sweeps * SWEEP_WRITES);
            let amount = format!("{reads:.0} read, {writes:.0} write units");
            items.push(Item { what: "DynamoDB, sweeps", amount, usd: self.dynamodb(reads, writes) });
        }
        if self.settings.state == State::Valkey {
            let usd = same(prices.usd("valkey_serverless_month"));
            items.push(Item { what: "ElastiCache for Valkey", amount: "serverless".into(), usd });
            if matches!(self.settings.network, Network::Own { .. }) {
                let hour = prices.usd("nat_gateway_hour") + prices.usd("public_ipv4_hour");
                let amount = "1, with its address".to_owned();
                items.push(Item { what: "NAT gateway", amount, usd: same(hour * MONTH_HOURS) });
            }
        }
        items
    }

    /// A job's share of the control plane, from its webhook to its runner's end. Outside the free tier both columns are
    /// the same; inside, a small stage pays for DynamoDB and the API alone.
    #[must_use]
    pub fn per_job(&self) -> Vec<Item> {
        let PerJob { reads, writes, webhooks, agent_calls, scaler_calls, sqs, webhook_s, agent_s, scaler_s } = PER_JOB;
        let requests = webhooks + agent_calls;
        let calls = requests + scaler_calls;
        let gb_s = (webhooks * webhook_s + agent_calls * agent_s) * SMALL_GB + scaler_calls * scaler_s * LARGE_GB;
        let logs = calls * LOG_BYTES_A_CALL + requests * LOG_BYTES_A_REQUEST + LOG_BYTES_A_RUNNER;
        let free = |usd: f64| Usd { inside: 0.0, outside: usd };
        let price = |name: &str| self.prices.usd(name);
        let item = |what, amount: String, usd| Item { what, amount, usd };
        let mut items = vec![
            item("HTTP API", format!("{requests:.0} requests"), same(requests / 1e6 * price("http_api_million"))),
            item("Lambda", format!("{calls:.1} calls, {gb_s:.2} GB-s"), free(self.lambda(calls, gb_s).outside)),
            item("SQS", format!("{sqs:.1} requests"), free(sqs / 1e6 * price("sqs_million"))),
            item("CloudWatch Logs", format!("{:.1} kB", logs / 1e3), free(logs / 1e9 * price("logs_gb"))),
        ];
        if self.settings.state == State::DynamoDb {
            let amount = format!("{reads:.0} read, {writes:.0} write units");
            items.push(item("DynamoDB", amount, self.dynamodb(reads, writes)));
        }
        items
    }

    /// An hour of a runner of this size: on demand, and on Spot at best. Fargate charges by the second, a minute at least.
    #[must_use]
    pub fn runner_hour(&self, size: &Size) -> (f64, f64) {
        let price = |name: &str| self.prices.usd(name);
        let (cpu, gb) = match size.arch {
            Arch::Arm64 => (price("fargate_arm_vcpu_hour"), price("fargate_arm_gb_hour")),
            Arch::X86_64 => (price("fargate_x86_vcpu_hour"), price("fargate_x86_gb_hour")),
        };
        let disk = (f64::from(size.disk_gb) - DISK_FREE_GB).max(0.0) * price("fargate_disk_gb_hour");
        let machine = f64::from(size.cpu_milli) / 1e3 * cpu + f64::from(size.memory_mb) / 1_024.0 * gb + disk;
        let address = match &self.settings.network {
            Network::Existing(network) if !network.public_ip => 0.0,
            Network::Existing(_) | Network::Own { .. } => price("public_ipv4_hour"),
        };
        (machine + address, machine * price("fargate_spot_share") + address)
    }

    fn lambda(&self, calls: f64, gb_s: f64) -> Usd {
        let second = match self.settings.arch {
            Arch::Arm64 => "lambda_arm_gb_second",
            Arch::X86_64 => "lambda_x86_gb_second",
        };
        self.prices.of("lambda_call_million", calls / 1e6) + self.prices.of(second, gb_s)
    }

    fn dynamodb(&self, reads: f64, writes: f64) -> Usd {
        self.prices.of("dynamodb_read_million", reads / 1e6) + self.prices.of("dynamodb_write_million", writes / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::usual_class;

    fn with<T>(state: State, look: impl FnOnce(&Cost<'_>) -> T) -> T {
        let prices = Prices::read(PRICES).unwrap();
        let settings = Settings { state, ..Settings::default() };
        let policy = Policy { classes: vec![usual_class(Arch::Arm64)], ..Policy::default() };
        look(&Cost { prices: &prices, settings: &settings, policy: &policy, sweep_interval_ms: 60_000 })
    }

    #[test]
    fn a_stage_costs_what_was_promised() {
        with(State::DynamoDb, |cost| {
            let rest = sum(&cost.at_rest());
            assert!(rest.inside <= 1.0 && rest.outside <= 1.5, "{rest:?}");
            let job = sum(&cost.per_job());
            assert!(job.outside <= 0.0001, "{job:?}");
        });
        let valkey = with(State::Valkey, |cost| sum(&cost.at_rest()));
        assert!(valkey.outside > 40.0, "{valkey:?}");
    }

    /// FACTS §6: 4 × 0.03238 + 16 × 0.00356 + 55 × 0.000111 = $0.1926, and its address.
    #[test]
    fn an_hour_of_the_usual_runner_is_what_is_published() {
        let (hour, spot) = with(State::DynamoDb, |cost| cost.runner_hour(&cost.policy.classes[0].size));
        assert!((hour - 0.1926 - 0.005).abs() < 0.0001 && spot < hour, "{hour} {spot}");
    }

    #[test]
    fn a_list_that_lacks_a_price_is_refused() {
        let text = PRICES.replace("sqs_million", "sqs");
        assert_eq!(Prices::read(&text).unwrap_err(), "the price `sqs_million` is missing");
        assert!(Prices::read("{").is_err());
    }
}
