use super::super::client::Client;
use super::*;
use crate::auth::decode;

const SCRAMS: [Mechanism; 4] = [
    Mechanism::ScramSha256Plus,
    Mechanism::ScramSha1Plus,
    Mechanism::ScramSha256,
    Mechanism::ScramSha1,
];

fn channel() -> ChannelBinding {
    ChannelBinding {
        exporter: Some([7; 32]),
        end_point: Some(vec![8; 32]),
    }
}

fn keys(hash: Hash) -> ScramKeys {
    ScramKeys::derive(hash, "pencil", b"salt", 2).unwrap()
}

fn client(mechanism: Mechanism) -> Client {
    let client = Client::new(mechanism.name(), "anna", "pencil", "client");
    if mechanism.binds_channel() {
        client.bound_to("tls-exporter", &[7; 32])
    } else {
        client
    }
}

fn start(mechanism: Mechanism, first: &str) -> Result<Scram, AuthError> {
    Scram::start(mechanism, first.as_bytes(), true, &channel())
}

/// A whole login, with the messages changed on their way by `change(number, message)`: 0 and 2 the client's, 1 and 3 the server's.
fn log_in(
    mechanism: Mechanism,
    mut client: Client,
    change: impl Fn(usize, String) -> Vec<u8>,
) -> Result<(), String> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|error| error.to_string());
    let first = change(0, client.first());
    let mut scram =
        Scram::start(mechanism, &first, true, &channel()).map_err(|error| error.to_string())?;
    let challenge = change(1, scram.challenge(&keys(scram.hash()), "server"));
    let last = change(2, client.answer(&text(challenge)?)?);
    let success = change(3, scram.finish(&last).map_err(|error| error.to_string())?);
    client.check(&text(success)?)
}

#[test]
fn the_example_of_rfc_5802() {
    example(
        Mechanism::ScramSha1,
        "QSXCR+Q6sek8bf92",
        ["fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j"],
        [
            "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ],
    );
}

#[test]
fn the_example_of_rfc_7677() {
    example(
        Mechanism::ScramSha256,
        "W22ZaJ0SNY7soEsUEjb6gQ==",
        ["rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"],
        [
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ],
    );
}

/// User `user`, password `pencil`, 4096 rounds, as both RFCs have it; the server's messages byte by byte, and the client's.
fn example(
    mechanism: Mechanism,
    salt: &str,
    [ours, theirs]: [&str; 2],
    [proof, signature]: [&str; 2],
) {
    let first = format!("n,,n=user,r={ours}");
    let mut scram = Scram::start(
        mechanism,
        first.as_bytes(),
        false,
        &ChannelBinding::default(),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((scram.user(), scram.authzid()), ("user", None));
    let keys = ScramKeys::derive(scram.hash(), "pencil", &decode(salt).unwrap(), 4096).unwrap();
    let challenge = scram.challenge(&keys, theirs);
    assert_eq!(challenge, format!("r={ours}{theirs},s={salt},i=4096"));
    let last = format!("c=biws,r={ours}{theirs},p={proof}");
    let success = scram.finish(last.as_bytes());
    assert_eq!(success, Ok(format!("v={signature}")));

    let mut client = Client::new(mechanism.name(), "user", "pencil", ours);
    assert_eq!(client.first(), first);
    assert_eq!(client.answer(&challenge), Ok(last));
    assert_eq!(client.check(&success.unwrap()), Ok(()));
}

#[test]
fn every_mechanism_logs_in_and_no_wrong_password() {
    let untouched = |_: usize, message: String| message.into_bytes();
    for mechanism in SCRAMS {
        assert_eq!(log_in(mechanism, client(mechanism), untouched), Ok(()));
        for password in ["Pencil", "pencil2", "x"] {
            let mut wrong = Client::new(mechanism.name(), "anna", password, "client");
            if mechanism.binds_channel() {
                wrong = wrong.bound_to("tls-exporter", &[7; 32]);
            }
            assert_eq!(
                log_in(mechanism, wrong, untouched),
                Err(AuthError::NotAuthorized.to_string())
            );
        }
    }
    let end_point = Client::new("SCRAM-SHA-256-PLUS", "anna", "pencil", "client")
        .bound_to("tls-server-end-point", &[8; 32]);
    assert_eq!(
        log_in(Mechanism::ScramSha256Plus, end_point, untouched),
        Ok(())
    );
    // Another channel's data: somebody stands between.
    for (name, data) in [("tls-exporter", [8; 32]), ("tls-server-end-point", [7; 32])] {
        let relayed =
            Client::new("SCRAM-SHA-1-PLUS", "anna", "pencil", "client").bound_to(name, &data);
        assert_eq!(
            log_in(Mechanism::ScramSha1Plus, relayed, untouched),
            Err(AuthError::ChannelBindingMismatch.to_string())
        );
    }
}

#[test]
fn names_are_decoded() {
    let scram = start(
        Mechanism::ScramSha1,
        "n,a=b=3Dc=2Cd@chat.test,n=a=2C=3D=2C=3D2C,r=x,e=1,z=a=b",
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        (scram.user(), scram.authzid()),
        ("a,=,=2C", Some("b=c,d@chat.test"))
    );
    let client = Client::new("SCRAM-SHA-1", "a,=2C", "pencil", "client").acting_as("x=y@z");
    let scram =
        start(Mechanism::ScramSha1, &client.first()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((scram.user(), scram.authzid()), ("a,=2C", Some("x=y@z")));
}

#[test]
fn first_messages_that_are_refused() {
    use AuthError::{MalformedRequest, OfferTampered, UnsupportedChannelBinding};
    for (first, error) in [
        ("", MalformedRequest),
        (",", MalformedRequest),
        (",,", MalformedRequest),
        ("n", MalformedRequest),
        ("n,", MalformedRequest),
        ("n,,", MalformedRequest),
        ("n,,n=anna", MalformedRequest),
        ("n,,n=anna,", MalformedRequest),
        ("n,,n=anna,r=", MalformedRequest),
        ("n,,n=,r=x", MalformedRequest),
        ("n,,r=x,n=anna", MalformedRequest),
        ("n,n=anna,r=x", MalformedRequest),
        ("n=anna,r=x", MalformedRequest),
        ("n,a=,n=anna,r=x", MalformedRequest),
        ("n,x=1,n=anna,r=x", MalformedRequest),
        ("n,,m=1,n=anna,r=x", MalformedRequest),
        ("n,,n=anna,m=1,r=x", MalformedRequest),
        ("n,,n=anna,r=x,m=1", MalformedRequest),
        ("n,,n=anna,r=x,r=y", MalformedRequest),
        ("n,,n=anna,r=x,n=eve", MalformedRequest),
        ("n,,n=anna,r=x,", MalformedRequest),
        ("n,,n=anna,r=x,e", MalformedRequest),
        ("n,,n=anna,r=x,e=", MalformedRequest),
        ("n,,n=anna,r=x,1=e", MalformedRequest),
        ("n,,n=anna,r=x y", MalformedRequest),
        ("n,,n=anna,r=\u{E9}", MalformedRequest),
        ("n,,n=anna,r=x\0", MalformedRequest),
        ("n,,n=an\0na,r=x", MalformedRequest),
        ("n,,n=a=b,r=x", MalformedRequest),
        ("n,,n=a=,r=x", MalformedRequest),
        ("n,,n=a=2c,r=x", MalformedRequest),
        ("n,a=b=2,n=a,r=x", MalformedRequest),
        ("N,,n=anna,r=x", MalformedRequest),
        (" n,,n=anna,r=x", MalformedRequest),
        ("x,,n=anna,r=x", MalformedRequest),
        ("y=1,,n=anna,r=x", MalformedRequest),
        ("p=tls-exporter,,n=anna,r=x", MalformedRequest),
        ("y,,n=anna,r=x", OfferTampered),
    ] {
        for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha1] {
            assert_eq!(start(mechanism, first).err(), Some(error), "{first:?}");
        }
    }
    for (first, error) in [
        ("n,,n=anna,r=x", MalformedRequest),
        ("y,,n=anna,r=x", MalformedRequest),
        ("p,,n=anna,r=x", MalformedRequest),
        ("P=tls-exporter,,n=anna,r=x", MalformedRequest),
        ("p=,,n=anna,r=x", UnsupportedChannelBinding),
        ("p=tls-unique,,n=anna,r=x", UnsupportedChannelBinding),
        ("p=TLS-exporter,,n=anna,r=x", UnsupportedChannelBinding),
        ("p=tls-exporter ,,n=anna,r=x", UnsupportedChannelBinding),
    ] {
        for mechanism in [Mechanism::ScramSha256Plus, Mechanism::ScramSha1Plus] {
            assert_eq!(start(mechanism, first).err(), Some(error), "{first:?}");
        }
    }
    assert_eq!(
        Scram::start(Mechanism::ScramSha1, b"n,,n=\xFF,r=x", true, &channel()).err(),
        Some(MalformedRequest)
    );
    assert_eq!(
        start(Mechanism::Plain, "n,,n=anna,r=x").err(),
        Some(AuthError::InvalidMechanism)
    );
    // Where nothing was offered, 'y' is the truth; and a channel binds only with what it has.
    let nothing = ChannelBinding::default();
    assert!(Scram::start(Mechanism::ScramSha1, b"y,,n=anna,r=x", false, &nothing).is_ok());
    let exporter = Scram::start(
        Mechanism::ScramSha1Plus,
        b"p=tls-exporter,,n=anna,r=x",
        true,
        &nothing,
    );
    assert_eq!(exporter.err(), Some(UnsupportedChannelBinding));
}

#[test]
fn last_messages_that_are_refused() {
    use AuthError::{ChannelBindingMismatch, MalformedRequest, NonceMismatch, NotAuthorized};
    let finish = |last: &str| {
        let mut scram = start(Mechanism::ScramSha1, "n,,n=anna,r=client")
            .unwrap_or_else(|error| panic!("{error}"));
        scram.challenge(&keys(Hash::Sha1), "server");
        scram.finish(last.as_bytes())
    };
    let proof = encode([5; 20]);
    for (last, error) in [
        ("", MalformedRequest),
        (",p=", MalformedRequest),
        ("c=biws,r=clientserver", MalformedRequest),
        ("c=biws,r=clientserver,p=", MalformedRequest),
        ("c=biws,r=clientserver,p=*", MalformedRequest),
        ("c=biws,r=clientserver,p=AAAA", MalformedRequest),
        ("c=biws,r=clientserver,p=$,x=1", MalformedRequest),
        ("c=biws,r=clientserver,p=$,", MalformedRequest),
        ("c=biws,r=clientserver,p=$=", MalformedRequest),
        ("c=biws,r=clientserver,p=$ ", MalformedRequest),
        ("c=biws,r=clientserver,p=$,p=$", MalformedRequest),
        ("c=biws,r=clientserver,m=1,p=$", MalformedRequest),
        ("c=biws,r=clientserver,r=clientserver,p=$", MalformedRequest),
        ("c=biws,r=clientserver\0,p=$", MalformedRequest),
        ("r=clientserver,c=biws,p=$", MalformedRequest),
        ("c=biws,p=$", MalformedRequest),
        ("r=clientserver,p=$", MalformedRequest),
        ("c=,r=clientserver,p=$", MalformedRequest),
        ("c=n,r=clientserver,p=$", MalformedRequest),
        ("c=eSws,r=clientserver,p=$", ChannelBindingMismatch),
        ("c=biwsbiws,r=clientserver,p=$", ChannelBindingMismatch),
        ("c=biws,r=client,p=$", NonceMismatch),
        ("c=biws,r=server,p=$", NonceMismatch),
        ("c=biws,r=clientserver2,p=$", NonceMismatch),
        ("c=biws,r=Clientserver,p=$", NonceMismatch),
        ("c=biws,r=clientserver,p=$", NotAuthorized),
        ("c=biws,r=clientserver,x=1,p=$", NotAuthorized),
    ] {
        assert_eq!(finish(&last.replace('$', &proof)), Err(error), "{last:?}");
    }
    let unchallenged =
        start(Mechanism::ScramSha1, "n,,n=anna,r=client").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        unchallenged.finish(format!("c=biws,r=client,p={proof}").as_bytes()),
        Err(MalformedRequest)
    );
    // Keys of the other hash, as a broken record could have them.
    let mut scram =
        start(Mechanism::ScramSha1, "n,,n=anna,r=client").unwrap_or_else(|error| panic!("{error}"));
    scram.challenge(&keys(Hash::Sha256), "server");
    assert_eq!(
        scram.finish(format!("c=biws,r=clientserver,p={proof}").as_bytes()),
        Err(NotAuthorized)
    );
}

#[test]
fn optional_extensions_are_signed_and_ignored() {
    // What XEP-0474's own example has in its last message: an attribute that nobody knows.
    let mut client = client(Mechanism::ScramSha1);
    let mut scram =
        start(Mechanism::ScramSha1, &client.first()).unwrap_or_else(|error| panic!("{error}"));
    let challenge = scram.challenge(&keys(Hash::Sha1), "server");
    let last = client.answer(&challenge).unwrap();
    let (without_proof, _) = last.rsplit_once(",p=").unwrap();
    let extended = format!("{without_proof},x=19C6532F");
    let salted = ScramKeys::derive(Hash::Sha1, "pencil", b"salt", 2).unwrap();
    let message = format!("n=anna,r=client,{challenge},{extended}");
    let signature = Hash::Sha1.hmac(&salted.stored_key, message.as_bytes());
    let mut salted = [0; 20];
    ring::pbkdf2::derive(
        Hash::Sha1.pbkdf2(),
        2.try_into().unwrap(),
        b"salt",
        b"pencil",
        &mut salted,
    );
    let key = Hash::Sha1.hmac(&salted, b"Client Key");
    let proof: Vec<u8> = key
        .as_ref()
        .iter()
        .zip(signature.as_ref())
        .map(|(key, signature)| key ^ signature)
        .collect();
    assert!(
        scram
            .finish(format!("{extended},p={}", encode(proof)).as_bytes())
            .is_ok()
    );
}

#[test]
fn a_changed_offer_is_found() {
    let offered: Vec<&str> = Mechanism::offered(&channel())
        .map(Mechanism::name)
        .collect();
    let binding = channel();
    let types: Vec<&str> = binding.types().collect();
    let login = |mut client: Client, protected: bool| {
        let mut scram =
            start(Mechanism::ScramSha1, &client.first()).map_err(|error| error.to_string())?;
        if protected {
            scram.protect(downgrade::offer(&offered, Some(&types)));
        }
        let challenge = scram.challenge(&keys(Hash::Sha1), "server");
        assert_eq!(challenge.contains(",h="), protected);
        let last = client.answer(&challenge)?;
        client.check(
            &scram
                .finish(last.as_bytes())
                .map_err(|error| error.to_string())?,
        )
    };
    let client = || client(Mechanism::ScramSha1);
    assert_eq!(login(client().that_saw(&offered, &types), true), Ok(()));
    // A client that does not know the extension logs in all the same, and with the extension off there is no attribute.
    assert_eq!(login(client(), true), Ok(()));
    assert_eq!(login(client(), false), Ok(()));
    for client in [
        client().that_saw(&["SCRAM-SHA-1"], &types),
        client().that_saw(&offered, &types[1..]),
        client().that_saw(&offered, &[]),
    ] {
        assert!(login(client, true).is_err());
    }
}

#[test]
fn no_changed_bit_gets_through() {
    for mechanism in SCRAMS {
        for number in 0..4 {
            for position in 0.. {
                let beyond = std::cell::Cell::new(false);
                for bit in 0..8 {
                    let change = |at: usize, message: String| {
                        let mut bytes = message.into_bytes();
                        if at == number {
                            match bytes.get_mut(position) {
                                Some(byte) => *byte ^= 1 << bit,
                                None => beyond.set(true),
                            }
                        }
                        bytes
                    };
                    let outcome = log_in(mechanism, client(mechanism), change);
                    assert_eq!(
                        outcome.is_ok(),
                        beyond.get(),
                        "{} message {number} byte {position} bit {bit}",
                        mechanism.name()
                    );
                }
                if beyond.get() {
                    break;
                }
            }
        }
    }
}

#[test]
fn random_messages_never_panic_and_never_log_in() {
    let mut state = 0x5eedu64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let pieces: [&[u8]; 22] = [
        b",",
        b"=",
        b"n,",
        b"y,",
        b"p=tls-exporter,",
        b"a=",
        b"n=anna",
        b"r=client",
        b"r=clientserver",
        b"c=biws",
        b",p=",
        b"=2C",
        b"=3D",
        b"\0",
        b"\xFF",
        b"\xC3",
        "é".as_bytes(),
        b"m=",
        b"x=1",
        b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        b" ",
    ];
    let (mut started, mut wrong) = (0, 0);
    for round in 0..100_000 {
        let mechanism = SCRAMS[round % SCRAMS.len()];
        let whole = client(mechanism);
        let last = format!(
            "c={},r=clientserver,p={}",
            encode("n,,"),
            encode(vec![5; mechanism.hash().map_or(0, Hash::bytes)])
        );
        let mut random = |message: &str| {
            let mut bytes = message.as_bytes().to_vec();
            if next(4) == 0 {
                bytes.clear();
            }
            for _ in 0..next(6) {
                let at = next(bytes.len() + 1);
                let piece = pieces[next(pieces.len())];
                match next(3) {
                    0 => drop(bytes.splice(at..at, piece.iter().copied())),
                    1 => bytes.truncate(at),
                    _ => drop(bytes.drain(at..(at + next(6)).min(bytes.len()))),
                }
            }
            bytes
        };
        let (first, last) = (random(&whole.first()), random(&last));
        if let Ok(mut scram) = Scram::start(mechanism, &first, true, &channel()) {
            started += 1;
            assert!(!scram.user().is_empty());
            scram.challenge(
                &ScramKeys {
                    salt: vec![1],
                    iterations: 1,
                    stored_key: vec![2; scram.hash().bytes()],
                    server_key: vec![3],
                },
                "server",
            );
            match scram.finish(&last) {
                Ok(success) => panic!("round {round}: {success} for {last:?}"),
                Err(AuthError::NotAuthorized) => wrong += 1,
                Err(_) => {}
            }
        }
        // RFC 4616's message from the same generator.
        let _ = super::super::Plain::parse(&last);
    }
    assert!(
        started > 10_000 && wrong > 500,
        "{started} started, {wrong} reached the proof: the generator is too wild"
    );
}
