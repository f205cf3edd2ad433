//! TLS: the host's authorities or one's own, and client certificates. `ring` only.

use crate::config::{self, Invalid};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// For gRPC.
pub(super) fn grpc(otlp: &config::Otlp) -> Result<ClientTlsConfig, Invalid> {
    let mut tls = ClientTlsConfig::new();
    tls = match &otlp.certificate {
        Some(path) => {
            authorities(path)?;
            tls.ca_certificate(Certificate::from_pem(read("certificate", path)?))
        }
        None => tls.with_native_roots(),
    };
    if let (Some(certificate), Some(key)) = (&otlp.client_certificate, &otlp.client_key) {
        identity(certificate, key)?;
        let certificate = read("client_certificate", certificate)?;
        tls = tls.identity(Identity::from_pem(certificate, read("client_key", key)?));
    }
    Ok(tls)
}

/// For HTTP.
pub(super) fn http(otlp: &config::Otlp) -> Result<ClientConfig, Invalid> {
    let roots = match &otlp.certificate {
        Some(path) => authorities(path)?,
        None => hosts()?,
    };
    let builder = builder()?.with_root_certificates(roots);
    let (Some(certificate), Some(key)) = (&otlp.client_certificate, &otlp.client_key) else {
        return Ok(builder.with_no_client_auth());
    };
    let (chain, private) = identity(certificate, key)?;
    let config = builder.with_client_auth_cert(chain, private);
    config.map_err(|error| bad("client_certificate", certificate, &error.to_string()))
}

/// A configuration that trusts nobody: for endpoints without TLS.
pub(super) fn unused() -> Result<ClientConfig, Invalid> {
    let roots = RootCertStore::empty();
    Ok(builder()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn builder() -> Result<Builder, Invalid> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    builder
        .with_safe_default_protocol_versions()
        .map_err(|error| Invalid::new("TLS", error.to_string(), "this build of weft is broken"))
}

fn hosts() -> Result<RootCertStore, Invalid> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(Invalid::new(
            "export.otlp.endpoint",
            "it is https, and this host has no certificates of authorities to check it with",
            "install ca-certificates, mount /etc/ssl/certs, or set export.otlp.certificate",
        ));
    }
    Ok(roots)
}

fn authorities(path: &Path) -> Result<RootCertStore, Invalid> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(chain("certificate", path)?);
    if roots.is_empty() {
        return Err(bad(
            "certificate",
            path,
            "none of its certificates can be used",
        ));
    }
    Ok(roots)
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(certificate: &Path, key: &Path) -> Result<Pair, Invalid> {
    let chain = chain("client_certificate", certificate)?;
    let text = read("client_key", key)?;
    let private = PrivateKeyDer::from_pem_slice(&text);
    let private = private.map_err(|error| bad("client_key", key, &error.to_string()))?;
    Ok((chain, private))
}

fn chain(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Invalid> {
    let text = read(setting, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| bad(setting, path, &error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(setting, path, "there is no certificate in it"));
    }
    Ok(chain)
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>, Invalid> {
    std::fs::read(path).map_err(|error| bad(setting, path, &error.to_string()))
}

fn bad(setting: &str, path: &Path, why: &str) -> Invalid {
    Invalid::new(
        format!("export.otlp.{setting} = \"{}\"", path.display()),
        why,
        "it must be a PEM file, such as begins with -----BEGIN",
    )
}
