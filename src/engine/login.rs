//! From the first header to a bound resource: STARTTLS (RFC 6120 §5), SASL (§6), resource binding (§7).

use super::session::SessionId;
use super::stream::Stage;
use super::{ConnId, Engine, Flow};
use crate::auth::{
    self, AuthError, ChannelBinding, Hash, Mechanism, ScramKeys, Secret, plain::Plain, scram::Scram,
};
use crate::limits;
use crate::store::{Account, StoreError};
use crate::xml::Checked;
use crate::xml::written;
use crate::xmpp::{Condition, FullJid, Jid, StanzaError, StreamError, ns};

/// What is known of a client that is not bound yet.
#[derive(Default)]
pub struct Login {
    /// Local part of the account that logged in.
    pub account: Option<String>,
    exchange: Option<Exchange>,
    failures: u8,
    /// Those of no password.
    binding_failures: u8,
    /// The hash that was left out of the offer.
    withheld: Option<Hash>,
}

/// Keys of which the client has shown that it knows their password.
pub(super) type Proof = (Hash, ScramKeys);

impl Login {
    /// What is offered to this client, strongest first.
    fn offered(&self, binding: &ChannelBinding) -> impl Iterator<Item = Mechanism> {
        let withheld = self.withheld;
        Mechanism::offered(binding)
            .filter(move |mechanism| withheld.is_none() || mechanism.hash() != withheld)
    }
}

/// What a client has shown: the password itself, or that it knows it; then this answers it.
enum Shown {
    Password(Secret),
    Proof(String),
}

/// A SASL exchange between two of its messages.
enum Exchange {
    /// The mechanism is chosen, its first message is still to come.
    Chosen(Mechanism),
    /// The challenge of SCRAM is out, made of these keys.
    Challenged {
        scram: Box<Scram>,
        account: String,
        keys: ScramKeys,
    },
}

impl Engine {
    /// RFC 6120 §4.3.2: what comes next on this stream.
    pub(super) fn send_stream_features(&mut self, conn: ConnId) {
        let withheld = self.census.withheld();
        if let Some(Stage::Negotiating(login)) =
            self.stream_mut(conn).map(|stream| &mut stream.stage)
        {
            login.withheld = withheld;
        }
        let Some(stream) = self.stream(conn) else {
            return;
        };
        let Stage::Negotiating(login) = &stream.stage else {
            return;
        };
        let text = written(|out| {
            out.start("stream:features");
            match (&stream.tls, &login.account) {
                (None, _) => {
                    // RFC 6120 §5.4.1: nothing else is offered while TLS is required.
                    out.start("starttls")
                        .attr("xmlns", ns::TLS)
                        .leaf("required", "")
                        .end();
                }
                (Some(tls), None) => {
                    out.start("mechanisms").attr("xmlns", ns::SASL);
                    for mechanism in login.offered(&tls.binding) {
                        out.leaf("mechanism", mechanism.name());
                    }
                    out.end();
                    // XEP-0440 §2: at least one, or nothing of it.
                    if tls.binding.types().next().is_some() {
                        out.start("sasl-channel-binding")
                            .attr("xmlns", ns::CHANNEL_BINDING);
                        for name in tls.binding.types() {
                            out.start("channel-binding").attr("type", name).end();
                        }
                        out.end();
                    }
                }
                (Some(_), Some(_)) => {
                    // RFC 6120 §7.4: an empty element; binding is always required.
                    out.start("bind").attr("xmlns", ns::BIND).end();
                }
            }
            for row in self.features {
                if let Some(offer) = row.stream_features {
                    offer(self, stream, out);
                }
            }
            out.end();
        });
        self.send(conn, &text);
    }

    /// Takes an element of a stream whose resource is not bound.
    pub(super) fn negotiate(&mut self, conn: ConnId, xml: Checked<'_>) -> Flow {
        let Some(stream) = self.stream(conn) else {
            return Flow::Close;
        };
        let Stage::Negotiating(login) = &stream.stage else {
            return Flow::Close;
        };
        let (secure, known) = (stream.tls.is_some(), login.account.is_some());
        let root = xml.root();
        let space = root.ns();
        match (&*space, root.name()) {
            (ns::TLS, "starttls") if !secure => {
                self.send(conn, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
                Flow::StartTls
            }
            // RFC 6120 §5.4.2.2: TLS is there already.
            (ns::TLS, _) => {
                self.send(conn, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
                self.end_stream(conn, StreamError::PolicyViolation, None)
            }
            // RFC 6120 §4.9.3.12: a stanza before login.
            (ns::CLIENT, "message" | "presence" | "iq") if !secure => {
                self.end_stream(conn, StreamError::NotAuthorized, None)
            }
            // RFC 6120 §5.3.1: TLS is mandatory, so nothing comes before it.
            _ if !secure => {
                self.end_stream(conn, StreamError::PolicyViolation, Some("start TLS first"))
            }
            (ns::SASL, "auth") if !known => self.auth(conn, xml),
            (ns::SASL, "response") if !known => self.sasl_response(conn, xml),
            // RFC 6120 §6.4.4.
            (ns::SASL, "abort") if !known => self.sasl_failure(conn, AuthError::Aborted, None),
            // RFC 6120 §6.3.5: once is enough.
            (ns::SASL, _) => self.end_stream(conn, StreamError::PolicyViolation, None),
            // XEP-0138 §3: not offered, see HOLES 4.
            (ns::COMPRESS, "compress") => {
                self.send(conn, "<failure xmlns='http://jabber.org/protocol/compress'><unsupported-method/></failure>");
                Flow::Continue
            }
            (ns::CLIENT, "iq") if known => self.bind_request(conn, xml),
            _ => {
                for row in self.features {
                    if let Some(take) = row.before_login
                        && let Some(flow) = take(self, conn, xml)
                    {
                        return flow;
                    }
                }
                match &*space {
                    ns::CLIENT => self.end_stream(conn, StreamError::NotAuthorized, None),
                    _ => self.end_stream(conn, StreamError::UnsupportedStanzaType, None),
                }
            }
        }
    }

    /// RFC 6120 §6.4.2: the client chooses a mechanism.
    fn auth(&mut self, conn: ConnId, xml: Checked<'_>) -> Flow {
        let root = xml.root();
        let mechanism = root
            .attr("mechanism")
            .and_then(|name| Mechanism::parse(&name));
        let offered = |mechanism: &Mechanism| self.offer(conn).0.contains(mechanism);
        let Some(mechanism) = mechanism.filter(offered) else {
            return self.sasl_failure(conn, AuthError::InvalidMechanism, None);
        };
        let text = root.text();
        if text.is_empty() {
            // RFC 6120 §6.4.2: the mechanism begins with the client, so an empty challenge asks for it.
            self.set_exchange(conn, Some(Exchange::Chosen(mechanism)));
            self.send(
                conn,
                "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
            );
            return Flow::Continue;
        }
        match auth::decode(&text) {
            Ok(first) => self.first_message(conn, mechanism, &first),
            Err(error) => self.sasl_failure(conn, error, None),
        }
    }

    /// RFC 6120 §6.4.3: an answer to a challenge.
    fn sasl_response(&mut self, conn: ConnId, xml: Checked<'_>) -> Flow {
        let message = match auth::decode(&xml.root().text()) {
            Ok(message) => message,
            Err(error) => return self.sasl_failure(conn, error, None),
        };
        match self.set_exchange(conn, None) {
            Some(Exchange::Chosen(mechanism)) => self.first_message(conn, mechanism, &message),
            Some(Exchange::Challenged {
                scram,
                account,
                keys,
            }) => {
                let hash = scram.hash();
                match scram.finish(&message) {
                    Ok(last) => self.proven(conn, &account, (hash, keys), Shown::Proof(last)),
                    Err(error) => self.sasl_failure(conn, error, Some(&account)),
                }
            }
            None => self.sasl_failure(conn, AuthError::MalformedRequest, None),
        }
    }

    fn first_message(&mut self, conn: ConnId, mechanism: Mechanism, message: &[u8]) -> Flow {
        let result = match mechanism {
            Mechanism::Plain => self.plain(conn, message),
            _ => self.scram(conn, mechanism, message),
        };
        result.unwrap_or_else(|error| self.sasl_failure(conn, error, None))
    }

    /// RFC 5802 §5: client-first is answered by a challenge, the same for an account and for none.
    fn scram(
        &mut self,
        conn: ConnId,
        mechanism: Mechanism,
        message: &[u8],
    ) -> Result<Flow, AuthError> {
        let Some(tls) = self.stream(conn).and_then(|stream| stream.tls.as_ref()) else {
            return Err(AuthError::MalformedRequest);
        };
        let bindings: Vec<&str> = tls.binding.types().collect();
        let mut scram = Scram::start(mechanism, message, !bindings.is_empty(), &tls.binding)?;
        // Clients exist that fail on it (HOLES 24).
        if self.config.login.offer_hash {
            let (mechanisms, bindings) = self.offer(conn);
            let names: Vec<&str> = mechanisms.iter().map(|one| one.name()).collect();
            scram.protect(auth::downgrade::offer(
                &names,
                (!bindings.is_empty()).then_some(&bindings),
            ));
        }
        // A name that no account can have gets the fake keys of its raw text.
        let name = auth::account_name(scram.user());
        let account = name.clone().unwrap_or_else(|_| scram.user().to_owned());
        auth::check_authzid(scram.authzid(), &account, &self.config.domain)?;
        let known = match name {
            Ok(name) => self.store.account(&name),
            Err(_) => Ok(None),
        };
        let keys = match known {
            Ok(known) => self.keys_of(known.as_ref(), &account, scram.hash()),
            Err(error) => return Ok(self.sasl_broken(conn, &error)),
        };
        let nonce = self.random.id();
        let challenge = scram.challenge(&keys, &nonce);
        self.send(
            conn,
            &format!(
                "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</challenge>",
                auth::encode(challenge)
            ),
        );
        self.set_exchange(
            conn,
            Some(Exchange::Challenged {
                scram: Box::new(scram),
                account,
                keys,
            }),
        );
        Ok(Flow::Continue)
    }

    /// RFC 4616: the password itself, so its keys are derived off-thread and compared.
    fn plain(&mut self, conn: ConnId, message: &[u8]) -> Result<Flow, AuthError> {
        let plain = Plain::parse(message)?;
        let name = auth::account_name(&plain.authcid);
        let account = name.clone().unwrap_or_else(|_| plain.authcid.clone());
        auth::check_authzid(plain.authzid.as_deref(), &account, &self.config.domain)?;
        let known = match name.map_or(Ok(None), |name| self.store.account(&name)) {
            Ok(known) => known,
            Err(error) => return Ok(self.sasl_broken(conn, &error)),
        };
        let hashes: &[Hash] = match self.census.needs_both() {
            true => &[Hash::Sha256, Hash::Sha1],
            false => &[Hash::Sha256],
        };
        let expected: Vec<Proof> = hashes
            .iter()
            .map(|hash| (*hash, self.keys_of(known.as_ref(), &account, *hash)))
            .collect();
        let request = expected
            .iter()
            .map(|(hash, keys)| (*hash, keys.salt.clone(), keys.iterations))
            .collect();
        let password = Secret::new(plain.password());
        self.derive(password.clone(), request, move |engine, derived| {
            // No password fits the keys of who has none.
            let fits = expected
                .into_iter()
                .zip(derived)
                .find(|((_, expected), derived)| expected == derived);
            let flow = match fits {
                Some((proof, _)) => engine.proven(conn, &account, proof, Shown::Password(password)),
                None => engine.sasl_failure(conn, AuthError::NotAuthorized, Some(&account)),
            };
            engine.go_on(conn, flow);
        });
        self.pause(conn);
        Ok(Flow::Pause)
    }

    /// The client knows the password that belongs to `keys`. From where it was guessed wrong too often it waits as long as another wrong guess
    /// would: else what comes at once would tell.
    fn proven(&mut self, conn: ConnId, account: &str, proof: Proof, shown: Shown) -> Flow {
        let Some(peer) = self.stream(conn).map(|stream| stream.peer) else {
            return Flow::Close;
        };
        let free = self.config.limits.login_rate;
        let wait_ms = self.throttle.succeeded(self.now.mono_ms, peer, free);
        let account = account.to_owned();
        self.after(conn, wait_ms, move |engine| {
            // Looked at when the wait is over. Only behind the right password does anybody hear of a lock.
            let known = match engine.account_with(&account, &proof) {
                Ok(known) => known,
                Err(error) => return engine.sasl_broken(conn, &error),
            };
            match (known, shown) {
                (None, _) => engine.sasl_failure(conn, AuthError::NotAuthorized, Some(&account)),
                (Some(known), _) if known.locked => engine.disabled(conn, &account),
                (Some(_), Shown::Proof(last)) => engine.logged_in(conn, &account, Some(&last)),
                (Some(_), Shown::Password(password)) => {
                    engine.complete_keys(&account, proof, password);
                    engine.logged_in(conn, &account, None)
                }
            }
        })
    }

    /// The account, if these are its keys now: they may be fakes, and passwords are changed and accounts deleted while a login is on its
    /// way (HOLES 36).
    pub(super) fn account_with(
        &self,
        account: &str,
        (hash, keys): &Proof,
    ) -> Result<Option<Account>, StoreError> {
        let known = self.store.account(account)?;
        Ok(known.filter(|known| known.keys(*hash) == Some(keys)))
    }

    /// The keys of an account, or what looks like them where there are none.
    fn keys_of(&self, known: Option<&Account>, name: &str, hash: Hash) -> ScramKeys {
        match known.and_then(|account| account.keys(hash)) {
            Some(keys) => keys.clone(),
            None => {
                auth::fake::keys_like(&self.store.secret(), name, hash, self.census.looks(hash))
            }
        }
    }

    /// The mechanisms and the types of channel binding that were offered on a stream.
    fn offer(&self, conn: ConnId) -> (Vec<Mechanism>, Vec<&'static str>) {
        let stream = self.stream(conn);
        let Some((tls, Stage::Negotiating(login))) =
            stream.and_then(|stream| Some((stream.tls.as_ref()?, &stream.stage)))
        else {
            return (Vec::new(), Vec::new());
        };
        (
            login.offered(&tls.binding).collect(),
            tls.binding.types().collect(),
        )
    }

    /// RFC 6120 §6.4.6: the stream starts anew, for somebody we know.
    fn logged_in(&mut self, conn: ConnId, account: &str, additional: Option<&str>) -> Flow {
        let Some(stream) = self.stream_mut(conn) else {
            return Flow::Close;
        };
        let Stage::Negotiating(login) = &mut stream.stage else {
            return Flow::Close;
        };
        login.account = Some(account.to_owned());
        stream.begin_anew();
        let peer = stream.peer;
        log::info!("{account} logged in from {peer}");
        let text = match additional {
            Some(last) => format!(
                "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</success>",
                auth::encode(last)
            ),
            None => "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(),
        };
        self.send(conn, &text);
        self.trace(|| format!("login: {account} is who it says"));
        Flow::Restart
    }

    /// RFC 6120 §6.5.2: the password is right, and the account locked.
    fn disabled(&mut self, conn: ConnId, account: &str) -> Flow {
        let peer = self.stream(conn).map(|stream| stream.peer);
        let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
        log::info!("{account:?} is locked: a login from {peer} was refused");
        self.trace(|| format!("login: {account} is locked"));
        let error = AuthError::AccountDisabled;
        let condition = error.condition();
        self.send(
            conn,
            &format!("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/></failure>"),
        );
        self.count_failure(conn, error)
    }

    /// RFC 6120 §6.4.5: the exchange failed. Where the password was wrong, the answer costs time.
    fn sasl_failure(&mut self, conn: ConnId, error: AuthError, account: Option<&str>) -> Flow {
        self.set_exchange(conn, None);
        let Some(peer) = self.stream(conn).map(|stream| stream.peer) else {
            return Flow::Close;
        };
        let text = format!(
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{}/></failure>",
            error.condition()
        );
        let wait_ms = match account {
            Some(account) => {
                log::warn!("login of {account:?} from {peer} failed: {error}");
                let free = self.config.limits.login_rate;
                self.throttle.failed(self.now.mono_ms, peer, account, free)
            }
            None => {
                log::info!("a login from {peer} failed: {error}");
                0
            }
        };
        self.trace(|| format!("login: refused, {error}"));
        self.after(conn, wait_ms, move |engine| {
            engine.send(conn, &text);
            engine.count_failure(conn, error)
        })
    }

    fn count_failure(&mut self, conn: ConnId, error: AuthError) -> Flow {
        let Some(stream) = self.stream_mut(conn) else {
            return Flow::Close;
        };
        let Stage::Negotiating(login) = &mut stream.stage else {
            return Flow::Close;
        };
        let (failures, tries) = match error {
            AuthError::UnsupportedChannelBinding | AuthError::OfferTampered => {
                (&mut login.binding_failures, limits::BINDING_TRIES)
            }
            _ => (&mut login.failures, limits::LOGIN_TRIES),
        };
        *failures += 1;
        if *failures < tries {
            return Flow::Continue;
        }
        self.end_stream(
            conn,
            StreamError::PolicyViolation,
            Some("too many failed logins"),
        )
    }

    /// The store did not answer: the client shall come again (RFC 6120 §6.5.11).
    fn sasl_broken(&mut self, conn: ConnId, error: &StoreError) -> Flow {
        log::error!("a login could not be checked: {error}");
        self.sasl_failure(conn, AuthError::TemporaryAuthFailure, None)
    }

    fn set_exchange(&mut self, conn: ConnId, exchange: Option<Exchange>) -> Option<Exchange> {
        let stream = self.stream_mut(conn)?;
        let Stage::Negotiating(login) = &mut stream.stage else {
            return None;
        };
        std::mem::replace(&mut login.exchange, exchange)
    }

    /// RFC 6120 §7.6, §7.7: the client asks for a resource, its own choice or ours.
    fn bind_request(&mut self, conn: ConnId, xml: Checked<'_>) -> Flow {
        let Some(account) = self.stream(conn).and_then(|stream| match &stream.stage {
            Stage::Negotiating(login) => login.account.clone(),
            _ => None,
        }) else {
            return Flow::Close;
        };
        let root = xml.root();
        let id = root.attr("id");
        let bind = root.child(ns::BIND, "bind");
        let for_us = |to: &Jid<'_>| {
            self.is_local(to) && (to.is_domain() || to.is_bare() && to.local() == Some(&account))
        };
        let to_us = root
            .attr("to")
            .is_none_or(|to| Jid::parse(&to).is_ok_and(|to| for_us(&to)));
        let (Some(bind), true, Some("set")) = (bind, to_us, root.attr("type").as_deref()) else {
            // RFC 6120 §7.1: nothing but binding, before it.
            return self.end_stream(
                conn,
                StreamError::NotAuthorized,
                Some("bind a resource first"),
            );
        };
        let Some(id) = id else {
            // RFC 6120 §8.2.3.
            return self.refuse_bind(conn, None, Condition::BadRequest.into());
        };
        let wanted = bind
            .child(ns::BIND, "resource")
            .map(|resource| resource.text())
            .filter(|text| !text.is_empty());
        let resource = match wanted {
            None => self.random.id(),
            Some(wanted) => match FullJid::new(Some(&account), &self.config.domain, &wanted) {
                Ok(jid) => jid.resource().to_owned(),
                // RFC 6120 §7.7.2.1: a resource that cannot be.
                Err(_) => return self.refuse_bind(conn, Some(&id), Condition::BadRequest.into()),
            },
        };
        self.bind_resource(conn, &account, &resource, &id)
    }

    fn bind_resource(&mut self, conn: ConnId, account: &str, resource: &str, id: &str) -> Flow {
        // RFC 6120 §7.7.2.2: the newer takes the place of the older, as users expect who come back over another network.
        if let Some(older) = self.session_at(account, resource) {
            let text = "another client took this resource";
            self.dismiss(older, StreamError::Conflict, text);
        }
        // RFC 6120 §7.6.2.1. One that only waits for its client gives way.
        if self.sessions_of(account).len() >= limits::RESOURCES_PER_ACCOUNT
            && !self.end_oldest_waiting(account)
        {
            return self.refuse_bind(conn, Some(id), Condition::ResourceConstraint.into());
        }
        match self.bind(conn, account, resource) {
            Ok(Some(session)) => self.bound(conn, session, id),
            // The account was deleted between login and here.
            Ok(None) => self.end_stream(conn, StreamError::NotAuthorized, None),
            Err(error) => {
                log::error!("a contact list could not be read: {error}");
                self.refuse_bind(conn, Some(id), Condition::InternalServerError.into())
            }
        }
    }

    fn bound(&mut self, conn: ConnId, session: SessionId, id: &str) -> Flow {
        let Some(jid) = self.session(session).map(|session| session.jid.clone()) else {
            return Flow::Close;
        };
        if let Some(stream) = self.stream_mut(conn) {
            stream.stage = Stage::Bound(session);
        }
        let text = written(|out| {
            out.start("iq").attr("id", id).attr("type", "result");
            out.start("bind")
                .attr("xmlns", ns::BIND)
                .leaf("jid", jid.as_str())
                .end();
            out.end();
        });
        self.send(conn, &text);
        self.trace(|| format!("bound {jid}"));
        self.wake_archive();
        self.tell(|row| row.bound, |engine, hook| hook(engine, session));
        Flow::Continue
    }

    fn refuse_bind(&mut self, conn: ConnId, id: Option<&str>, error: StanzaError) -> Flow {
        let text = written(|out| {
            out.start("iq").attr_opt("id", id).attr("type", "error");
            error.write(out);
            out.end();
        });
        self.send(conn, &text);
        Flow::Continue
    }
}
