//! What an entity is and can, as a value (XEP-0030 §3.1 with the forms of XEP-0128), and the hash of it (XEP-0115 §5.1).

use super::Engine;
use crate::auth;
use crate::xml::{Element, written};
use crate::xmpp::{Form, form, ns};
use ring::digest::{self, Algorithm};
use std::collections::HashSet;

/// The `node` of the server's capabilities (XEP-0115 §4): a URI that stands for the software.
pub const NODE: &str = "snug:server";

/// An answer to a question of service discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// What it is.
    pub identities: Vec<Identity>,
    /// What it can.
    pub features: Vec<String>,
    /// More about it (XEP-0128).
    pub forms: Vec<Form>,
}

/// What a node of the server is, can and contains (XEP-0030 §3.2, §4.2).
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// What it is and can.
    pub info: Info,
    /// What it contains.
    pub items: Vec<Item>,
}

/// One of the things that a node contains (XEP-0030 §4.1).
#[derive(Clone, Debug)]
pub struct Item {
    /// Its address.
    pub jid: String,
    /// Its node at that address; empty where it is the address itself.
    pub node: String,
    /// For people; empty where there is none.
    pub name: String,
}

impl Node {
    /// The `<query/>` that lists what it contains, about the node that was asked for.
    pub fn items_payload(&self, node: Option<&str>) -> String {
        let given = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
        written(|out| {
            out.start("query")
                .attr("xmlns", ns::DISCO_ITEMS)
                .attr_opt("node", node);
            for item in &self.items {
                out.start("item")
                    .attr("jid", &item.jid)
                    .attr_opt("node", given(&item.node).as_deref())
                    .attr_opt("name", given(&item.name).as_deref())
                    .end();
            }
            out.end();
        })
    }
}

/// One thing that an entity is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// `server`, `client`, ….
    pub category: String,
    /// `im`, `phone`, ….
    pub kind: String,
    /// The language of its name; empty where it is not said.
    pub lang: String,
    /// What people may read; empty without one.
    pub name: String,
}

impl Info {
    /// Reads the content of a `<query/>`; `None` where it is ill-formed (XEP-0115 §5.4: something stands there twice).
    pub fn read(query: &Element<'_>) -> Option<Info> {
        let mut info = Info::default();
        for child in query.children() {
            let attr = |name| child.attr(name).unwrap_or_default().into_owned();
            if child.is(ns::DISCO_INFO, "identity") {
                info.identities.push(Identity {
                    category: attr("category"),
                    kind: attr("type"),
                    lang: attr("xml:lang"),
                    name: attr("name"),
                });
            } else if child.is(ns::DISCO_INFO, "feature") {
                info.features.push(attr("var"));
            } else if child.is(form::NS, "x") {
                info.forms.push(Form::read(&child).ok()?);
            }
        }
        // §5.4: a form that does not say in a hidden field whose it is counts for nothing.
        info.forms.retain(|form| {
            form.get("FORM_TYPE").is_some_and(|field| {
                field.kind == Some(form::FieldType::Hidden) && !field.values.is_empty()
            })
        });
        info.is_well_formed().then_some(info)
    }

    /// XEP-0115 §5.4, points 3 to 5 of the third.
    fn is_well_formed(&self) -> bool {
        let mut identities = HashSet::new();
        let mut features = HashSet::new();
        let mut forms = HashSet::new();
        self.identities
            .iter()
            .all(|one| identities.insert(one.text()))
            && self.features.iter().all(|one| features.insert(one))
            && self.forms.iter().all(|one| {
                let types = one.values("FORM_TYPE");
                types.iter().all(|name| *name == types[0]) && forms.insert(one.type_name())
            })
    }

    /// The `<query/>` of an answer, about the node that was asked for.
    pub fn payload(&self, node: Option<&str>) -> String {
        written(|out| {
            out.start("query")
                .attr("xmlns", ns::DISCO_INFO)
                .attr_opt("node", node);
            for identity in &self.identities {
                let said = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
                out.start("identity")
                    .attr("category", &identity.category)
                    .attr_opt("name", said(&identity.name).as_deref())
                    .attr("type", &identity.kind)
                    .attr_opt("xml:lang", said(&identity.lang).as_deref())
                    .end();
            }
            for feature in &self.features {
                out.start("feature").attr("var", feature).end();
            }
            for form in &self.forms {
                form.write(out);
            }
            out.end();
        })
    }

    /// XEP-0115 §5.1: the text S that is hashed. All that an entity said stands in it between `<`.
    pub fn text(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(sorted(self.identities.iter().map(Identity::text)));
        parts.extend(sorted(self.features.iter().cloned()));
        let mut forms: Vec<&Form> = self.forms.iter().collect();
        forms.sort_by(|a, b| a.type_name().cmp(&b.type_name()));
        for form in forms {
            parts.extend(form.type_name().map(str::to_owned));
            let mut fields: Vec<_> = form
                .fields
                .iter()
                .filter(|field| field.var != "FORM_TYPE")
                .collect();
            fields.sort_by(|a, b| a.var.cmp(&b.var));
            for field in fields {
                parts.push(field.var.clone());
                parts.extend(sorted(field.values.iter().cloned()));
            }
        }
        let mut text = String::new();
        for part in parts {
            text.push_str(&part);
            text.push('<');
        }
        text
    }
}

impl Identity {
    /// CATEGORY '/' TYPE '/' LANG '/' NAME.
    fn text(&self) -> String {
        let Identity {
            category,
            kind,
            lang,
            name,
        } = self;
        format!("{category}/{kind}/{lang}/{name}")
    }
}

/// Whether this is the name of a hash that can be verified here.
pub fn is_known_hash(name: &str) -> bool {
    algorithm(name).is_some()
}

/// The verification string of a text S; `None` for a hash that is not known here. XEP-0115 §11.1 asks for SHA-1.
pub fn verification(hash: &str, text: &str) -> Option<String> {
    let hashed = digest::digest(algorithm(hash)?, text.as_bytes());
    Some(auth::encode(hashed.as_ref()))
}

/// Names as in the registry of hash functions (XEP-0300).
fn algorithm(name: &str) -> Option<&'static Algorithm> {
    match name {
        "sha-1" => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        "sha-256" => Some(&digest::SHA256),
        "sha-384" => Some(&digest::SHA384),
        "sha-512" => Some(&digest::SHA512),
        _ => None,
    }
}

/// By bytes: "i;octet" (RFC 4790 §9.3).
fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<String> = texts.collect();
    texts.sort();
    texts
}

impl Engine {
    /// What the server is and can, out of the table of features.
    pub fn server_info(&self) -> Info {
        let mut features: Vec<String> = Vec::new();
        for feature in self.rows_on().flat_map(|row| row.server_features) {
            if !features.iter().any(|known| known == feature) {
                features.push((*feature).to_owned());
            }
        }
        Info {
            identities: std::iter::once(Identity {
                category: "server".to_owned(),
                kind: "im".to_owned(),
                lang: String::new(),
                name: "snug".to_owned(),
            })
            .chain(
                self.rows_on()
                    .flat_map(|row| row.server_identities)
                    .map(|(category, kind)| Identity {
                        category: (*category).to_owned(),
                        kind: (*kind).to_owned(),
                        ..Identity::default()
                    }),
            )
            .collect(),
            features,
            forms: self
                .rows_on()
                .filter_map(|row| row.server_form)
                .filter_map(|form| form(&self.config))
                .collect(),
        }
    }

    /// The verification string of the server's capabilities, by SHA-1.
    pub fn server_verification(&self) -> &str {
        // Every login needs it, and only the configuration changes it.
        self.own_verification.get_or_init(|| {
            verification("sha-1", &self.server_info().text()).expect("SHA-1 is among the hashes")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    fn read(inside: &str) -> Option<Info> {
        let text = format!("<query xmlns='{}'>{inside}</query>", ns::DISCO_INFO);
        Info::read(&Document::parse(text).unwrap().root())
    }

    const FEATURES: &str = "<feature var='http://jabber.org/protocol/muc'/><feature var='http://jabber.org/protocol/caps'/>\
        <feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/>";

    #[test]
    fn the_examples_of_the_specification_have_its_hashes() {
        let simple = read(&format!(
            "<identity category='client' name='Exodus 0.9.1' type='pc'/>{FEATURES}"
        ))
        .unwrap();
        assert_eq!(
            verification("sha-1", &simple.text()).as_deref(),
            Some("QgayPKawpkPSDYmwT/WM94uAlu0=")
        );
        let complex = read(&format!(
            "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
             <identity xml:lang='el' category='client' name='&#936; 0.11' type='pc'/>{FEATURES}\
             <x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
             <field var='software_version'><value>0.11</value></field><field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>\
             <field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>\
             <field var='software'><value>Psi</value></field></x>"
        ))
        .unwrap();
        assert_eq!(
            verification("sha-1", &complex.text()).as_deref(),
            Some("q07IKJEyjvHSyhy//CH0CxmKi8w=")
        );
        assert_eq!(verification("md5", "a"), None);
        // What is written is read, and hashes the same.
        let again = Document::parse(complex.payload(Some("a#b"))).unwrap();
        assert_eq!(Info::read(&again.root()), Some(complex));
    }

    #[test]
    fn what_stands_twice_is_ill_formed() {
        let form = |name: &str| {
            format!(
                "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'>{name}</field></x>"
            )
        };
        let one = form("<value>urn:a</value>");
        assert!(read(&format!("{one}{}", form("<value>urn:b</value>"))).is_some());
        for twice in [
            "<feature var='a'/><feature var='a'/>".to_owned(),
            "<identity category='a' type='b'/><identity category='a' type='b'/>".to_owned(),
            format!("{one}{one}"),
            form("<value>urn:a</value><value>urn:b</value>"),
        ] {
            assert_eq!(read(&twice), None, "{twice}");
        }
        // §5.4: not hidden, or without the field: as if it were not there.
        let ignored = "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE'><value>urn:a</value></field></x>\
                       <x xmlns='jabber:x:data' type='result'><field var='b'><value>c</value></field></x><feature var='a'/>";
        assert_eq!(read(ignored).unwrap().text(), "a<");
    }
}
