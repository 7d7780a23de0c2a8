//! What a registered runner is given: its key, its settings, and both as a JIT configuration.
//!
//! The shape is the real one's, base64 of a JSON object file name → base64 of the content (FACTS §3), and so is the
//! size: the private key in it is a dummy. Only the stand-in runner reads it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fleet::ids::{RegistrationId, Scope};
use serde_json::{Value, json};

use super::world::World;
use crate::standin::wire::{CREDENTIALS_FILE, Credentials, RSA_FILE, SETTINGS_FILE, Settings};

/// Bytes of the numbers of an RSA-2048 key: modulus, exponent and the parts of the private one.
const RSA_PARTS: [(&str, usize); 8] = [
    ("d", 256),
    ("dp", 128),
    ("dq", 128),
    ("exponent", 3),
    ("inverseQ", 128),
    ("modulus", 256),
    ("p", 128),
    ("q", 128),
];

/// A number that no runner's credentials are told of: base64 of noise.
fn noise(rng: &mut fastrand::Rng, bytes: usize) -> String {
    let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(bytes).collect();
    BASE64_STANDARD.encode(bytes)
}

impl World {
    /// Settings and credentials of a new registration.
    pub(super) fn outfit(
        &mut self,
        id: RegistrationId,
        base: &str,
        scope: &Scope,
        name: &str,
        work_folder: &str,
    ) -> (Settings, Credentials) {
        let key = format!("{:032x}", self.rng.u128(..));
        self.keys.insert(id, key.clone());
        let settings = Settings {
            agent_id: id.0,
            agent_name: name.to_owned(),
            server_url: base.to_owned(),
            git_hub_url: format!("{base}/{scope}"),
            work_folder: work_folder.to_owned(),
            ephemeral: true,
        };
        (settings, Credentials::bearer(&key))
    }

    /// The text that `generate-jitconfig` answers.
    pub(super) fn jit_text(&mut self, settings: &Settings, credentials: &Credentials) -> String {
        let rsa: BTreeMap<&str, String> =
            RSA_PARTS.iter().map(|(name, bytes)| (*name, noise(&mut self.rng, *bytes))).collect();
        let files =
            [(SETTINGS_FILE, settings_json(settings)), (CREDENTIALS_FILE, json!(credentials)), (RSA_FILE, json!(rsa))];
        let map: BTreeMap<&str, String> =
            files.iter().map(|(name, content)| (*name, BASE64_STANDARD.encode(content.to_string()))).collect();
        BASE64_STANDARD.encode(json!(map).to_string())
    }
}

/// The `.runner` file, with the fields of the real one beside those that the stand-in reads.
fn settings_json(settings: &Settings) -> Value {
    let mut json = json!(settings);
    if let Some(fields) = json.as_object_mut() {
        fields.insert("poolId".into(), json!(1));
        fields.insert("poolName".into(), json!("Default"));
        fields.insert("disableUpdate".into(), json!(false));
        fields.insert("useV2Flow".into(), json!(true));
    }
    json
}
