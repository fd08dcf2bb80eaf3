//! The certificate that the server shows: its own local CA's, made at the first start, or the operator's files.
//!
//! A server on a LAN has no name that a public CA would sign, so the first start makes one of its own. Everything is kept in `DATA/tls` as
//! PEM, and the leaf stays the same across restarts, for those who pin it.

use super::authority::{Authority, DAY, Issued, LEAF_DAYS_AHEAD, SOURCE_TIME};
use super::der;
use super::punycode::ascii;
use futures_rustls::rustls::crypto::ring::sign::any_supported_type;
use futures_rustls::rustls::pki_types::pem::{self, PemObject};
use futures_rustls::rustls::pki_types::{
    CertificateDer, IpAddr as PkiIpAddr, PrivateKeyDer, ServerName,
};
use futures_rustls::rustls::server::ParsedCertificate;
use futures_rustls::rustls::sign::CertifiedKey;
use futures_rustls::rustls::{Error as TlsError, InconsistentKeys, client::verify_server_name};
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// A certificate that is ready to be shown.
pub struct Loaded {
    /// The chain and its key.
    pub key: CertifiedKey,
    /// Seconds since 1970 at which the leaf runs out.
    pub not_after: u64,
    /// SHA-256 of the local CA, as clients show it; none where the operator brought the certificate.
    pub authority: Option<String>,
    /// Sentences for the operator's log.
    pub notices: Vec<String>,
}

/// A certificate with fewer days left is made anew.
pub const RENEW_DAYS: u64 = 30;

/// Makes or reads the local CA and its leaf for `domain` in `directory`; `now` is in seconds since 1970.
pub fn local(directory: &Path, domain: &str, now: u64) -> Result<Loaded, String> {
    let domain = ascii(domain);
    // Its own name must be on the disk too, or a power cut takes the authority that clients were given.
    let parent = directory.parent().unwrap_or(directory);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| fs::File::open(parent)?.sync_all())
        .map_err(|error| {
            format!(
                "cannot make {}: {error}; the data directory must be writable for this user",
                directory.display()
            )
        })?;
    let mut notices = Vec::new();
    let authority = read_authority(directory)?;
    if let Some(authority) = authority
        .as_ref()
        .filter(|authority| authority.serves(&domain, now))
        && let Some(leaf) =
            Leaf::read(directory)?.filter(|leaf| leaf.serves(authority, &domain, now))
    {
        return Ok(leaf.loaded(&authority.pem, notices));
    }
    let authority = match authority {
        Some(authority) if authority.serves(&domain, now) && authority.has_key() => authority,
        former => {
            if former.is_some() {
                notices.push(format!(
                    "the certificate authority in {} is not for {domain}, runs out or has lost its key: a new one was made, which every client has to be given (snug cert ca)",
                    directory.display()
                ));
            }
            let (authority, key) = Authority::make(&domain, now)?;
            write(directory, "ca-key.pem", &key, 0o600)?;
            write(directory, "ca.pem", &authority.pem, 0o644)?;
            authority
        }
    };
    let leaf = Leaf::make(directory, &authority.issue(&domain, now)?)?;
    log::info!(
        "made a certificate for {domain}, valid for {LEAF_DAYS_AHEAD} days, in {}",
        directory.display()
    );
    Ok(leaf.loaded(&authority.pem, notices))
}

/// Reads the operator's own chain and key, both PEM.
pub fn own(certificate: &Path, key: &Path, domain: &str, now: u64) -> Result<Loaded, String> {
    let chain = chain(&read_text(certificate)?)
        .map_err(|problem| format!("tls.certificate: {} {problem}", certificate.display()))?;
    let key_text = read_text(key)?;
    let private = PrivateKeyDer::from_pem_slice(key_text.as_bytes()).map_err(|_| {
        format!(
            "tls.key: {} holds no private key in PEM without a password",
            key.display()
        )
    })?;
    let certified = certified(chain, private)
        .map_err(|problem| format!("tls.key: {} {problem}", key.display()))?;
    let leaf = &certified.cert[0];
    let Some(fields) = der::Certificate::read(leaf) else {
        return Err(format!(
            "tls.certificate: the first certificate in {} cannot be read",
            certificate.display()
        ));
    };
    let mut notices = Vec::new();
    if fields.not_after <= now {
        notices.push(format!(
            "the certificate in {} has run out: clients will refuse it until it is renewed",
            certificate.display()
        ));
    } else if fields.not_after - now < RENEW_DAYS * DAY {
        notices.push(format!(
            "the certificate in {} runs out in {} days",
            certificate.display(),
            (fields.not_after - now) / DAY
        ));
    }
    if !names(leaf, &ascii(domain)) {
        notices.push(format!(
            "the certificate in {} does not name {domain}: clients will refuse it",
            certificate.display()
        ));
    }
    Ok(Loaded {
        not_after: fields.not_after,
        key: certified,
        authority: None,
        notices,
    })
}

/// Colon-separated SHA-256 of the first certificate in this PEM text, as clients show it; none where there is no certificate.
pub fn fingerprint(pem: &str) -> Option<String> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &certificate);
    Some(
        digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect::<Vec<_>>()
            .join(":"),
    )
}

fn read_authority(directory: &Path) -> Result<Option<Authority>, String> {
    let key = read_if_there(&directory.join("ca-key.pem"))?;
    let certificate = read_if_there(&directory.join("ca.pem"))?;
    Ok(certificate.and_then(|pem| Authority::from_pem(pem, key.as_deref())))
}

/// The certificate of the server itself.
struct Leaf {
    key: CertifiedKey,
}

impl Leaf {
    /// None where there is none, or none that can be used.
    fn read(directory: &Path) -> Result<Option<Leaf>, String> {
        let Some(certificate) = read_if_there(&directory.join("cert.pem"))? else {
            return Ok(None);
        };
        let Some(key) = read_if_there(&directory.join("key.pem"))? else {
            return Ok(None);
        };
        let Ok(chain) = chain(&certificate) else {
            return Ok(None);
        };
        let Ok(key) = PrivateKeyDer::from_pem_slice(key.as_bytes()) else {
            return Ok(None);
        };
        Ok(certified(chain, key).ok().map(|key| Leaf { key }))
    }

    fn make(directory: &Path, issued: &Issued) -> Result<Leaf, String> {
        write(directory, "key.pem", &issued.key, 0o600)?;
        write(directory, "cert.pem", &issued.certificate, 0o644)?;
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes())
            .map_err(|error| format!("cannot use the new key: {error}"))?;
        Ok(Leaf {
            key: certified(chain(&issued.certificate)?, key)?,
        })
    }

    fn serves(&self, authority: &Authority, domain: &str, now: u64) -> bool {
        let (leaf, ca) = (
            der::Certificate::read(&self.key.cert[0]),
            der::Certificate::read(&authority.der),
        );
        let (Some(leaf), Some(ca)) = (leaf, ca) else {
            return false;
        };
        // Made while the clock stood in the future, it would be refused for years.
        let began = leaf.not_before <= now.max(SOURCE_TIME);
        began
            && leaf.issuer == ca.subject
            && leaf.not_after > now + RENEW_DAYS * DAY
            && names(&self.key.cert[0], domain)
    }

    fn loaded(self, authority: &str, notices: Vec<String>) -> Loaded {
        let not_after = der::Certificate::read(&self.key.cert[0]).map_or(0, |leaf| leaf.not_after);
        Loaded {
            key: self.key,
            not_after,
            authority: fingerprint(authority),
            notices,
        }
    }
}

/// Whether a client that looks for this domain accepts the certificate's names.
fn names(leaf: &CertificateDer<'_>, domain: &str) -> bool {
    let name = match domain.parse::<IpAddr>() {
        Ok(address) => Ok(ServerName::IpAddress(PkiIpAddr::from(address))),
        Err(_) => ServerName::try_from(domain),
    };
    match (ParsedCertificate::try_from(leaf), name) {
        (Ok(leaf), Ok(name)) => verify_server_name(&leaf, &name).is_ok(),
        _ => false,
    }
}

fn chain(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err("holds no certificate in PEM".to_owned()),
        Ok(chain) => Ok(chain),
        Err(_) => Err("is damaged: its PEM cannot be read".to_owned()),
    }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, String> {
    let key = any_supported_type(&key).map_err(|_| "holds a key of a kind that is not supported: take RSA, ECDSA P-256 or P-384, or Ed25519".to_owned())?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(TlsError::InconsistentKeys(_)) => {
            Err("holds another key than the one of the certificate".to_owned())
        }
        Err(error) => Err(format!("does not fit the certificate: {error}")),
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn read_if_there(path: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// A file that is there whole or not at all, also after a power cut.
fn write(directory: &Path, name: &str, text: &str, mode: u32) -> Result<(), String> {
    let (path, new) = (directory.join(name), directory.join(format!("{name}.new")));
    let written = (|| {
        // One that a crash left could have another mode.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        fs::File::open(directory)?.sync_all()
    })();
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::scratch_directory;
    use futures_rustls::rustls::RootCertStore;
    use futures_rustls::rustls::client::WebPkiServerVerifier;
    use futures_rustls::rustls::client::danger::ServerCertVerifier;
    use futures_rustls::rustls::crypto::ring::default_provider;
    use futures_rustls::rustls::pki_types::UnixTime;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;
    use std::time::Duration;

    const NOW: u64 = SOURCE_TIME + 100 * DAY;

    /// Whether a client that trusts only this CA accepts the leaf for the name at that time.
    fn accepted(directory: &Path, leaf: &CertificateDer<'_>, name: &str, at: u64) -> bool {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(directory.join("ca.pem")).unwrap())
            .unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(default_provider()),
        )
        .build()
        .unwrap();
        let name = ServerName::try_from(name).unwrap();
        verifier
            .verify_server_cert(
                leaf,
                &[],
                &name,
                &[],
                UnixTime::since_unix_epoch(Duration::from_secs(at)),
            )
            .is_ok()
    }

    #[test]
    fn first_start_makes_what_clients_accept_and_the_second_keeps_it() {
        let scratch = scratch_directory("first");
        let directory = scratch.path().join("tls");
        let first = local(&directory, "chat.test", NOW).unwrap();
        for name in [
            "chat.test",
            "rooms.chat.test",
            "localhost",
            "127.0.0.1",
            "::1",
        ] {
            assert!(
                accepted(&directory, &first.key.cert[0], name, NOW),
                "{name}"
            );
        }
        assert!(!accepted(&directory, &first.key.cert[0], "other.test", NOW));
        for (file, mode) in [
            ("ca.pem", 0o644),
            ("cert.pem", 0o644),
            ("ca-key.pem", 0o600),
            ("key.pem", 0o600),
        ] {
            assert_eq!(
                fs::metadata(directory.join(file))
                    .unwrap()
                    .permissions()
                    .mode()
                    & 0o777,
                mode,
                "{file}"
            );
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 4);
        assert_eq!(
            first.authority,
            fingerprint(&fs::read_to_string(directory.join("ca.pem")).unwrap())
        );
        assert_eq!(first.authority.as_ref().unwrap().len(), 32 * 3 - 1);
        let second = local(&directory, "chat.test", NOW + 600 * DAY).unwrap();
        assert_eq!(second.key.cert, first.key.cert);
        assert!(second.notices.is_empty());
    }

    #[test]
    fn the_authority_signs_for_nothing_else() {
        let scratch = scratch_directory("constrained");
        local(scratch.path(), "chat.test", NOW).unwrap();
        let authority = read_authority(scratch.path()).unwrap().unwrap();
        let forged = |name: &str| {
            Leaf::make(scratch.path(), &authority.issue(name, NOW).unwrap())
                .unwrap()
                .key
                .cert[0]
                .clone()
        };
        for name in ["bank.example", "hat.test", "8.8.8.8", "2001:db8::1"] {
            assert!(
                !accepted(scratch.path(), &forged(name), name, NOW),
                "{name}"
            );
        }
        for name in ["files.chat.test", "192.168.7.7", "fd00::7"] {
            assert!(accepted(scratch.path(), &forged(name), name, NOW), "{name}");
        }
    }

    #[test]
    fn a_leaf_is_renewed_by_the_same_authority() {
        let scratch = scratch_directory("renewed");
        let first = local(scratch.path(), "chat.test", NOW).unwrap();
        let later = NOW + (LEAF_DAYS_AHEAD - 29) * DAY;
        let second = local(scratch.path(), "chat.test", later).unwrap();
        assert_ne!(second.key.cert, first.key.cert);
        assert_eq!(second.authority, first.authority);
        assert!(accepted(
            scratch.path(),
            &second.key.cert[0],
            "chat.test",
            later + 31 * DAY
        ));
    }

    #[test]
    fn another_domain_gets_another_authority() {
        let scratch = scratch_directory("domain");
        let first = local(scratch.path(), "chat.test", NOW).unwrap();
        let second = local(scratch.path(), "other.test", NOW).unwrap();
        assert_ne!(second.authority, first.authority);
        assert!(second.notices[0].contains("every client"));
        assert!(accepted(
            scratch.path(),
            &second.key.cert[0],
            "other.test",
            NOW
        ));
    }

    #[test]
    fn an_authority_without_its_key_serves_as_long_as_the_leaf() {
        let scratch = scratch_directory("keyless");
        let first = local(scratch.path(), "chat.test", NOW).unwrap();
        fs::remove_file(scratch.path().join("ca-key.pem")).unwrap();
        assert_eq!(
            local(scratch.path(), "chat.test", NOW).unwrap().key.cert,
            first.key.cert
        );
        fs::write(scratch.path().join("key.pem"), "half a k").unwrap();
        let second = local(scratch.path(), "chat.test", NOW).unwrap();
        assert_ne!(second.authority, first.authority);
    }

    #[test]
    fn a_clock_that_lost_its_battery_makes_certificates_for_today() {
        let scratch = scratch_directory("clock");
        let made = local(scratch.path(), "chat.test", 60).unwrap();
        assert!(accepted(
            scratch.path(),
            &made.key.cert[0],
            "chat.test",
            SOURCE_TIME
        ));
        assert!(accepted(
            scratch.path(),
            &made.key.cert[0],
            "chat.test",
            SOURCE_TIME + 365 * DAY
        ));
        assert_eq!(
            local(scratch.path(), "chat.test", NOW).unwrap().key.cert,
            made.key.cert
        );
        let years_later = SOURCE_TIME + 1000 * DAY;
        let renewed = local(scratch.path(), "chat.test", years_later).unwrap();
        assert!(accepted(
            scratch.path(),
            &renewed.key.cert[0],
            "chat.test",
            years_later
        ));
    }

    #[test]
    fn a_clock_that_was_in_the_future_does_not_last() {
        let scratch = scratch_directory("future");
        let made = local(scratch.path(), "chat.test", NOW + 3000 * DAY).unwrap();
        let again = local(scratch.path(), "chat.test", NOW).unwrap();
        assert_ne!(again.key.cert, made.key.cert);
        assert_eq!(again.authority, made.authority);
        assert!(accepted(
            scratch.path(),
            &again.key.cert[0],
            "chat.test",
            NOW
        ));
    }

    #[test]
    fn a_key_of_another_authority_signs_nothing() {
        let (scratch, other) = (scratch_directory("mixed"), scratch_directory("mixed-other"));
        let first = local(scratch.path(), "chat.test", NOW).unwrap();
        local(other.path(), "chat.test", NOW).unwrap();
        fs::copy(
            other.path().join("ca-key.pem"),
            scratch.path().join("ca-key.pem"),
        )
        .unwrap();
        fs::remove_file(scratch.path().join("cert.pem")).unwrap();
        let second = local(scratch.path(), "chat.test", NOW).unwrap();
        assert_ne!(second.authority, first.authority);
        assert!(accepted(
            scratch.path(),
            &second.key.cert[0],
            "chat.test",
            NOW
        ));
    }

    #[test]
    fn an_address_or_a_name_beyond_ascii_may_be_the_domain() {
        let scratch = scratch_directory("address");
        let made = local(scratch.path(), "192.168.1.7", NOW).unwrap();
        assert!(accepted(
            scratch.path(),
            &made.key.cert[0],
            "192.168.1.7",
            NOW
        ));
        let made = local(scratch.path(), "bücher.test", NOW).unwrap();
        assert!(accepted(
            scratch.path(),
            &made.key.cert[0],
            "xn--bcher-kva.test",
            NOW
        ));
    }

    #[test]
    fn own_files_are_taken_or_refused_with_a_sentence() {
        let scratch = scratch_directory("own");
        local(scratch.path(), "chat.test", NOW).unwrap();
        let (certificate, key) = (
            scratch.path().join("cert.pem"),
            scratch.path().join("key.pem"),
        );
        let taken = own(&certificate, &key, "chat.test", NOW).unwrap();
        assert_eq!((taken.authority, taken.notices.len()), (None, 0));
        let problem =
            |certificate: &Path, key: &Path| own(certificate, key, "chat.test", NOW).err().unwrap();
        assert!(problem(&certificate, &scratch.path().join("ca-key.pem")).contains("another key"));
        assert!(problem(&certificate, &certificate).contains("no private key"));
        assert!(problem(&key, &key).contains("no certificate"));
        assert!(problem(&scratch.path().join("none.pem"), &key).contains("cannot read"));
        assert!(
            own(&certificate, &key, "other.test", NOW).unwrap().notices[0]
                .contains("does not name other.test")
        );
        assert!(
            own(&certificate, &key, "chat.test", NOW + 690 * DAY)
                .unwrap()
                .notices[0]
                .contains("runs out in 10 days")
        );
        assert!(
            own(&certificate, &key, "chat.test", NOW + 800 * DAY)
                .unwrap()
                .notices[0]
                .contains("has run out")
        );
    }
}
