//! The local CA: what it is bound to, and what it signs.
//!
//! Its name constraints (RFC 5280 §4.2.1.10) bind it to the domain and to private addresses, so that who installs it on a phone trusts it for
//! nothing else. Nothing here touches a file.

use super::certificate::RENEW_DAYS;
use super::der;
use futures_rustls::rustls::pki_types::CertificateDer;
use futures_rustls::rustls::pki_types::pem::PemObject;
use rcgen::{BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose};
use rcgen::{GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// A day, in seconds.
pub const DAY: u64 = 24 * 60 * 60;
/// 2026-11-01 in seconds since 1970: no clock of a machine that runs this source is truly before it. A constant, not the time of
/// the build, so that the same source gives the same binary.
pub const SOURCE_TIME: u64 = 1_793_491_200;
/// Days from now, or from the source where the clock is behind it, until a leaf runs out. Below `LEAF_DAYS`, so that its
/// beginning can lie in the past of clients whose clocks are late.
pub const LEAF_DAYS_AHEAD: u64 = 700;
/// Days that a leaf is valid in all: clients refuse more than 825.
const LEAF_DAYS: u64 = 800;
/// Days that the CA is valid from now: a new one has to be brought to every client by hand.
const AUTHORITY_DAYS: u64 = 20 * 365;

/// The local CA.
pub struct Authority {
    /// Its certificate, as clients get it.
    pub pem: String,
    /// The same as DER.
    pub der: Vec<u8>,
    /// Not needed as long as the leaf serves: an operator may keep it elsewhere.
    key: Option<KeyPair>,
}

/// A new certificate and its key, both PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// The CA of these PEM texts; none where the first is no certificate. A key that is not the certificate's is as good as none.
    pub fn from_pem(certificate: String, key: Option<&str>) -> Option<Authority> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .ok()?
            .to_vec();
        let key = key
            .and_then(|text| KeyPair::from_pem(text).ok())
            .filter(|key| {
                let public = key.public_key_raw();
                der.windows(public.len()).any(|bytes| bytes == public)
            });
        Some(Authority {
            pem: certificate,
            der,
            key,
        })
    }

    /// A new CA for this domain, and its key; `now` is in seconds since 1970.
    pub fn make(domain: &str, now: u64) -> Result<(Authority, String), String> {
        let key = generate()?;
        // The same name with another key confuses clients that still have the former CA.
        let mark: [u8; 3] = random()?;
        let name = format!(
            "snug CA of {} {}",
            shortened(domain),
            mark.map(|byte| format!("{byte:02x}")).concat()
        );
        let mut parameters = authority_parameters(&name);
        valid(
            &mut parameters,
            now.min(SOURCE_TIME).saturating_sub(DAY),
            now.max(SOURCE_TIME) + AUTHORITY_DAYS * DAY,
        );
        parameters.name_constraints = Some(constraints(domain));
        let certificate = parameters.self_signed(&key).map_err(|error| {
            format!("cannot make a certificate authority for {domain}: {error}")
        })?;
        let key_pem = key.serialize_pem();
        Ok((
            Authority {
                pem: certificate.pem(),
                der: certificate.der().to_vec(),
                key: Some(key),
            },
            key_pem,
        ))
    }

    /// Whether it may sign for this domain, and for long enough.
    pub fn serves(&self, domain: &str, now: u64) -> bool {
        der::Certificate::read(&self.der).is_some_and(|ca| {
            let named = domain.parse::<IpAddr>().is_ok() || ca.permitted_dns().contains(&domain);
            named && ca.not_after > now + RENEW_DAYS * DAY
        })
    }

    /// Whether it can sign at all.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Signs a new key of the server.
    pub fn issue(&self, domain: &str, now: u64) -> Result<Issued, String> {
        let ca = der::Certificate::read(&self.der);
        let (Some(ca), Some(ca_key)) = (ca, self.key.as_ref()) else {
            return Err("the certificate authority has lost its key; move the directory tls aside to get a new one".to_owned());
        };
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters
            .distinguished_name
            .push(DnType::CommonName, shortened(domain));
        let end = (now.max(SOURCE_TIME) + LEAF_DAYS_AHEAD * DAY).min(ca.not_after);
        // The clock of a Pi without a battery stands years behind at times, and so may a client's.
        valid(
            &mut parameters,
            now.min(SOURCE_TIME)
                .saturating_sub(DAY)
                .max(end - LEAF_DAYS * DAY),
            end,
        );
        parameters.subject_alt_names = leaf_names(domain)?;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.use_authority_key_identifier_extension = true;
        let key = generate()?;
        let issuer = Issuer::new(
            authority_parameters(ca.common_name().unwrap_or_default()),
            ca_key,
        );
        let certificate = parameters
            .signed_by(&key, &issuer)
            .map_err(|error| format!("cannot make a certificate for {domain}: {error}"))?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// What a CA of this name signs with; the name and the key are all that a leaf takes from it.
fn authority_parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

/// Private and loopback addresses: RFC 1918, RFC 4193, RFC 3927, RFC 4291 §2.5.6.
const PRIVATE_SUBNETS: [(IpAddr, u8); 8] = [
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
];

/// A dNSName permits the name and everything below it. A kind of name that is not mentioned would be free: so mail addresses are.
fn constraints(domain: &str) -> NameConstraints {
    let mut permitted = vec![GeneralSubtree::DnsName("localhost".to_owned())];
    match domain.parse::<IpAddr>() {
        Ok(address) => permitted.push(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
            address,
            if address.is_ipv4() { 32 } else { 128 },
        ))),
        Err(_) => {
            permitted.push(GeneralSubtree::DnsName(domain.to_owned()));
            permitted.push(GeneralSubtree::Rfc822Name(domain.to_owned()));
        }
    }
    permitted.extend(PRIVATE_SUBNETS.map(|(address, prefix)| {
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, prefix))
    }));
    NameConstraints {
        permitted_subtrees: permitted,
        excluded_subtrees: Vec::new(),
    }
}

/// The domain, its rooms, and what the machine is called without a name service.
fn leaf_names(domain: &str) -> Result<Vec<SanType>, String> {
    let mut names = Vec::new();
    let mut addresses = vec![
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let mut dns = vec!["localhost".to_owned()];
    match domain.parse::<IpAddr>() {
        Ok(address) => addresses.insert(0, address),
        Err(_) => dns
            .splice(0..0, [domain.to_owned(), format!("rooms.{domain}")])
            .for_each(drop),
    }
    for name in dns {
        names.push(SanType::DnsName(name.clone().try_into().map_err(|_| {
            format!("the domain {name} cannot be put into a certificate")
        })?));
    }
    addresses.extend(private_addresses());
    addresses.dedup();
    names.extend(addresses.into_iter().map(SanType::IpAddress));
    Ok(names)
}

/// This machine's private addresses, from the kernel's own tables; none where there are no such tables.
fn private_addresses() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let mut addresses = Vec::new();
    let mut leaf = None;
    for line in v4.lines() {
        // "|-- 192.168.1.7" and below it "/32 host LOCAL".
        if let Some((_, address)) = line.split_once("|-- ") {
            leaf = address.trim().parse::<Ipv4Addr>().ok();
        } else if let Some(address) =
            leaf.filter(|address| address.is_private() && line.contains("host LOCAL"))
        {
            addresses.push(IpAddr::V4(address));
        }
    }
    for line in v6.lines() {
        let bits = line
            .split(' ')
            .next()
            .and_then(|hex| u128::from_str_radix(hex, 16).ok());
        if let Some(address) = bits.map(Ipv6Addr::from).filter(Ipv6Addr::is_unique_local) {
            addresses.push(IpAddr::V6(address));
        }
    }
    addresses.sort();
    addresses.dedup();
    // A machine that runs many containers has many; a certificate is sent with every handshake.
    addresses.truncate(16);
    addresses
}

fn generate() -> Result<KeyPair, String> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
        .map_err(|error| format!("cannot make a key: {error}"))
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| "the system gives no random bytes".to_owned())?;
    Ok(bytes)
}

/// From when to when, in seconds since 1970.
fn valid(parameters: &mut CertificateParams, from: u64, to: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + Duration::from_secs(from);
    parameters.not_after = epoch + Duration::from_secs(to);
}

/// A common name has at most 64 characters (RFC 5280 appendix A.1, ub-common-name); nobody looks for a domain in it.
fn shortened(domain: &str) -> &str {
    &domain[..domain.len().min(40)]
}
