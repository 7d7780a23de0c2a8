//! What the functions know: one definition that the stack writes into the template and the functions read back.
//!
//! `T` is a text in a function, and what CloudFormation works out in the template. A function has only the parts that it
//! uses: what is not there cannot leak. No secret stands here, only ARNs of secrets.

mod engine;

use std::collections::BTreeMap;

use fleet::policy::Policy;
use serde_json::Value;

pub(crate) use engine::{PUBLIC, providers};

/// A variable that a function needs and does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the function has no usable variable {name}: it was deployed by another version; run `self-runners deploy` again"
)]
pub struct MissingVariable {
    /// Its name.
    pub name: &'static str,
}

/// Both directions of a part.
trait Part<T>: Sized {
    /// The variable that tells whether the part is there.
    const FIRST: &'static str;

    fn put(self, out: &mut BTreeMap<&'static str, T>);

    fn take(get: &dyn Fn(&str) -> Option<T>) -> Result<Self, MissingVariable>;
}

/// A part of the environment: each field with its variable, once.
macro_rules! part {
    ($(#[$doc:meta])* $part:ident, $first:literal { $($(#[$field_doc:meta])* $field:ident: $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $part<T = String> {
            $($(#[$field_doc])* pub $field: T,)*
        }

        impl<T> Part<T> for $part<T> {
            const FIRST: &'static str = $first;

            fn put(self, out: &mut BTreeMap<&'static str, T>) {
                $(out.insert($name, self.$field);)*
            }

            fn take(get: &dyn Fn(&str) -> Option<T>) -> Result<Self, MissingVariable> {
                Ok(Self { $($field: get($name).ok_or(MissingVariable { name: $name })?,)* })
            }
        }
    };
}

part! {
    /// What all of them know.
    Common, "STAGE" {
        /// Name of the stage.
        stage: "STAGE",
    }
}

part! {
    /// The operator's rules, and where events wait to be handled.
    Intake, "POLICY" {
        /// The rules as JSON: [`Intake::policy`].
        policy: "POLICY",
        /// URL of the queue.
        queue_url: "QUEUE_URL",
    }
}

part! {
    /// What a webhook is verified with.
    Webhook, "GITHUB_WEBHOOK_SECRET_ARN" {
        /// ARN of the secret with `{"webhook_secret"}`.
        secret_arn: "GITHUB_WEBHOOK_SECRET_ARN",
    }
}

part! {
    /// What the controller works with.
    Core, "PUBLIC_URL" {
        /// Base URL that machines claim at, without a trailing slash.
        public_url: "PUBLIC_URL",
        /// Where GitHub sends webhooks: tells ours among an owner's.
        webhook_url: "WEBHOOK_URL",
        /// Base URL of GitHub's REST interface.
        github_api_url: "GITHUB_API_URL",
        /// Milliseconds between two reports of an idle runner.
        heartbeat_ms: "HEARTBEAT_MS",
        /// Whether failed deliveries are asked for again: `true` or `false`.
        redeliver: "REDELIVER",
        /// Whether all repositories of an owner are looked at: `true` or `false`.
        discover: "DISCOVER",
    }
}

part! {
    /// A token for all owners.
    Token, "GITHUB_API_TOKEN_ARN" {
        /// ARN of the secret with `{"GITHUB_API_TOKEN"}`.
        secret_arn: "GITHUB_API_TOKEN_ARN",
    }
}

part! {
    /// A GitHub App.
    App, "GITHUB_APP_ID" {
        /// The App's id.
        id: "GITHUB_APP_ID",
        /// ARN of the secret with `{"GITHUB_APP_PRIVATE_KEY"}`.
        secret_arn: "GITHUB_APP_PRIVATE_KEY_ARN",
    }
}

part! {
    /// State in DynamoDB.
    Table, "STATE_TABLE" {
        /// Name of the table.
        name: "STATE_TABLE",
    }
}

part! {
    /// State in Valkey.
    Valkey, "VALKEY_URL" {
        /// Where the server is, without user and password.
        url: "VALKEY_URL",
        /// ARN of the secret with `{"username", "password"}`; empty: none is asked for.
        secret_arn: "VALKEY_SECRET_ARN",
    }
}

part! {
    /// What runs the runners. The names that the original system had are kept.
    Engine, "CLUSTER_NAME" {
        /// Name of the cluster.
        cluster: "CLUSTER_NAME",
        /// What tasks are grouped under.
        service: "SERVICE_NAME",
        /// Task definitions by class: [`Engine::task_definitions`].
        task_definition_arns: "TASK_DEFINITION_ARN",
        /// Subnets, with commas: [`Engine::subnets`].
        subnets: "VPC_PUBLIC_SUBNETS",
        /// The security group of the runners.
        security_group: "SECURITY_GROUP_ID",
        /// Whether runners get public addresses: `ENABLED` or `DISABLED`.
        assign_public_ip: "ASSIGN_PUBLIC_IP",
        /// Capacity providers by class: [`Engine::capacity`].
        capacity_providers: "CAPACITY_PROVIDERS",
        /// Classes that are tried on Fargate Spot first, with commas: [`Engine::spot_classes`].
        spot_classes: "SPOT_CLASSES",
    }
}

/// Whom GitHub is told that we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential<T = String> {
    /// A token.
    Token(Token<T>),
    /// A GitHub App.
    App(App<T>),
}

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store<T = String> {
    /// DynamoDB.
    Table(Table<T>),
    /// Valkey.
    Valkey(Valkey<T>),
}

/// All variables of one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment<T = String> {
    /// What all of them know.
    pub common: Common<T>,
    /// Rules and queue.
    pub intake: Option<Intake<T>>,
    /// What a webhook is verified with.
    pub webhook: Option<Webhook<T>>,
    /// What the controller works with.
    pub core: Option<Core<T>>,
    /// Whom GitHub is told that we are.
    pub credential: Option<Credential<T>>,
    /// Where state is kept.
    pub store: Option<Store<T>>,
    /// What runs the runners.
    pub engine: Option<Engine<T>>,
}

impl<T> Environment<T> {
    /// As variables, by name.
    #[must_use]
    pub fn variables(self) -> BTreeMap<&'static str, T> {
        let mut out = BTreeMap::new();
        self.common.put(&mut out);
        put(self.intake, &mut out);
        put(self.webhook, &mut out);
        put(self.core, &mut out);
        put(self.engine, &mut out);
        match self.credential {
            Some(Credential::Token(token)) => token.put(&mut out),
            Some(Credential::App(app)) => app.put(&mut out),
            None => {}
        }
        match self.store {
            Some(Store::Table(table)) => table.put(&mut out),
            Some(Store::Valkey(valkey)) => valkey.put(&mut out),
            None => {}
        }
        out
    }

    /// From variables. A part is there as a whole or not at all.
    ///
    /// # Errors
    /// A part lacks one of its variables.
    pub fn read(get: impl Fn(&str) -> Option<T>) -> Result<Self, MissingVariable> {
        let get: &dyn Fn(&str) -> Option<T> = &get;
        let credential = match take(get)? {
            Some(app) => Some(Credential::App(app)),
            None => take(get)?.map(Credential::Token),
        };
        let store = match take(get)? {
            Some(table) => Some(Store::Table(table)),
            None => take(get)?.map(Store::Valkey),
        };
        Ok(Self {
            common: Common::take(get)?,
            intake: take(get)?,
            webhook: take(get)?,
            core: take(get)?,
            credential,
            store,
            engine: take(get)?,
        })
    }
}

fn put<T, P: Part<T>>(part: Option<P>, out: &mut BTreeMap<&'static str, T>) {
    if let Some(part) = part {
        part.put(out);
    }
}

fn take<T, P: Part<T>>(get: &dyn Fn(&str) -> Option<T>) -> Result<Option<P>, MissingVariable> {
    get(P::FIRST).map(|_| P::take(get)).transpose()
}

impl Environment<Value> {
    /// The variables as a template has them.
    #[must_use]
    pub fn to_template(self) -> Value {
        self.variables()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

impl Environment {
    /// Those of this process.
    ///
    /// # Errors
    /// A variable is missing.
    pub fn from_env() -> Result<Self, MissingVariable> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Rules and queue.
    ///
    /// # Errors
    /// This function has none.
    pub fn intake(&self) -> Result<&Intake, MissingVariable> {
        there(self.intake.as_ref())
    }

    /// What a webhook is verified with.
    ///
    /// # Errors
    /// This function has none.
    pub fn webhook(&self) -> Result<&Webhook, MissingVariable> {
        there(self.webhook.as_ref())
    }

    /// What the controller works with.
    ///
    /// # Errors
    /// This function has none.
    pub fn core(&self) -> Result<&Core, MissingVariable> {
        there(self.core.as_ref())
    }

    /// What runs the runners.
    ///
    /// # Errors
    /// This function has none.
    pub fn engine(&self) -> Result<&Engine, MissingVariable> {
        there(self.engine.as_ref())
    }

    /// Whom GitHub is told that we are.
    ///
    /// # Errors
    /// This function is told nothing.
    pub fn credential(&self) -> Result<&Credential, MissingVariable> {
        self.credential.as_ref().ok_or(MissingVariable { name: <Token as Part<String>>::FIRST })
    }

    /// Where state is kept.
    ///
    /// # Errors
    /// This function is told nothing.
    pub fn store(&self) -> Result<&Store, MissingVariable> {
        self.store.as_ref().ok_or(MissingVariable { name: <Table as Part<String>>::FIRST })
    }
}

fn there<P: Part<String>>(part: Option<&P>) -> Result<&P, MissingVariable> {
    part.ok_or(MissingVariable { name: P::FIRST })
}

impl Credential {
    /// ARN of the secret that it is in.
    #[must_use]
    pub fn secret_arn(&self) -> &str {
        match self {
            Self::Token(token) => &token.secret_arn,
            Self::App(app) => &app.secret_arn,
        }
    }
}

impl Intake {
    /// The rules.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn policy(&self) -> Result<Policy, MissingVariable> {
        serde_json::from_str(&self.policy).map_err(|_| MissingVariable { name: <Self as Part<String>>::FIRST })
    }
}

impl Core {
    /// Milliseconds between two reports of an idle runner.
    ///
    /// # Errors
    /// It is no number.
    pub fn heartbeat_ms(&self) -> Result<u64, MissingVariable> {
        self.heartbeat_ms.parse().map_err(|_| MissingVariable { name: "HEARTBEAT_MS" })
    }

    /// Whether failed deliveries are asked for again.
    #[must_use]
    pub fn redeliver(&self) -> bool {
        self.redeliver == "true"
    }

    /// Whether all repositories of an owner are looked at.
    #[must_use]
    pub fn discover(&self) -> bool {
        self.discover == "true"
    }
}

impl Valkey {
    /// ARN of the secret with user and password, if the server asks for them.
    #[must_use]
    pub fn secret_arn(&self) -> Option<&str> {
        Some(self.secret_arn.as_str()).filter(|arn| !arn.is_empty())
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// The rules as JSON, without what holds by default: all variables of a function together have 4 096 bytes.
#[must_use]
pub fn compact(policy: &Policy) -> Value {
    let mut rules = serde_json::to_value(policy).unwrap_or_default();
    let usual = serde_json::to_value(fleet::class::Class::default()).unwrap_or_default();
    if let Some(classes) = rules.get_mut("classes").and_then(Value::as_array_mut) {
        classes.iter_mut().for_each(|class| {
            // Task definitions hold the image; functions do not look at it.
            class.as_object_mut().map(|class| class.remove("image"));
            without(class, &usual);
        });
    }
    rules
}

fn without(value: &mut Value, usual: &Value) {
    let (Some(keys), Some(usual)) = (value.as_object_mut(), usual.as_object()) else { return };
    keys.retain(|key, value| usual.get(key) != Some(value));
    for (key, value) in keys.iter_mut() {
        if let Some(usual) = usual.get(key) {
            without(value, usual);
        }
    }
}

#[cfg(test)]
mod tests {
    use fleet::policy::Policy;

    use super::*;
    use crate::settings::usual_class;

    #[test]
    fn a_part_is_there_as_a_whole_or_told_to_be_broken() {
        let none = |name: &str| (name == "STAGE").then(|| "dev".to_owned());
        let environment = Environment::read(none).unwrap();
        assert_eq!(environment.engine().unwrap_err().name, "CLUSTER_NAME");
        let half = |name: &str| ["STAGE", "POLICY"].contains(&name).then(|| "x".to_owned());
        let error = Environment::read(half).unwrap_err();
        assert!(error.name == "QUEUE_URL" && error.to_string().contains("self-runners deploy"), "{error}");
    }

    /// Each class costs some of the 4 096 bytes, those that allow nothing none of them for that.
    #[test]
    fn what_may_be_asked_for_is_written_only_as_far_as_it_is_allowed() {
        let mut policy = Policy { classes: vec![usual_class(fleet::class::Arch::X86_64)], ..Policy::default() };
        assert!(!compact(&policy).to_string().contains("allow\":"), "{}", compact(&policy));
        policy.classes[0].allow.cpu_milli = Some([1_000, 8_000]);
        let short = compact(&policy).to_string();
        assert!(short.contains(r#""allow":{"cpu_milli":[1000,8000]}"#), "{short}");
        let intake = Intake { policy: short, queue_url: String::new() };
        assert_eq!(intake.policy().unwrap(), policy);
    }

    #[test]
    fn rules_without_their_defaults_are_the_same_rules() {
        let class = usual_class(fleet::class::Arch::X86_64);
        let policy = Policy { classes: vec![class], ..Policy::default() };
        let short = compact(&policy).to_string();
        assert!(short.contains(r#""size":{"arch":"x86_64"}"#) && !short.contains("boot_timeout_ms"), "{short}");
        let intake = Intake { policy: short, queue_url: String::new() };
        assert_eq!(intake.policy().unwrap(), policy);
    }
}
