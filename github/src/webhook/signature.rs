//! The signature of a delivery: HMAC-SHA256 over the raw bytes, checked before anything is parsed.
//!
//! Never tells what the right signature would have been, neither in an error nor by the time it takes.

use std::fmt::{self, Write as _};

use controller::ports::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What `X-Hub-Signature-256` begins with.
const PREFIX: &str = "sha256=";

/// Bytes of an HMAC-SHA256.
const MAC_BYTES: usize = 32;

/// Why a delivery is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// We cannot judge: answer 5xx, so that GitHub keeps the delivery as failed (lesson 1).
    #[error("no webhook secret is configured here: set one, the same as in the webhook's settings")]
    NoSecret,
    /// The header is missing.
    #[error("no X-Hub-Signature-256 header: set a secret in the webhook's settings")]
    Missing,
    /// The header is not of the form `sha256=` and 64 hexadecimal digits, or is there more than once.
    #[error("the X-Hub-Signature-256 header is not one of the form sha256=<64 hexadecimal digits>")]
    Malformed,
    /// Nothing was signed.
    #[error("the body is empty")]
    EmptyBody,
    /// It was signed with another secret, or changed on its way.
    #[error("the signature does not match: compare the secret here with the one in the webhook's settings")]
    Mismatch,
}

/// Checks a delivery that arrives piece by piece. All of the secrets are good at once, so that one can be replaced
/// without losing a delivery.
pub struct Verifier {
    given: [u8; MAC_BYTES],
    macs: Vec<Hmac<Sha256>>,
    bytes: usize,
}

impl Verifier {
    /// What can be said before the body.
    ///
    /// # Errors
    /// No secret to judge with, or no header of the right form.
    pub fn begin(secrets: &[Secret], header: Option<&str>) -> Result<Self, SignatureError> {
        // An empty secret would let everybody sign.
        let usable = secrets.iter().filter(|secret| !secret.expose().is_empty());
        let macs: Vec<_> = usable.filter_map(keyed).collect();
        if macs.is_empty() {
            return Err(SignatureError::NoSecret);
        }
        let given = decode(header.ok_or(SignatureError::Missing)?).ok_or(SignatureError::Malformed)?;
        Ok(Self { given, macs, bytes: 0 })
    }

    /// The next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.macs.iter_mut().for_each(|mac| mac.update(bytes));
    }

    /// How many bytes there were.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The verdict.
    ///
    /// # Errors
    /// Unless one of the secrets signed exactly these bytes.
    pub fn finish(self) -> Result<(), SignatureError> {
        if self.bytes == 0 {
            return Err(SignatureError::EmptyBody);
        }
        // Each is tried, whichever fits: the time does not tell which.
        let fitting = self.macs.into_iter().filter(|mac| mac.clone().verify_slice(&self.given).is_ok());
        if fitting.count() > 0 { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

impl fmt::Debug for Verifier {
    /// Neither keys nor signatures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Checks a delivery that is all there.
///
/// # Errors
/// Unless one of the secrets signed exactly these bytes.
pub fn verify(secrets: &[Secret], header: Option<&str>, body: &[u8]) -> Result<(), SignatureError> {
    let mut verifier = Verifier::begin(secrets, header)?;
    verifier.update(body);
    verifier.finish()
}

/// The header that GitHub would send with this body.
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    let mut header = String::from(PREFIX);
    for byte in keyed(secret).map(|mac| mac.chain_update(body).finalize().into_bytes()).iter().flatten() {
        // Writing to a String cannot fail.
        let _ = write!(header, "{byte:02x}");
    }
    header
}

/// `None` never occurs: HMAC takes keys of any length.
fn keyed(secret: &Secret) -> Option<Hmac<Sha256>> {
    Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()
}

fn decode(header: &str) -> Option<[u8; MAC_BYTES]> {
    let digits = header.trim().strip_prefix(PREFIX)?.as_bytes();
    if digits.len() != 2 * MAC_BYTES {
        return None;
    }
    let mut out = [0; MAC_BYTES];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = u8::try_from(char::from(*high).to_digit(16)? * 16 + char::from(*low).to_digit(16)?).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in GitHub's documentation, "Validating webhook deliveries".
    const BODY: &[u8] = b"Hello, World!";
    const HEADER: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn secrets(texts: &[&str]) -> Vec<Secret> {
        texts.iter().map(Secret::new).collect()
    }

    #[test]
    fn githubs_own_example_is_signed_and_verified() {
        let [secret] = &secrets(&["It's a Secret to Everybody"])[..] else { panic!("one secret") };
        assert_eq!(sign(secret, BODY), HEADER);
        assert_eq!(verify(std::slice::from_ref(secret), Some(HEADER), BODY), Ok(()));
        assert_eq!(
            verify(std::slice::from_ref(secret), Some(&HEADER.to_uppercase().replace("SHA", "sha")), BODY),
            Ok(())
        );
    }

    #[test]
    fn an_old_and_a_new_secret_are_good_at_once() {
        let both = secrets(&["new", "old"]);
        for secret in &both {
            assert_eq!(verify(&both, Some(&sign(secret, BODY)), BODY), Ok(()));
        }
        assert_eq!(verify(&both, Some(&sign(&Secret::new("other"), BODY)), BODY), Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_changed_byte_is_seen() {
        let one = secrets(&["s"]);
        let header = sign(&one[0], BODY);
        assert_eq!(verify(&one, Some(&header), b"Hello, World?"), Err(SignatureError::Mismatch));
    }

    #[test]
    fn pieces_are_as_good_as_the_whole() {
        let one = secrets(&["s"]);
        let mut verifier = Verifier::begin(&one, Some(&sign(&one[0], BODY))).unwrap();
        BODY.chunks(3).for_each(|piece| verifier.update(piece));
        assert_eq!((verifier.bytes(), verifier.finish()), (BODY.len(), Ok(())));
    }

    #[test]
    fn what_cannot_be_judged_is_refused_for_its_reason() {
        let one = secrets(&["s"]);
        let good = sign(&one[0], BODY);
        for (secrets, header, body, expected) in [
            (&[][..], Some(good.as_str()), BODY, SignatureError::NoSecret),
            (&secrets(&[""])[..], Some(&sign(&Secret::new(""), BODY)), BODY, SignatureError::NoSecret),
            (&one[..], None, BODY, SignatureError::Missing),
            (&one[..], Some(""), BODY, SignatureError::Malformed),
            (&one[..], Some("sha1=abc"), BODY, SignatureError::Malformed),
            (&one[..], Some("sha256=abc"), BODY, SignatureError::Malformed),
            (&one[..], Some(&good[..good.len() - 1]), BODY, SignatureError::Malformed),
            (&one[..], Some(&good.replace("sha256=", "sha256=z")[..good.len()]), BODY, SignatureError::Malformed),
            (&one[..], Some(&format!("sha256={}", "é".repeat(32))), BODY, SignatureError::Malformed),
            (&one[..], Some(good.as_str()), b"", SignatureError::EmptyBody),
        ] {
            assert_eq!(verify(secrets, header, body), Err(expected), "{header:?}");
        }
    }

    #[test]
    fn errors_never_show_the_right_signature() {
        let one = secrets(&["s"]);
        let right = sign(&one[0], BODY);
        let error = verify(&one, Some(HEADER), BODY).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&right[PREFIX.len()..]));
    }
}
