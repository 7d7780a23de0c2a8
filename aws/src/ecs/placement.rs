//! Where a launch is tried: each attempt in one subnet, on one capacity provider.
//!
//! A class has as many placements as it has subnets × providers. Attempt by attempt, the subnets come first: all of them on
//! the first provider (Spot, for one), then all of them on the next (on-demand). Runners begin with different subnets, so
//! that zones share the load; which one follows from the runner's name, because a repeated launch must be the same launch.

use fleet::{class::Size, effect::LaunchSpec};

/// What runs tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// Fargate, on demand. Every cluster has it.
    Fargate,
    /// Fargate's spare capacity, to be taken back with two minutes' notice. It must be associated with the cluster.
    FargateSpot,
    /// Another capacity provider of the cluster: Managed Instances, or EC2 with an Auto Scaling group.
    Named(String),
}

/// A class, as ECS knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcsClass {
    /// Its task definition: ARN, `family:revision` or family.
    pub task_definition: String,
    /// Name of the container in it that gets the agent's environment.
    pub container: String,
    /// The size that the task definition has. A launch of another one overrides it; `None`: never.
    pub size: Option<Size>,
    /// What it is tried on, in this order.
    pub providers: Vec<Provider>,
}

impl EcsClass {
    /// A class on Fargate, on demand.
    pub fn new(task_definition: impl Into<String>, container: impl Into<String>) -> Self {
        Self {
            task_definition: task_definition.into(),
            container: container.into(),
            size: None,
            providers: vec![Provider::Fargate],
        }
    }

    /// Whether it runs on Fargate, and on nobody's instances.
    #[must_use]
    pub fn is_on_fargate(&self) -> bool {
        !self.providers.iter().any(|provider| matches!(provider, Provider::Named(_)))
    }

    /// The same, tried on Spot first.
    #[must_use]
    pub fn on_spot(self) -> Self {
        Self { providers: vec![Provider::FargateSpot, Provider::Fargate], ..self }
    }
}

/// How many placements a class has: what the core's `Class::placements` is to be.
#[must_use]
pub fn placements(subnets: usize, class: &EcsClass) -> u32 {
    u32::try_from(subnets.saturating_mul(class.providers.len())).unwrap_or(u32::MAX).max(1)
}

/// Where one launch goes; `None` without a subnet or a provider.
pub(super) fn of<'a>(spec: &LaunchSpec, subnets: &'a [String], class: &'a EcsClass) -> Option<(&'a str, &'a Provider)> {
    let at = usize::try_from(spec.placement).ok()?;
    let (round, turn) = (at.checked_div(subnets.len())?, at.checked_rem(subnets.len())?);
    let subnet = &subnets[(first_subnet(spec.runner.as_str(), subnets.len()) + turn) % subnets.len()];
    let providers = providers(spec, class);
    let provider = providers.get(round.checked_rem(providers.len())?)?;
    Some((subnet, provider))
}

/// What it is tried on: what its job asked for, else what the class has.
fn providers<'a>(spec: &LaunchSpec, class: &'a EcsClass) -> &'a [Provider] {
    match spec.spot {
        Some(true) => &ON_SPOT,
        Some(false) => &ON_DEMAND,
        None => &class.providers,
    }
}

const ON_SPOT: [Provider; 2] = [Provider::FargateSpot, Provider::Fargate];
const ON_DEMAND: [Provider; 1] = [Provider::Fargate];

/// By the sum of its letters: runners that are decided on together have names that count up, so they take turns.
fn first_subnet(runner: &str, subnets: usize) -> usize {
    let sum: usize = runner.bytes().map(usize::from).sum();
    sum % subnets.max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use controller::contract::facts;

    use super::*;

    fn subnets(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("subnet-{n}")).collect()
    }

    #[test]
    fn all_subnets_come_before_the_next_provider() {
        let (subnets, class) = (subnets(3), EcsClass::new("runner", "runner").on_spot());
        assert_eq!(placements(3, &class), 6);
        let tried: Vec<_> = (0..6)
            .map(|placement| {
                let spec = LaunchSpec { placement, ..facts::launch("sr-dev-a", placement + 1) };
                of(&spec, &subnets, &class).unwrap()
            })
            .collect();
        assert!(tried[..3].iter().all(|(_, provider)| **provider == Provider::FargateSpot));
        assert!(tried[3..].iter().all(|(_, provider)| **provider == Provider::Fargate));
        for half in [&tried[..3], &tried[3..]] {
            assert_eq!(half.iter().map(|(subnet, _)| subnet).collect::<BTreeSet<_>>().len(), 3);
        }
    }

    #[test]
    fn a_job_may_ask_for_spot_or_for_none() {
        let (subnets, usual, spot) = (subnets(1), EcsClass::new("r", "r"), EcsClass::new("r", "r").on_spot());
        let on = |class, placement, spot| {
            let spec = LaunchSpec { placement, spot, ..facts::launch("sr-dev-a", placement + 1) };
            of(&spec, &subnets, class).unwrap().1.clone()
        };
        assert_eq!([0, 1].map(|n| on(&usual, n, Some(true))), [Provider::FargateSpot, Provider::Fargate]);
        assert_eq!([0, 1].map(|n| on(&spot, n, Some(false))), [Provider::Fargate, Provider::Fargate]);
        assert_eq!([0, 1].map(|n| on(&usual, n, None)), [Provider::Fargate, Provider::Fargate]);
    }

    #[test]
    fn runners_begin_in_different_subnets_and_always_in_the_same() {
        let (subnets, class) = (subnets(2), EcsClass::new("runner", "runner"));
        let first = |n: u32| of(&facts::launch(&format!("sr-dev-{n}"), 1), &subnets, &class).unwrap().0;
        let zeroes = (0..1_000).filter(|n| first(*n) == "subnet-0").count();
        assert!((400..600).contains(&zeroes), "{zeroes}");
        assert_eq!(first(7), first(7));
    }

    #[test]
    fn nowhere_is_no_place() {
        assert_eq!(of(&facts::launch("sr-dev-a", 1), &[], &EcsClass::new("runner", "runner")), None);
        assert_eq!(placements(0, &EcsClass::new("runner", "runner")), 1);
    }
}
