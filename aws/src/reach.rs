//! HTTP to AWS: how long we wait, and errors that name who did not answer.

use std::{error::Error, fmt, time::Duration};

use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
        http_client_fn,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};

/// To connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// From the begin of a request to the begin of its answer. AWS answers what we ask within a second or two; whatever asks
/// also tries again.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// The same where functions' code is sent, some megabytes over whatever line there is.
const UPLOAD_WITHIN: Duration = Duration::from_secs(300);

/// What every call keeps.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_WITHIN).read_timeout(ANSWER_WITHIN).build()
}

/// What calls keep that send much.
pub(crate) fn upload_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_WITHIN).read_timeout(UPLOAD_WITHIN).build()
}

/// The variables that name a proxy for HTTPS. `NO_PROXY` is heeded too.
const PROXY_NAMES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The client of all services. Plain HTTP never goes through a proxy: that is an engine on this machine, or the machine
/// itself, which tells its role's credentials.
pub(crate) fn client() -> SharedHttpClient {
    let direct = over(&ProxyConfig::disabled());
    let has_proxy = PROXY_NAMES.iter().any(|name| std::env::var_os(name).is_some_and(|url| !url.is_empty()));
    let proxied = if has_proxy { over(&ProxyConfig::from_env()) } else { direct.clone() };
    http_client_fn(move |settings, components| {
        SharedHttpConnector::new(Named {
            plain: direct.http_connector(settings, components),
            tls: proxied.http_connector(settings, components),
            settings: settings.clone(),
        })
    })
}

fn over(proxy: &ProxyConfig) -> SharedHttpClient {
    let proxy = proxy.clone();
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        // ring, as everywhere in this project: the SDK's default provider needs cmake and minutes to build.
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    })
}

/// Scheme and host that a request went to; with each answer too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place(String);

impl Place {
    /// Without user, password, path and query: those may hold a secret.
    fn of(uri: &str) -> Self {
        let (scheme, rest) = uri.split_once("://").unwrap_or(("https", uri));
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        Self(format!("{scheme}://{}", host.rsplit('@').next().unwrap_or_default()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request that brought no answer.
#[derive(Debug)]
pub(crate) struct Unreached {
    what: String,
    cause: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Unreached {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}

impl Unreached {
    fn new(
        place: &Place,
        settings: &HttpConnectorSettings,
        is_timeout: bool,
        cause: Box<dyn Error + Send + Sync>,
    ) -> Self {
        let root = root(&*cause).to_string();
        let seconds = |limit: Option<Duration>| limit.unwrap_or_default().as_secs();
        let what = if !is_timeout {
            format!("{place} cannot be reached: {root}")
        } else if root.contains("connect") {
            format!("no connection to {place} within {} s", seconds(settings.connect_timeout()))
        } else {
            format!("no answer from {place} within {} s", seconds(settings.read_timeout()))
        };
        Self { what, cause }
    }
}

/// What it comes from.
fn root<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error
}

/// A connector whose errors and answers say where they come from.
#[derive(Debug)]
struct Named {
    plain: SharedHttpConnector,
    tls: SharedHttpConnector,
    settings: HttpConnectorSettings,
}

impl HttpConnector for Named {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (place, settings) = (Place::of(request.uri()), self.settings.clone());
        let connector = if request.uri().starts_with("http:") { &self.plain } else { &self.tls };
        let answer = connector.call(request);
        HttpConnectorFuture::new(async move {
            match answer.await {
                Ok(answer) => Ok(from(answer, place)),
                Err(error) => Err(named(error, &place, &settings)),
            }
        })
    }
}

fn from(mut answer: HttpResponse, place: Place) -> HttpResponse {
    answer.add_extension(place);
    answer
}

/// The same error of the same kind, in our words: by its kind it is tried again.
fn named(error: ConnectorError, place: &Place, settings: &HttpConnectorSettings) -> ConnectorError {
    let connection = error.connection_metadata().cloned();
    let (is_timeout, is_io, is_user, other) = (error.is_timeout(), error.is_io(), error.is_user(), error.as_other());
    let unreached = Box::new(Unreached::new(place, settings, is_timeout, error.into_source()));
    let named = match (is_timeout, is_io, is_user) {
        (true, ..) => ConnectorError::timeout(unreached),
        (_, true, _) => ConnectorError::io(unreached),
        (.., true) => ConnectorError::user(unreached),
        _ => ConnectorError::other(unreached, other),
    };
    match connection {
        Some(connection) => named.with_connection(connection),
        None => named,
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
    use aws_sdk_sts::config::Credentials;
    use tokio::net::TcpListener;

    use super::*;
    use crate::heard::{Heard, hear};

    /// It takes the connection and says nothing.
    #[tokio::test]
    async fn whoever_is_silent_is_named() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(client())
            .timeout_config(TimeoutConfig::builder().read_timeout(Duration::from_secs(1)).build())
            .retry_config(RetryConfig::disabled())
            .credentials_provider(Credentials::new("id", "key", None, None, "test"))
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(&url);
        let sts = aws_sdk_sts::Client::new(&config.load().await);
        let error = sts.get_caller_identity().send().await.unwrap_err();
        assert_eq!(hear(&error), Heard::Unknown(format!("no answer from {url} within 1 s")));
    }

    #[test]
    fn a_place_shows_no_secret() {
        for uri in ["http://u:hunter2@h:1/p?k=hunter2", "http://u:hunter2@h:1", "http://h:1?hunter2", "http://h:1#a@b"]
        {
            assert_eq!(Place::of(uri).to_string(), "http://h:1");
        }
    }
}
