//! XEP-0157: Contact Addresses for XMPP Services, in the server's disco#info. Complete.

use crate::config::Config;
use crate::engine::feature::Feature;
use crate::xmpp::{Field, Form, FormType, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0157",
    title: "Contact Addresses for XMPP Services",
    server_form: Some(form),
    ..Feature::NONE
};

/// XEP-0157 §3; no form where the operator gives no address.
fn form(config: &Config) -> Option<Form> {
    let contact = &config.contact;
    let all = [
        ("abuse-addresses", &contact.abuse),
        ("admin-addresses", &contact.admin),
        ("feedback-addresses", &contact.feedback),
        ("sales-addresses", &contact.sales),
        ("security-addresses", &contact.security),
        ("status-addresses", &contact.status),
        ("support-addresses", &contact.support),
    ];
    let mut form = Form::new(FormType::Result).form_type(ns::SERVER_INFO);
    for (name, addresses) in all {
        if !addresses.is_empty() {
            let mut field = Field::new(name, None);
            field.values.clone_from(addresses);
            form = form.field(field);
        }
    }
    (form.fields.len() > 1).then_some(form)
}
