//! What is public: releases of the runner program, and GitHub's own addresses.

use super::{Call, Credential, NONE, conditional, get};

const NOTHING: &str = "nothing: it is public";

const fn public(call: Call) -> Call {
    Call { credential: Credential::Public, ..call }
}

/// The newest release of a repository.
pub static LATEST_RELEASE: Call =
    conditional(public(get("repos/get-latest-release", "/repos/{owner}/{repo}/releases/latest", NONE, NOTHING)));

/// A release of a repository by its tag.
pub static TAGGED_RELEASE: Call =
    conditional(public(get("repos/get-release-by-tag", "/repos/{owner}/{repo}/releases/tags/{tag}", NONE, NOTHING)));

/// The addresses that GitHub's webhooks come from.
pub static META: Call = conditional(get("meta/get", "/meta", NONE, NOTHING));
