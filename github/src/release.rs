//! Releases of the runner program (`actions/runner`): which version is expected, where it is, and its published sums.
//!
//! Reading only. A sum is published twice, in the release's text and at each asset, and perhaps a third time with the
//! download that GitHub names; a package is used only if all of them agree (FACTS §3).

use std::{fmt, str::FromStr};

use controller::ports::Secret;
use serde_json::Value;

use crate::fields::{FieldError, Fields};

/// The repository with the releases.
pub(crate) const RUNNER_REPO: (&str, &str) = ("actions", "runner");

/// What stands before and behind a sum in a release's text, around the platform.
const BEGIN: (&str, &str) = ("<!-- BEGIN SHA ", " -->");
const END: &str = "<!-- END SHA ";

/// How the files of a release are called: this, platform, version, ending.
const FILE_START: &str = "actions-runner-";
const FILE_ENDS: [&str; 2] = [".tar.gz", ".zip"];

/// A SHA-256 sum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Sha256 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Sha256 {
    type Err = NoSum;

    /// From 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, NoSum> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoSum);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NoSum)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NoSum)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no SHA-256 sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no SHA-256 sum of 64 hexadecimal digits")]
pub struct NoSum;

/// Why the published sums of a package are not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    /// The release's text has none.
    #[error("the release's text has no SHA-256 of it")]
    NotInText,
    /// The asset has none.
    #[error("the release's file has no SHA-256 digest")]
    NotAtAsset,
    /// They are not the same.
    #[error("its published SHA-256 sums differ")]
    Differ,
}

/// A release of the runner program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `2.337.0`.
    pub version: String,
    /// Its packages.
    pub packages: Vec<Package>,
}

/// One package of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `linux-x64`.
    pub platform: String,
    /// Name of the file.
    pub file: String,
    /// Where it is.
    pub url: String,
    /// Its length, if that is told.
    pub size_bytes: Option<u64>,
    /// The sum in the release's text.
    pub sum_in_text: Option<Sha256>,
    /// The sum at the asset.
    pub sum_at_asset: Option<Sha256>,
}

impl Release {
    /// The package for a platform.
    pub fn package(&self, platform: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.platform == platform)
    }
}

impl Package {
    /// The sum that both places agree on.
    ///
    /// # Errors
    /// One of them lacks it, or they differ.
    pub fn sum(&self) -> Result<Sha256, SumError> {
        let text = self.sum_in_text.ok_or(SumError::NotInText)?;
        let asset = self.sum_at_asset.ok_or(SumError::NotAtAsset)?;
        if text == asset { Ok(text) } else { Err(SumError::Differ) }
    }
}

/// A runner program that GitHub expects an owner's runners to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// `linux-x64`.
    pub platform: String,
    /// Version, from the name of the file.
    pub version: String,
    /// Name of the file.
    pub file: String,
    /// Where it is.
    pub url: String,
    /// Its sum, where GitHub tells it here too.
    pub sum: Option<Sha256>,
    /// What it is to be fetched with, where a GitHub Enterprise Server wants that.
    pub token: Option<Secret>,
}

/// What is to be fetched, with the sum that all places agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerProgram {
    /// `2.337.0`.
    pub version: String,
    /// `linux-x64`.
    pub platform: String,
    /// Name of the file.
    pub file: String,
    /// Where it is.
    pub url: String,
    /// What it must be.
    pub sum: Sha256,
    /// What it is to be fetched with, where a GitHub Enterprise Server wants that.
    pub token: Option<Secret>,
}

/// Until when a version of the runner program is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deprecation {
    /// From then on it is given no jobs, milliseconds since 1970.
    pub runtime_ms: Option<u64>,
    /// From then on it cannot register, milliseconds since 1970.
    pub registration_ms: Option<u64>,
}

/// The platform of this machine, as releases call it.
pub fn this_platform() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "linux-arm64",
        "arm" => "linux-arm",
        _ => "linux-x64",
    }
}

/// Reads a release.
pub(crate) fn release(body: &Value) -> Result<Release, FieldError> {
    let root = Fields::root(body)?;
    let tag = root.text("tag_name")?;
    let version = tag.strip_prefix('v').unwrap_or(tag).to_owned();
    let text = root.optional_text("body")?.unwrap_or_default();
    let mut packages = Vec::new();
    for asset in root.objects("assets")? {
        let file = asset.text("name")?;
        if let Some(platform) = platform_of(file, &version) {
            packages.push(package(&asset, file, platform, text)?);
        }
    }
    Ok(Release { version, packages })
}

fn package(asset: &Fields<'_>, file: &str, platform: &str, text: &str) -> Result<Package, FieldError> {
    let digest = asset.optional_text("digest")?.and_then(|digest| digest.strip_prefix("sha256:"));
    Ok(Package {
        platform: platform.to_owned(),
        file: file.to_owned(),
        url: asset.text("browser_download_url")?.to_owned(),
        size_bytes: asset.optional_number("size")?,
        sum_in_text: sum_in_text(text, platform),
        sum_at_asset: digest.and_then(|digest| digest.parse().ok()),
    })
}

/// `actions-runner-linux-x64-2.337.0.tar.gz` → `linux-x64`; `None` for other files, as a `-noruntime` one.
fn platform_of<'a>(file: &'a str, version: &str) -> Option<&'a str> {
    let name = stem(file)?;
    let platform = name.strip_suffix(version)?.strip_suffix('-')?;
    (platform.split('-').count() == 2).then_some(platform)
}

/// The name of a file between what all begin and end with: platform and version.
fn stem(file: &str) -> Option<&str> {
    let name = file.strip_prefix(FILE_START)?;
    FILE_ENDS.iter().find_map(|end| name.strip_suffix(end))
}

fn sum_in_text(text: &str, platform: &str) -> Option<Sha256> {
    let begin = format!("{}{platform}{}", BEGIN.0, BEGIN.1);
    let (_, after) = text.split_once(&begin)?;
    after.split(END).next()?.trim().parse().ok()
}

/// Reads one of the programs that are expected.
pub(crate) fn download(row: &Fields<'_>) -> Result<Download, FieldError> {
    let platform = format!("{}-{}", row.text("os")?, row.text("architecture")?);
    let file = row.text("filename")?;
    let version = stem(file).and_then(|name| name.rsplit_once('-')).map(|(_, version)| version.to_owned());
    Ok(Download {
        platform,
        version: version.ok_or_else(|| row.wrong("filename", "a name that ends in a version"))?,
        file: file.to_owned(),
        url: row.text("download_url")?.to_owned(),
        sum: row.optional_text("sha256_checksum")?.and_then(|sum| sum.parse().ok()),
        token: row.optional_text("temp_download_token")?.filter(|token| !token.is_empty()).map(Secret::new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90";

    #[test]
    fn a_sum_is_64_digits_and_written_in_lower_case() {
        assert_eq!(SUM.to_uppercase().parse::<Sha256>().unwrap().to_string(), SUM);
        for bad in ["", "a1", &SUM[1..], &format!("{SUM}00"), &SUM.replace('a', "g"), &SUM.replace("a1", "é")] {
            assert_eq!(bad.parse::<Sha256>(), Err(NoSum), "{bad}");
        }
    }

    #[test]
    fn only_packages_of_the_plain_program_have_a_platform() {
        assert_eq!(platform_of("actions-runner-linux-x64-2.337.0.tar.gz", "2.337.0"), Some("linux-x64"));
        assert_eq!(platform_of("actions-runner-win-x64-2.337.0.zip", "2.337.0"), Some("win-x64"));
        for other in [
            "actions-runner-linux-x64-2.336.0.tar.gz",
            "actions-runner-linux-x64-2.337.0-noruntime.tar.gz",
            "actions-runner-linux-x64-trimmed-2.337.0.tar.gz",
            "source.tar.gz",
        ] {
            assert_eq!(platform_of(other, "2.337.0"), None, "{other}");
        }
    }

    #[test]
    fn the_texts_sum_is_the_platforms_own() {
        let text = format!(
            "- a <!-- BEGIN SHA linux-x64 -->{SUM}<!-- END SHA linux-x64 -->\n\
             - b <!-- BEGIN SHA linux-arm64 -->no sum<!-- END SHA linux-arm64 -->"
        );
        assert_eq!(sum_in_text(&text, "linux-x64").unwrap().to_string(), SUM);
        assert_eq!(sum_in_text(&text, "linux-arm64"), None);
        assert_eq!(sum_in_text(&text, "linux-arm"), None);
    }
}
