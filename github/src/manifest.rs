//! Registering a GitHub App from a manifest: what is posted to GitHub's page, and the code that comes back.
//!
//! The page is opened by a person in a browser; what happens there is not ours. The code that it ends with is turned
//! into the App's id, key and webhook secret once, within an hour (docs.github.com, "Registering a GitHub App from a
//! manifest").

use std::{collections::BTreeMap, sync::Arc};

use controller::ports::{Clock, ErrorKind, PortError, PortResult, Secret};
use reqwest::Url;
use serde_json::{Value, json};

use crate::{
    contract,
    fields::{FieldError, Fields},
    settings::{self, GITHUB_COM, Settings},
    wire::{Wire, ask::Ask, refusal::unreadable},
};

/// The webhook event that is wanted.
const EVENT: &str = "workflow_job";

/// Page of the public GitHub.
const GITHUB_COM_WEB: &str = "https://github.com";

/// What an App is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its name; the person may change it on GitHub's page.
    pub name: String,
    /// A page that tells what it is for.
    pub url: String,
    /// Where the browser goes back to with the code.
    pub redirect_url: String,
    /// Where webhooks go; `None`: none are sent.
    pub hook_url: Option<String>,
    /// Whether other accounts may install it.
    pub public: bool,
    /// What it may.
    pub permissions: BTreeMap<&'static str, &'static str>,
}

/// What an App needs, by the names that GitHub has for it.
pub fn permissions(runners_of_organization: bool, rerun_jobs: bool) -> BTreeMap<&'static str, &'static str> {
    let runners = if runners_of_organization { "organization_self_hosted_runners" } else { "administration" };
    let actions = if rerun_jobs { "write" } else { "read" };
    BTreeMap::from([("actions", actions), ("metadata", "read"), (runners, "write")])
}

impl Manifest {
    /// As it is posted.
    pub fn json(&self) -> Value {
        // The address must be there even where nothing is sent.
        let hook = json!({ "url": self.hook_url.as_ref().unwrap_or(&self.url), "active": self.hook_url.is_some() });
        json!({
            "name": self.name,
            "url": self.url,
            "redirect_url": self.redirect_url,
            "hook_attributes": hook,
            "public": self.public,
            "default_permissions": self.permissions,
            "default_events": [EVENT],
        })
    }
}

/// Where the manifest is posted to, for a person's own account or an organisation.
///
/// # Errors
/// `Invalid` if that is no URL.
pub fn new_app_page(web_url: &str, org: Option<&str>, state: &str) -> PortResult<String> {
    let mut url = settings::base(web_url)?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty();
        if let Some(org) = org {
            segments.extend(["organizations", org]);
        }
        segments.extend(["settings", "apps", "new"]);
    }
    url.query_pairs_mut().append_pair("state", state);
    Ok(url.into())
}

/// The pages that belong to a REST interface: `https://<host>/api/v3` → `https://<host>`, `https://api.<name>.ghe.com` →
/// `https://<name>.ghe.com`.
///
/// # Errors
/// `Invalid` if that is no URL.
pub fn web_url(api_url: &str) -> PortResult<String> {
    let url = settings::base(api_url)?;
    if url == settings::base(GITHUB_COM)? {
        return Ok(GITHUB_COM_WEB.into());
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix("api.").filter(|host| host.ends_with(".ghe.com")).unwrap_or(host);
    Ok(format!("{}://{host}{port}", url.scheme()))
}

/// An App that was registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub id: u64,
    /// Its name in addresses.
    pub slug: String,
    /// Its page.
    pub page: String,
    /// The account that owns it.
    pub owner: String,
    /// Its private key, in PEM.
    pub key_pem: Secret,
    /// What its webhooks are signed with.
    pub webhook_secret: Option<Secret>,
}

/// Turns the code into what was registered. GitHub does that once: keep the answer.
///
/// # Errors
/// `NotFound` if the code is not good any more; else as GitHub answers.
pub async fn convert(settings: &Settings, clock: Arc<dyn Clock>, code: &str) -> PortResult<Registered> {
    let wire = Wire::new(&settings.base_url, settings, clock)?;
    let ask = Ask::of(&contract::CONVERT_MANIFEST, "").at("code", code);
    let answer = wire.send(&ask, None).await.map_err(|error| match error.kind {
        ErrorKind::NotFound => {
            let what = "GitHub does not know this code: it is good once, for an hour; begin again";
            PortError::new(ErrorKind::NotFound, what)
        }
        ErrorKind::Retry
        | ErrorKind::RateLimited { .. }
        | ErrorKind::Capacity
        | ErrorKind::Conflict
        | ErrorKind::Denied
        | ErrorKind::Invalid => error,
    })?;
    let read = Fields::root(&answer.body).and_then(|body| registered(&body));
    read.map_err(|why| unreadable(ask.call, why))
}

fn registered(body: &Fields<'_>) -> Result<Registered, FieldError> {
    let secret = body.optional_text("webhook_secret")?.filter(|secret| !secret.is_empty());
    let page = body.text("html_url")?;
    // It is shown as a link.
    let page = Url::parse(page).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    Ok(Registered {
        id: body.number("id")?,
        slug: body.text("slug")?.to_owned(),
        page: page.ok_or_else(|| body.wrong("html_url", "a URL"))?.into(),
        owner: body.object("owner")?.text("login")?.to_owned(),
        key_pem: Secret::new(body.text("pem")?),
        webhook_secret: secret.map(Secret::new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interface_has_its_pages() {
        for (api, web) in [
            ("https://api.github.com", "https://github.com"),
            ("https://api.github.com/", "https://github.com"),
            ("https://ghe.example.com/api/v3", "https://ghe.example.com"),
            ("https://ghe.example.com:8443/api/v3/", "https://ghe.example.com:8443"),
            ("https://api.acme.ghe.com", "https://acme.ghe.com"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(web_url(api).unwrap(), web);
        }
        assert!(web_url("http://ghe.example.com").is_err());
    }

    #[test]
    fn the_page_is_the_accounts_and_carries_the_state() {
        let page = |org| new_app_page("https://github.com", org, "s").unwrap();
        assert_eq!(page(None), "https://github.com/settings/apps/new?state=s");
        assert_eq!(page(Some("a/c")), "https://github.com/organizations/a%2Fc/settings/apps/new?state=s");
    }

    #[test]
    fn a_manifest_asks_for_no_more_than_is_needed() {
        let manifest = Manifest {
            name: "self-runners-acme".into(),
            url: "https://github.com/acme".into(),
            redirect_url: "http://127.0.0.1:1/done".into(),
            hook_url: None,
            public: false,
            permissions: permissions(true, false),
        };
        let json = manifest.json();
        let expected = json!({"actions": "read", "metadata": "read", "organization_self_hosted_runners": "write"});
        assert_eq!(json["default_permissions"], expected);
        assert_eq!(json["hook_attributes"], json!({"url": "https://github.com/acme", "active": false}));
        assert_eq!(permissions(false, true).into_iter().collect::<Vec<_>>().len(), 3);
        assert_eq!(permissions(false, true)["administration"], "write");
        assert_eq!(permissions(false, true)["actions"], "write");
    }
}
