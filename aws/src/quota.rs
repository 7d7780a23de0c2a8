//! Service Quotas: how many processors Fargate may run at once in this account and Region.
//!
//! A new account has 6 (FACTS §4): one machine of four fits, a second one does not. What is over it is refused by `RunTask`
//! and waits, so this is for the person who wonders why.

use aws_sdk_servicequotas::Client;
use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::policy::Policy;

use crate::{
    cloud::Cloud,
    heard::{self, refused},
};

/// Quotas of Fargate, in Service Quotas' names.
const SERVICE: &str = "fargate";
const ON_DEMAND: &str = "L-3032A538";
const SPOT: &str = "L-36FBB829";

/// Where quotas are raised.
const PAGE: &str = "https://console.aws.amazon.com/servicequotas/home/services/fargate/quotas";

/// Processors that Fargate may run at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// On demand.
    pub on_demand: f64,
    /// On Spot.
    pub spot: f64,
}

impl Quota {
    /// Asks for it.
    ///
    /// # Errors
    /// `Denied`, `Retry`.
    pub async fn read(cloud: &Cloud) -> PortResult<Self> {
        let client = Client::new(cloud.config());
        let (on_demand, spot) = tokio::join!(value(&client, ON_DEMAND), value(&client, SPOT));
        Ok(Self { on_demand: on_demand?, spot: spot? })
    }

    /// What of the rules does not fit into it: a class that never starts, then a fleet that is never as large as it may
    /// be. With what to do.
    #[must_use]
    pub fn faults(&self, policy: &Policy) -> (Vec<String>, Vec<String>) {
        let cpus = |milli: u32| f64::from(milli) / 1_000.0;
        let open = || policy.classes.iter().filter(|class| class.max > 0);
        let too_large = open().filter(|class| cpus(class.size.cpu_milli) > self.on_demand).map(|class| {
            format!(
                "class `{}` wants {} vCPU a runner, Fargate's quota here is {}: none of its runners can start; raise \
                 {ON_DEMAND} at {PAGE}",
                class.name,
                cpus(class.size.cpu_milli),
                self.on_demand
            )
        });
        let may_ask = open().filter_map(|class| {
            let most = cpus(class.allow.cpu_milli?[1]);
            (most > self.on_demand && cpus(class.size.cpu_milli) <= self.on_demand).then(|| {
                format!(
                    "jobs may ask class `{}` for up to {most} vCPU, Fargate's quota here is {}: those that ask for more \
                     than that wait; raise {ON_DEMAND} at {PAGE}, or allow less",
                    class.name, self.on_demand
                )
            })
        });
        let largest = open().map(|class| cpus(class.size.cpu_milli)).fold(0.0, f64::max);
        let wanted: f64 = open().map(|class| cpus(class.size.cpu_milli) * f64::from(class.max)).sum();
        let wanted = wanted.min(largest * f64::from(policy.max));
        let too_many = (wanted > self.on_demand && largest > 0.0).then(|| {
            format!(
                "all runners together want up to {wanted} vCPU, Fargate's quota here is {}: {} of the largest run at once, \
                 the others wait; raise {ON_DEMAND} at {PAGE}",
                self.on_demand,
                (self.on_demand / largest).floor()
            )
        });
        (too_large.collect(), too_many.into_iter().chain(may_ask).collect())
    }
}

async fn value(client: &Client, code: &str) -> PortResult<f64> {
    let asked = client.get_service_quota().service_code(SERVICE).quota_code(code).send().await;
    let told = asked
        .map_err(|error| refused("read Fargate's quota", "servicequotas:GetServiceQuota", &heard::hear(&error)))?;
    told.quota()
        .and_then(|quota| quota.value())
        .ok_or_else(|| PortError::new(ErrorKind::Retry, format!("Service Quotas tells no value of {code}")))
}

#[cfg(test)]
mod tests {
    use fleet::class::Arch;

    use super::*;
    use crate::settings::usual_class;

    #[test]
    fn what_does_not_fit_is_told_with_how_many_do() {
        let class = usual_class(Arch::Arm64);
        let policy = Policy { max: 6, classes: vec![class], ..Policy::default() };
        let told = |on_demand: f64| Quota { on_demand, spot: 0.0 }.faults(&policy);
        assert_eq!(told(24.0), (vec![], vec![]));
        let (never, some) = told(6.0);
        assert!(
            never.is_empty() && some[0].contains("up to 24 vCPU") && some[0].contains(": 1 of the largest"),
            "{some:?}"
        );
        let mut asking = policy.clone();
        asking.classes[0].allow.cpu_milli = Some([1_000, 32_000]);
        let (_, some) = Quota { on_demand: 24.0, spot: 0.0 }.faults(&asking);
        assert!(some[0].contains("for up to 32 vCPU"), "{some:?}");
        let (never, _) = told(2.0);
        assert!(never[0].contains("wants 4 vCPU a runner, Fargate's quota here is 2: none"), "{never:?}");
    }
}
