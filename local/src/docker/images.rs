//! Which image a container gets, and how it comes to the engine.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bollard::{Docker, query_parameters::CreateImageOptionsBuilder};
use controller::ports::{ErrorKind, PortError, PortResult};
use futures_util::TryStreamExt as _;

use super::refusal;

/// When an image is fetched from its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pull {
    /// Never: what is not there was forgotten to be loaded.
    Never,
    /// When it is not there.
    #[default]
    Missing,
    /// Before each launch.
    Always,
}

/// How long a registry may take to begin; the rest of the fetch is not timed.
const FETCH_WITHIN: Duration = Duration::from_secs(600);

/// The images being fetched: one fetch of one image at a time, however many launches wait for it.
#[derive(Debug, Default)]
pub(super) struct Images {
    under_way: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Images {
    /// Fetches an image that is not there. Whoever comes while it is fetched waits, and finds it.
    pub(super) async fn fetch_missing(&self, docker: &Docker, host: &str, image: &str) -> PortResult<()> {
        let turn = self.turn(image);
        let _turn = turn.lock().await;
        match docker.inspect_image(image).await {
            Ok(_) => Ok(()),
            Err(error) if refusal::is_missing(&error) => fetch(docker, host, image).await,
            Err(error) => Err(refusal::told(host, &format!("look for the image {image}"), &error)),
        }
    }

    /// Asks the registry for the newest one.
    pub(super) async fn fetch_newest(&self, docker: &Docker, host: &str, image: &str) -> PortResult<()> {
        let turn = self.turn(image);
        let _turn = turn.lock().await;
        fetch(docker, host, image).await
    }

    fn turn(&self, image: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, turn| Arc::strong_count(turn) > 1);
        under_way.entry(image.to_owned()).or_default().clone()
    }
}

async fn fetch(docker: &Docker, host: &str, image: &str) -> PortResult<()> {
    tracing::info!(image, "fetching an image");
    let (name, tag) = reference(image);
    let mut options = CreateImageOptionsBuilder::default().from_image(name);
    if let Some(tag) = tag {
        options = options.tag(tag);
    }
    let progress = docker.clone().with_timeout(FETCH_WITHIN).create_image(Some(options.build()), None, None);
    let done: Result<Vec<_>, _> = progress.try_collect().await;
    let failed = match done {
        Ok(steps) => steps.into_iter().find_map(|step| step.error_detail?.message),
        Err(error) if refusal::status(&error).is_none() && !is_said(&error) => {
            return Err(refusal::told(host, &format!("fetch the image {image}"), &error));
        }
        Err(error) => Some(error.to_string()),
    };
    failed.map_or(Ok(()), |why| Err(not_fetched(image, &why)))
}

fn is_said(error: &bollard::errors::Error) -> bool {
    matches!(error, bollard::errors::Error::DockerStreamError { .. })
}

/// The engine did not get it: nothing was started, and other pools may use the room meanwhile.
fn not_fetched(image: &str, why: &str) -> PortError {
    let refused = ["denied", "not found", "manifest unknown", "unauthorized", "invalid reference"];
    let (kind, advice) = if refused.iter().any(|word| why.contains(word)) {
        (ErrorKind::Invalid, format!("check the name, or log in and fetch it by hand: `docker pull {image}`"))
    } else {
        (ErrorKind::Capacity, format!("is the registry reached? By hand: `docker pull {image}`, or `docker load`"))
    };
    PortError::new(kind, format!("the image {image} cannot be fetched: {why}: {advice}"))
}

/// It is not there and is not to be fetched.
pub(super) fn not_there(image: &str) -> PortError {
    let text = format!(
        "the engine has no image {image}, and `pull = \"never\"` keeps it from being fetched: load it (`docker pull \
         {image}`, or `docker load`), or set `pull = \"missing\"` below [engine]"
    );
    PortError::new(ErrorKind::Invalid, text)
}

/// Name and tag. Without a tag the engine would fetch all of them.
fn reference(image: &str) -> (&str, Option<&str>) {
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    if image.contains('@') || image[last..].contains(':') { (image, None) } else { (image, Some("latest")) }
}

/// Whether a text can name an image. Keeps it within the path of the engine's API.
pub(super) fn is_reference(text: &str) -> bool {
    let fine = |c: u8| c.is_ascii_alphanumeric() || b"-_./:@".contains(&c);
    text.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric()) && text.bytes().all(fine) && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_tag_is_its_latest() {
        assert_eq!(reference("runner"), ("runner", Some("latest")));
        assert_eq!(reference("localhost:5000/a/runner"), ("localhost:5000/a/runner", Some("latest")));
        assert_eq!(reference("localhost:5000/runner:2"), ("localhost:5000/runner:2", None));
        assert_eq!(reference("ghcr.io/a/runner@sha256:0f"), ("ghcr.io/a/runner@sha256:0f", None));
    }

    #[test]
    fn a_reference_stays_within_its_path() {
        assert!(is_reference("ghcr.io/actions/actions-runner:2.330.0"));
        for bad in ["", "../x", "a?b", "a b", "/etc", "a/../b"] {
            assert!(!is_reference(bad), "{bad}");
        }
    }

    #[test]
    fn a_refusal_of_the_registry_is_told_from_its_absence() {
        assert_eq!(not_fetched("x", "pull access denied for x").kind, ErrorKind::Invalid);
        assert_eq!(not_fetched("x", "dial tcp: lookup r.example: no such host").kind, ErrorKind::Capacity);
    }
}
