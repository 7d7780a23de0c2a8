//! How AWS is reached: Region, credentials, endpoint, TLS. Every client of this crate is made from one [`Cloud`].

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sts::config::Credentials;
use controller::ports::{ErrorKind, PortError, PortResult, Secret};

use crate::{
    heard::{self, Heard},
    reach,
    settings::check_region,
};

/// Where and as whom.
#[derive(Debug, Clone, Default)]
pub struct CloudSettings {
    /// Region; else what the environment or the profile says.
    pub region: Option<String>,
    /// Profile of the shared configuration; else `AWS_PROFILE` or the default one.
    pub profile: Option<String>,
    /// Another endpoint for all services (`--endpoint-url`); else AWS's own, or `AWS_ENDPOINT_URL`.
    pub endpoint_url: Option<String>,
    /// An access key; else what the environment, the profile or the machine's role gives.
    pub key: Option<AccessKey>,
}

/// An access key, as an engine on this machine wants one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
}

/// What is noted in the SDK's logs as the origin of an [`AccessKey`].
const KEY_ORIGIN: &str = "settings";

/// A way to AWS. Cheap to clone; credentials are looked up when they are first needed.
#[derive(Debug, Clone)]
pub struct Cloud {
    config: SdkConfig,
    /// The profile that is asked for by name.
    profile: Option<String>,
}

impl Cloud {
    /// Why the endpoint that was configured cannot be one.
    ///
    /// # Errors
    /// What it is, and what to write.
    pub fn check_endpoint(&self) -> Result<(), String> {
        let Some(url) = self.config.endpoint_url() else { return Ok(()) };
        let host = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        if host.is_some_and(|host| !host.trim_matches('/').is_empty()) {
            return Ok(());
        }
        Err(format!("`{url}` is no endpoint of AWS: write http:// or https:// before the host"))
    }

    /// Why there is no Region to go to.
    ///
    /// # Errors
    /// None is known, or that is none, and what to write.
    pub fn check_region(&self) -> Result<(), String> {
        match self.region() {
            Some(region) => check_region(region).map_err(|what| format!("of the profile: {what}")),
            None => Err("no Region: write `region` below [aws], or set AWS_REGION".to_owned()),
        }
    }

    /// Reads the settings, the environment and the shared configuration files. Talks to nobody.
    pub async fn open(settings: &CloudSettings) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(reach::client())
            .timeout_config(reach::timeouts());
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(url) = &settings.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(AccessKey { id, secret }) = &settings.key {
            loader = loader.credentials_provider(Credentials::new(id, secret.expose(), None, None, KEY_ORIGIN));
        }
        let profile = settings.profile.clone().or_else(|| std::env::var("AWS_PROFILE").ok());
        Self { config: loader.load().await, profile: profile.filter(|name| !name.is_empty()) }
    }

    /// The Region, if one is known.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }

    /// What clients are made from.
    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }
}

/// Whose credentials are in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account's number.
    pub account: String,
    /// The user or role.
    pub arn: String,
}

impl Cloud {
    /// Asks whose credentials these are.
    ///
    /// # Errors
    /// There are none, they are not accepted, or nobody answers.
    pub async fn identity(&self) -> PortResult<Identity> {
        let asked = aws_sdk_sts::Client::new(self.config()).get_caller_identity().send().await;
        let told = asked.map_err(|error| self.nobody(&heard::hear(&error)))?;
        let (Some(account), Some(arn)) = (told.account(), told.arn()) else {
            return Err(PortError::retry("whoever answers as AWS names no account: look at proxy and endpoint"));
        };
        Ok(Identity { account: account.to_owned(), arn: arn.to_owned() })
    }

    fn nobody(&self, heard: &Heard) -> PortError {
        let (kind, why) = heard::meaning(IDENTITY_ACTION, heard).unwrap_or_else(|| match heard {
            Heard::Refused { code, message } => (ErrorKind::Denied, format!("{message} ({code})")),
            Heard::NoCredentials(why) | Heard::Unknown(why) => (ErrorKind::Retry, why.clone()),
        });
        let more = match (heard, &self.profile, self.region()) {
            (Heard::NoCredentials(_), Some(profile), _) => format!("; the profile asked for is `{profile}`"),
            (Heard::Unknown(_), _, Some(region)) if !why.contains("proxy") => {
                format!("; look at network and proxy, and whether `{region}` is a Region")
            }
            _ => String::new(),
        };
        PortError::new(kind, format!("AWS does not say whose credentials these are: {why}{more}"))
    }
}

/// The permission of asking that; everybody has it.
const IDENTITY_ACTION: &str = "sts:GetCallerIdentity";
