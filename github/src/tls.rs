//! TLS for the client: rustls with ring and Mozilla's roots, both compiled in, so that a static binary in an empty
//! image needs no file of the system's. A GitHub Enterprise Server with a private authority adds its certificate.

use std::sync::Arc;

use controller::ports::{ErrorKind, PortError, PortResult};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The configuration, with further roots in PEM.
///
/// The provider is named here and not installed for the process, so that nobody else's choice can matter.
pub(crate) fn config(extra_roots_pem: Option<&[u8]>) -> PortResult<ClientConfig> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = extra_roots_pem {
        add(&mut roots, pem)?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(format!("TLS cannot be set up: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> PortResult<()> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| invalid(format!("the extra root is no PEM: {error}")))?;
        roots.add(certificate).map_err(|error| invalid(format!("the extra root cannot be used: {error}")))?;
    }
    if roots.len() == before {
        return Err(invalid("the extra roots hold no certificate: give them in PEM".to_owned()));
    }
    Ok(())
}

fn invalid(message: String) -> PortError {
    PortError::new(ErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_compiled_in_and_bad_extra_ones_are_refused() {
        assert!(config(None).is_ok());
        let words = |pem: &[u8]| config(Some(pem)).map(drop).unwrap_err().message;
        assert!(words(b"").contains("no certificate"));
        assert!(words(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").contains("cannot be used"));
    }
}
