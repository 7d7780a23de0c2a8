//! The engine as a function's environment describes it.

use std::collections::BTreeMap;

use fleet::{class::Class, ids::ClassName, policy::Policy};

use super::{Engine, words};
use crate::{
    ecs::{
        EcsSettings,
        placement::{EcsClass, Provider},
    },
    stack::CONTAINER,
};

impl Engine {
    /// What the engine is started with.
    #[must_use]
    pub fn settings(&self, policy: &Policy) -> EcsSettings {
        let mut settings = EcsSettings::new(policy.stage.as_str(), self.cluster.as_str());
        settings.subnets = self.subnets();
        settings.security_groups = vec![self.security_group.clone()];
        settings.assign_public_ip = self.assign_public_ip == PUBLIC;
        settings.group = Some(self.service.clone());
        let (definitions, spot, capacity) = (self.task_definitions(), self.spot_classes(), self.capacity());
        settings.classes = policy
            .classes
            .iter()
            .filter_map(|class| {
                let named = capacity.get(&class.name).cloned().unwrap_or_default();
                let providers = providers(named, spot.contains(&class.name));
                Some((class.name.clone(), ecs_class(class, definitions.get(&class.name)?, providers)))
            })
            .collect();
        settings
    }

    /// ARNs of the task definitions, by class.
    #[must_use]
    pub fn task_definitions(&self) -> BTreeMap<ClassName, String> {
        let pairs = words(&self.task_definition_arns).filter_map(|pair| pair.split_once('='));
        pairs.map(|(class, arn)| (class.into(), arn.to_owned())).collect()
    }

    /// Subnets, in the order in which they are tried.
    #[must_use]
    pub fn subnets(&self) -> Vec<String> {
        words(&self.subnets).map(str::to_owned).collect()
    }

    /// Capacity providers of the classes that do not run on Fargate.
    #[must_use]
    pub fn capacity(&self) -> BTreeMap<ClassName, Vec<String>> {
        let pairs = words(&self.capacity_providers).filter_map(|pair| pair.split_once('='));
        pairs.map(|(class, names)| (class.into(), names.split('+').map(str::to_owned).collect())).collect()
    }

    /// Classes that are tried on Fargate Spot first.
    #[must_use]
    pub fn spot_classes(&self) -> Vec<ClassName> {
        words(&self.spot_classes).map(ClassName::from).collect()
    }
}

fn ecs_class(class: &Class, task_definition: &str, providers: Vec<Provider>) -> EcsClass {
    EcsClass {
        task_definition: task_definition.to_owned(),
        container: CONTAINER.into(),
        size: Some(class.size),
        providers,
    }
}

/// What runners of a class are tried on, in this order.
pub(crate) fn providers(named: Vec<String>, spot: bool) -> Vec<Provider> {
    if !named.is_empty() {
        return named.into_iter().map(Provider::Named).collect();
    }
    if spot { vec![Provider::FargateSpot, Provider::Fargate] } else { vec![Provider::Fargate] }
}

/// How public addresses are asked for.
pub(crate) const PUBLIC: &str = "ENABLED";
