//! ECR: whether the image of a class is there to be pulled.

use aws_sdk_ecr::{
    Client,
    config::{Builder, Region},
    types::ImageIdentifier,
};
use controller::ports::{ErrorKind, PortError, PortResult};

use crate::{
    cloud::Cloud,
    heard::{self, Heard, refused},
};

/// An image in ECR, taken apart from its URI: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG` or `…@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrImage {
    account: String,
    region: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl EcrImage {
    /// Reads a URI; `None`: it is in another registry.
    #[must_use]
    pub fn parse(uri: &str) -> Option<Self> {
        let (host, path) = uri.split_once('/')?;
        let (account, rest) = host.split_once(".dkr.ecr.")?;
        let (region, _) = rest.split_once(".amazonaws.com")?;
        let (path, digest) = match path.split_once('@') {
            Some((path, digest)) => (path, Some(digest.to_owned())),
            None => (path, None),
        };
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, digest.is_none().then(|| "latest".to_owned())),
        };
        Some(Self { account: account.into(), region: region.into(), repository: repository.into(), tag, digest })
    }

    /// Its size in bytes as it is pulled.
    ///
    /// # Errors
    /// `NotFound`: it, or its repository, is not there. `Denied`, `Retry`.
    pub async fn size(&self, cloud: &Cloud) -> PortResult<u64> {
        let id =
            ImageIdentifier::builder().set_image_tag(self.tag.clone()).set_image_digest(self.digest.clone()).build();
        // A repository is of one Region, and may be of another than the stage.
        let config = Builder::from(cloud.config()).region(Region::new(self.region.clone())).build();
        let ask = Client::from_conf(config).describe_images().registry_id(&self.account);
        let told = ask.repository_name(&self.repository).image_ids(id).send().await;
        let told = told.map_err(|error| self.told(&heard::hear(&error)))?;
        let image = told.image_details().first().ok_or_else(|| self.missing())?;
        Ok(image.image_size_in_bytes().and_then(|size| u64::try_from(size).ok()).unwrap_or(0))
    }

    fn missing(&self) -> PortError {
        let which = self.digest.as_deref().or(self.tag.as_deref()).unwrap_or_default();
        PortError::new(ErrorKind::NotFound, format!("{} has no image {which}: push it", self.repository))
    }

    fn told(&self, heard: &Heard) -> PortError {
        let name = &self.repository;
        match heard {
            Heard::Refused { code, .. } if code == "ImageNotFoundException" => self.missing(),
            Heard::Refused { code, .. } if code == "RepositoryNotFoundException" => PortError::new(
                ErrorKind::NotFound,
                format!("there is no repository {name} in account {} and {}", self.account, self.region),
            ),
            Heard::Refused { .. } | Heard::NoCredentials(_) | Heard::Unknown(_) => {
                refused(&format!("look at the image in {name}"), "ecr:DescribeImages", heard)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_taken_apart() {
        let told = |uri: &str| {
            let image = EcrImage::parse(uri)?;
            Some((image.repository, image.tag, image.digest))
        };
        let host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(told(&format!("{host}/a/b:c")), Some(("a/b".into(), text("c"), None)));
        assert_eq!(told(&format!("{host}/a")), Some(("a".into(), text("latest"), None)));
        assert_eq!(told(&format!("{host}/a:c@sha256:0")), Some(("a".into(), text("c"), text("sha256:0"))));
        assert_eq!(told("ghcr.io/a/b:c"), None);
        assert_eq!(told("runner"), None);
    }
}
