//! Whether an App's own word (JWT) is good, and what GitHub says of one that is not (docs.github.com, "Generating a JSON
//! Web Token (JWT) for a GitHub App"; the sentences are those that people quote in public threads).

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::Value;

use super::APP_KEY_PEM;
use crate::hub::limits::RestError;

/// How long a word may be good, seconds (FACTS §2: 10 minutes).
const GOOD_FOR_MAX_S: u64 = 600;

/// The public half of [`APP_KEY_PEM`]; empty, so that no signature is good, if that were no key.
static PUBLIC_KEY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let lines = APP_KEY_PEM.lines().filter(|line| !line.starts_with("-----"));
    let der = STANDARD.decode(lines.collect::<String>()).unwrap_or_default();
    RsaKeyPair::from_der(&der).map(|pair| pair.public_key().as_ref().to_vec()).unwrap_or_default()
});

/// Judges a word by GitHub's clock.
pub(super) fn judge(word: &str, app_id: u64, now_ms: u64) -> Result<(), RestError> {
    let claims = signed_claims(word).ok_or(RestError::new(401, "A JSON web token could not be decoded"))?;
    let (now_s, number) = (now_ms / 1_000, |name: &str| claims.get(name).and_then(Value::as_u64));
    let issuer = claims.get("iss").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    if issuer != Some(app_id.to_string()) {
        return Err(RestError::new(404, "Integration not found"));
    }
    match (number("iat"), number("exp")) {
        (_, None) => Err(NO_EXPIRY),
        (_, Some(exp)) if exp <= now_s => Err(NO_EXPIRY),
        (_, Some(exp)) if exp > now_s + GOOD_FOR_MAX_S => {
            Err(RestError::new(401, "'Expiration time' claim ('exp') is too far in the future"))
        }
        (Some(iat), _) if iat <= now_s => Ok(()),
        (_, _) => Err(RestError::new(
            401,
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        )),
    }
}

const NO_EXPIRY: RestError = RestError::new(
    401,
    "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
);

/// The claims, if the signature over them is the App's.
fn signed_claims(word: &str) -> Option<Value> {
    let (signed, signature) = word.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok().filter(|_| header.get("alg") == Some(&"RS256".into()))?;
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PUBLIC_KEY.as_slice());
    key.verify(signed.as_bytes(), &signature).ok()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}
