//! TLS as every port speaks it: the configuration, and what a finished handshake says about the connection.

use super::certificate::Loaded;
use super::der;
use crate::auth::ChannelBinding;
use crate::engine::Tls;
use futures_rustls::rustls::crypto::CryptoProvider;
use futures_rustls::rustls::crypto::ring::{Ticketer, cipher_suite, default_provider};
use futures_rustls::rustls::server::{NoServerSessionStorage, ServerConnection};
use futures_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use futures_rustls::rustls::{ProtocolVersion, ServerConfig, SupportedCipherSuite, version};
use std::sync::Arc;

/// What new connections are secured with; replaced whole when the certificate changes.
#[derive(Clone)]
pub struct Security {
    /// After STARTTLS: no ALPN, the protocol was already chosen (XEP-0368 §2).
    pub starttls: Arc<ServerConfig>,
    /// On the direct TLS port: ALPN `xmpp-client` (XEP-0368 §2).
    pub direct: Arc<ServerConfig>,
    /// The `tls-server-end-point` of the leaf.
    end_point: Option<Arc<[u8]>>,
    /// Seconds since 1970 at which the leaf runs out.
    pub not_after: u64,
}

impl Security {
    /// Security with this certificate.
    pub fn new(loaded: Loaded) -> Result<Security, String> {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: suites(aes_in_hardware()),
            ..default_provider()
        });
        let end_point = end_point(&loaded.key.cert[0]).map(Arc::from);
        let starttls = config(provider, loaded.key)?;
        let mut direct = starttls.clone();
        direct.alpn_protocols = vec![b"xmpp-client".to_vec()];
        Ok(Security {
            starttls: Arc::new(starttls),
            direct: Arc::new(direct),
            end_point,
            not_after: loaded.not_after,
        })
    }

    /// What the engine needs to know about a connection whose handshake is done.
    pub fn describe(&self, connection: &ServerConnection) -> Tls {
        let modern = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        // RFC 9266 §4: on TLS 1.2 the exporter is unique only with the extended master secret, so it is not offered there.
        let exporter = if modern { exporter(connection) } else { None };
        let binding = ChannelBinding {
            exporter,
            end_point: self.end_point.as_deref().map(<[u8]>::to_vec),
        };
        Tls {
            binding,
            version: connection
                .negotiated_cipher_suite()
                .map_or("TLS", suite_name),
        }
    }
}

/// RFC 9266 §2: the label, a zero-length context (which is not the same as none), 32 bytes.
fn exporter(connection: &ServerConnection) -> Option<[u8; 32]> {
    connection
        .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
        .ok()
}

fn config(provider: Arc<CryptoProvider>, key: CertifiedKey) -> Result<ServerConfig, String> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    // What is fast here decides: the server does this for everybody, a client only for itself.
    config.ignore_client_order = true;
    // Tickets carry the session to the client, so that resumption costs no memory here. A new certificate makes new ticket keys.
    config.ticketer =
        Ticketer::new().map_err(|error| format!("TLS tickets cannot be set up: {error}"))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// Strongest for its cost first: AES where the CPU has instructions for it, ChaCha20 where it has not (a Raspberry Pi before the fifth).
fn suites(aes: bool) -> Vec<SupportedCipherSuite> {
    let mut suites = vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    if !aes {
        suites.sort_by_key(|suite| !suite_name(*suite).contains("CHACHA20"));
    }
    suites
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn aes_in_hardware() -> bool {
    std::is_x86_feature_detected!("aes")
}

#[cfg(target_arch = "aarch64")]
fn aes_in_hardware() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
fn aes_in_hardware() -> bool {
    false
}

fn suite_name(suite: SupportedCipherSuite) -> &'static str {
    suite.suite().as_str().unwrap_or("TLS")
}

/// RFC 5929 §4.1: the hash of the certificate by its signature's hash, SHA-256 in place of MD5 and SHA-1; undefined (none) where the
/// signature has no hash of its own, as Ed25519.
fn end_point(leaf: &[u8]) -> Option<Vec<u8>> {
    let certificate = der::Certificate::read(leaf)?;
    let hash = match certificate.signature {
        RSASSA_PSS => match der::pss_hash(certificate.signature_parameters) {
            None | Some(SHA1 | SHA256) => &ring::digest::SHA256,
            Some(SHA384) => &ring::digest::SHA384,
            Some(SHA512) => &ring::digest::SHA512,
            Some(_) => return None,
        },
        MD5_WITH_RSA | SHA1_WITH_RSA | SHA256_WITH_RSA | ECDSA_WITH_SHA1 | ECDSA_WITH_SHA256 => {
            &ring::digest::SHA256
        }
        SHA384_WITH_RSA | ECDSA_WITH_SHA384 => &ring::digest::SHA384,
        SHA512_WITH_RSA | ECDSA_WITH_SHA512 => &ring::digest::SHA512,
        _ => return None,
    };
    Some(ring::digest::digest(hash, leaf).as_ref().to_vec())
}

// RFC 8017 appendix A.2: 1.2.840.113549.1.1.x.
const MD5_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04];
const SHA1_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05];
const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const SHA384_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c];
const SHA512_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d];
// RFC 5758 §3.2: 1.2.840.10045.4.x.
const ECDSA_WITH_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_WITH_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const ECDSA_WITH_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
// RFC 4055 §2.1, for RSASSA-PSS.
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::certificate;
    use futures_rustls::rustls::pki_types::pem::PemObject;
    use futures_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use futures_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

    // Certificates that OpenSSL made, and what `openssl dgst` says of them.
    const CERTIFICATES: [(&str, &str, &str); 5] = [
        (
            "sha512WithRSAEncryption",
            "MIIB9DCCAV2gAwIBAgIUJRlHSHMHDluwmhScn8n+FbKAUZYwDQYJKoZIhvcNAQENBQAwDDEKMAgGA1UEAwwBdDAeFw0yNjExMjIxMzI3MzFaFw0zNjExMTkxMzI3MzFaMAwxCjAIBgNVBAMMAXQwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBALl+bYcC1QybG+gmhd+Eue8PvJmC9o3Xgt0JKrdyxy5fl1CuPJuVKsIeHOG5L4gRK+tmpx7ztAn0EY7YvhT7D/g7S4ZdyST6Y9alMxpwEo7xrhdF6cZpHw16jWNb/QPVwwj43heiTXvU12N6Dk3jd/pdfAu5LJFNsIb2KaTfdvZ1AgMBAAGjUzBRMB0GA1UdDgQWBBR1F9Elx6+eMEUtTlDqwS2NKdUhATAfBgNVHSMEGDAWgBR1F9Elx6+eMEUtTlDqwS2NKdUhATAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBDQUAA4GBAERB1TvATUQQjEDkHfx48/38C+jGbEHyj5H2084pzRurj1ojU2+T9Ot1pFTJ0wo/UMmAagPFdUtFTjL3IoHRfKXWpblz13XAaZzxguwUYrxrl1O3wCSkfDkOBinX/ofDoq6ebedQv9cNG12Fb6WZAs2MM7/5Yc2HzUrAX/wJMwoF",
            "9301f7f9cdc4d48cfc37326fa7b617678b9f563cbe2110a40e18a98361cd7d4e0d26f904be49da950a7d4c712beb46646617376f3714ba222096157a5df1b698",
        ),
        (
            "sha1WithRSAEncryption, hashed with SHA-256",
            "MIIB9DCCAV2gAwIBAgIUfeUp0XbH4XLw3i7bLgcf8ogNhKkwDQYJKoZIhvcNAQEFBQAwDDEKMAgGA1UEAwwBdDAeFw0yNjExMjIxMzI3MzFaFw0zNjExMTkxMzI3MzFaMAwxCjAIBgNVBAMMAXQwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBALovCmp9X2Bd3EmORYj9YiAVJfyVVkL/CfVpNEdgiNNFVODjGIJodix9GyjRo2GB+rgN6rb3n9OeXCXZTb+kilcuuGAJ1jsE2mQFVviJtdctSxlaqW5NpWImETCu5xc/KGCNqXCO20MwjzG5YoEtFfbpvjWFV1KJxXLlB/4kzYx9AgMBAAGjUzBRMB0GA1UdDgQWBBR7ptYM2ZyvAi5YpaUM5cq2RAqZWDAfBgNVHSMEGDAWgBR7ptYM2ZyvAi5YpaUM5cq2RAqZWDAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBBQUAA4GBABRCclcRXxFq66/0TfZSuV8HVKnlpeC8Efsg9RlQFrnUxd6dNh/l7Po0qnPN4WrwniWTxl7sve1lGbvsuoNExJ48WorfR1zMA59pZE8MPyvIV90A+2NtS9gfbvDmML2ZkYBQO44UorXwnicEdmPEFazbgwow9S7QkHO9KNMzXTSH",
            "3712623256e32db8c228c1feb4ac1c5a6fa051175c06704b45fe507dcb4c9fd6",
        ),
        (
            "RSASSA-PSS with SHA-384",
            "MIICXDCCAZGgAwIBAgIUT0eubO/A3gnGqiMgXyeBMOVqGNMwQQYJKoZIhvcNAQEKMDSgDzANBglghkgBZQMEAgIFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgIFAKIDAgFOMAwxCjAIBgNVBAMMAXQwHhcNMjYxMTIyMTMyNzMxWhcNMzYxMTE5MTMyNzMxWjAMMQowCAYDVQQDDAF0MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDHl6J6B8BHYl+zNaxmVtH2S+YsvxZbmHsgk0HQOeeWGkI6EtHhzC7lMb1YPwsLXubJ5G8bJuXwz6R8DmICYn2qrpnJC4JI2DsdTZ/3mneQnRppKn2OVlGXKlMgxDKyCth8RW58V0cP7yuX2srUEEJpib+bzrfQHMkMZPrHQ9BxOQIDAQABo1MwUTAdBgNVHQ4EFgQUoPMNoHKimAMpUT+5MDBuHJCWmD0wHwYDVR0jBBgwFoAUoPMNoHKimAMpUT+5MDBuHJCWmD0wDwYDVR0TAQH/BAUwAwEB/zBBBgkqhkiG9w0BAQowNKAPMA0GCWCGSAFlAwQCAgUAoRwwGgYJKoZIhvcNAQEIMA0GCWCGSAFlAwQCAgUAogMCAU4DgYEAiTZfC+G6j1HLfNGqUPZcdP3UEa5ATIZmfOkdPmSjcvZ80877YG9PeU1J/23jdbXI6GEgPTAndACax94pdkFkaMzqcACMYPRlvNNkjFZFtSM39O0/aOL/F+wVCT0MsIsBMgVBc+52FIUmeVGB9f5JBk1kmHHRoxAa3urSaAeiKpo=",
            "e03ee28f8a71ed3ea0d604c035452c8a2121a6297508f8d0937e7925370ea7f27cbab4e07072b713207d153de78606be",
        ),
        (
            "ecdsa-with-SHA384",
            "MIIBqjCCATCgAwIBAgIUNFXU8g/EPxklVhIZENyABvs4+1owCgYIKoZIzj0EAwMwDDEKMAgGA1UEAwwBdDAeFw0yNjExMjIxMzI3MzFaFw0zNjExMTkxMzI3MzFaMAwxCjAIBgNVBAMMAXQwdjAQBgcqhkjOPQIBBgUrgQQAIgNiAASRbenCXDvYCjWHF3DFC1ABawG5/jAKdZNI9tFPCdY4sZAMiPtx5T8uPC2z642RZzRfqPW9IEe/3xEbwUMnSq4gBuVgWO9SBWOIK4JPll1i5GfD8AOgy481ODIlt4YYQyijUzBRMB0GA1UdDgQWBBREoI7siYFnTp0gx6Ka7Ws0SIJF+DAfBgNVHSMEGDAWgBREoI7siYFnTp0gx6Ka7Ws0SIJF+DAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMDA2gAMGUCMBulCKqlJA6X4j1QCxIKeGxVQmGgcgkMyOWyCf3FjVUlXekNE7LKdb1WWQo5MpgcCQIxANRe+j3tu1kyjML2vH7F8JGVWlOIhvdNCcmz5wwlQ4ZHNfDKG+Czw5n9NjmDSvBbDw==",
            "a40f5609a35a739ca4f904a9d0922b2ac27e4f7ee4127b408a0677af5e116aed66cf95a3ef6ee8b906f2675b34e8c007",
        ),
        (
            "Ed25519, which has none",
            "MIIBLDCB36ADAgECAhRy0ttg4kC2m+EUxK4LSpdyKi3nITAFBgMrZXAwDDEKMAgGA1UEAwwBdDAeFw0yNjExMjIxMzI3MzFaFw0zNjExMTkxMzI3MzFaMAwxCjAIBgNVBAMMAXQwKjAFBgMrZXADIQCRGhTZWpy7GAJjpRTqool1qHc7zsbEDvpOcXhQFLbxpaNTMFEwHQYDVR0OBBYEFDyPSP+8Bf5glvUsvwejziU2dWl2MB8GA1UdIwQYMBaAFDyPSP+8Bf5glvUsvwejziU2dWl2MA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EASj4ajLn/S1HS5zenfVqREfoLJiMTU34ND9LPYHO1YcdciOi0/OTuH3kUYuFPsJkHnG6n/4lglUJWv6IFErkqCg==",
            "",
        ),
    ];

    #[test]
    fn end_points_by_the_signature_s_hash() {
        use base64::Engine as _;
        for (kind, certificate, expected) in CERTIFICATES {
            let der = base64::engine::general_purpose::STANDARD
                .decode(certificate)
                .unwrap();
            let found = end_point(&der).map(|hash| {
                hash.iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()
            });
            assert_eq!(found.unwrap_or_default(), expected, "{kind}");
        }
    }

    #[test]
    fn chacha_comes_first_only_without_aes() {
        let names = |aes| suites(aes).into_iter().map(suite_name).collect::<Vec<_>>();
        assert_eq!(names(true)[0], "TLS13_AES_128_GCM_SHA256");
        assert_eq!(
            names(false)[..3],
            [
                "TLS13_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
            ]
        );
        assert_eq!(names(true).len(), names(false).len());
    }

    /// A handshake in memory with a client that trusts only the local CA.
    fn handshake(
        directory: &std::path::Path,
        direct: bool,
        versions: &[&'static futures_rustls::rustls::SupportedProtocolVersion],
        alpn: &[&[u8]],
    ) -> (Security, ServerConnection, ClientConnection) {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let security =
            Security::new(certificate::local(directory, "chat.test", now).unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(directory.join("ca.pem")).unwrap())
            .unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let mut client =
            ClientConnection::new(Arc::new(config), ServerName::try_from("chat.test").unwrap())
                .unwrap();
        let mut server = ServerConnection::new(if direct {
            security.direct.clone()
        } else {
            security.starttls.clone()
        })
        .unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            server.read_tls(&mut &wire[..]).unwrap();
            server.process_new_packets().unwrap();
            wire.clear();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            client.read_tls(&mut &wire[..]).unwrap();
            client.process_new_packets().unwrap();
        }
        (security, server, client)
    }

    #[test]
    fn both_sides_derive_the_same_binding_on_tls_1_3() {
        let directory = crate::net::scratch_directory("tls13");
        let (security, server, client) = handshake(
            directory.path(),
            true,
            &[&version::TLS13],
            &[b"xmpp-client"],
        );
        let tls = security.describe(&server);
        assert_eq!(
            tls.binding.exporter,
            client
                .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
                .ok()
        );
        let shown = &client.peer_certificates().unwrap()[0];
        assert_eq!(
            tls.binding.end_point.as_deref(),
            Some(ring::digest::digest(&ring::digest::SHA256, shown).as_ref())
        );
        assert_eq!(server.alpn_protocol(), Some(&b"xmpp-client"[..]));
        assert!(tls.version.starts_with("TLS13_"));
    }

    #[test]
    fn no_exporter_on_tls_1_2_and_no_alpn_after_starttls() {
        let directory = crate::net::scratch_directory("tls12");
        let (security, server, _) = handshake(
            directory.path(),
            false,
            &[&version::TLS12],
            &[b"xmpp-client"],
        );
        let tls = security.describe(&server);
        assert_eq!(tls.binding.exporter, None);
        assert!(tls.binding.end_point.is_some());
        assert_eq!(server.alpn_protocol(), None);
    }
}
