//! What a GitHub App asks in its own name: who it is, where it is installed, and its tokens.

use super::{APP, Call, Credential, NONE, answered, as_app, get, post};

/// The App itself.
pub static READ_APP: Call = as_app(get("apps/get-authenticated", "/app", NONE, APP));

/// The App's installation on an organisation.
pub static ORG_INSTALLATION: Call = as_app(get("apps/get-org-installation", "/orgs/{org}/installation", NONE, APP));

/// The App's installation on a person's account.
pub static USER_INSTALLATION: Call =
    as_app(get("apps/get-user-installation", "/users/{username}/installation", NONE, APP));

/// Makes the token of an installation, good for an hour and for all that the installation may.
pub static INSTALLATION_TOKEN: Call = as_app(answered(post(
    "apps/create-installation-access-token",
    "/app/installations/{installation_id}/access_tokens",
    201,
    APP,
)));

/// Turns the code that comes back from the App manifest's page into the App's id, key and webhook secret. Once.
pub static CONVERT_MANIFEST: Call = Call {
    credential: Credential::None,
    ..answered(post(
        "apps/create-from-manifest",
        "/app-manifests/{code}/conversions",
        201,
        "a code that is not used yet",
    ))
};
