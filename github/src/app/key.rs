//! An App's private key and the tokens (JWT) that it signs: RS256, made a minute ago, good for nine minutes more.
//!
//! The key is read from PEM in either form: PKCS#1, as GitHub gives it, or PKCS#8. Signing is rustls' own (ring).

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use controller::ports::Secret;
use rustls::{
    SignatureScheme,
    crypto::ring::sign::RsaSigningKey,
    pki_types::{PrivateKeyDer, pem::PemObject},
    sign::{Signer, SigningKey as _},
};
use serde_json::json;

/// How long ago a token says that it was made, seconds: clocks differ (FACTS §2).
const MADE_AGO_S: u64 = 60;

/// How long a token is good from now, seconds. GitHub takes ten minutes at most, by its clock.
const GOOD_FOR_S: u64 = 9 * 60;

/// Why a text is no private key of an App.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing of that form.
    #[error("it holds no private key in PEM: take the .pem file that the App's page gives when a key is made")]
    NoKey,
    /// It has a password.
    #[error("it is encrypted: store it without a password")]
    Encrypted,
    /// Another kind of key, or a damaged one.
    #[error("it is no RSA key of 2048 to 4096 bits, as GitHub gives: take the .pem file of the App's page as it is")]
    NoRsa,
}

/// A private key. Never printed.
#[derive(Clone)]
pub struct AppKey(Arc<dyn Signer>);

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl AppKey {
    /// Reads a key. In a text of one line, as an environment variable may be, `\n` stands for a line's end.
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let text = if text.trim().contains('\n') { text.to_owned() } else { text.replace("\\n", "\n") };
        if text.contains("ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| KeyError::NoKey)?;
        let key = RsaSigningKey::new(&der).map_err(|_| KeyError::NoRsa)?;
        let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or(KeyError::NoRsa)?;
        Ok(Self(signer.into()))
    }

    /// The App's own token (a JWT): it is the one that asks.
    pub(super) fn jwt(&self, app_id: &str, now_ms: u64) -> Result<Secret, rustls::Error> {
        let now_s = now_ms / 1_000;
        let header = json!({ "alg": "RS256", "typ": "JWT" });
        let claims = json!({
            "iat": now_s.saturating_sub(MADE_AGO_S),
            "exp": now_s.saturating_add(GOOD_FOR_S),
            "iss": app_id,
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes())?);
        Ok(Secret::new(format!("{signed}.{signature}")))
    }
}
