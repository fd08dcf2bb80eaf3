//! XEP-0377: Blocking Command Reports. A report beside a block goes to the operator's log and nowhere else; the JID is blocked whatever the report says.

use crate::engine::Engine;
use crate::engine::feature::Feature;
use crate::engine::session::SessionId;
use crate::limits;
use crate::xml::Element;
use crate::xmpp::{Jid, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0377",
    title: "Blocking Command Reports",
    leaves_out: "forwarding (§5): reports go to the log",
    server_features: &[ns::REPORTING],
    blocked: Some(report),
    ..Feature::NONE
};

/// XEP-0377 §6: somebody was blocked, perhaps with a report. An item has one; of more, the first counts.
fn report(engine: &mut Engine, session: SessionId, jid: &Jid<'_>, item: Element<'_>) {
    let Some(report) = item.child(ns::REPORTING, "report") else {
        return;
    };
    let Some(reporter) = engine.user_of(session).map(|user| user.jid.clone()) else {
        return;
    };
    match sentence(reporter.as_str(), jid.as_str(), report) {
        Some(sentence) => {
            log::warn!("{sentence}");
            engine.trace(|| "report: logged".to_owned());
        }
        None => engine.trace(|| "report: without a reason, ignored".to_owned()),
    }
}

/// The report as one line of the log; `None` without a reason, which it must have (§4). Whatever the reporter chose is quoted, escaped and cut.
fn sentence(reporter: &str, jid: &str, report: Element<'_>) -> Option<String> {
    let reason = report.attr("reason")?;
    let reason = match reason.trim() {
        "" => return None,
        "urn:xmpp:reporting:spam" => "spam".to_owned(),
        "urn:xmpp:reporting:abuse" => "abuse".to_owned(),
        other => quoted(other),
    };
    let mut sentence = format!("{} reports {} for {reason}", quoted(reporter), quoted(jid));
    // §4: in several languages it is one text all the same.
    if let Some(text) = report.child(ns::REPORTING, "text") {
        let text = text.text();
        if !text.trim().is_empty() {
            sentence.push_str(&format!(": {}", quoted(text.trim())));
        }
    }
    let ids = || {
        report
            .children()
            .filter(|child| child.is(ns::STANZA_ID, "stanza-id"))
            .filter_map(|child| child.attr("id"))
    };
    let shown: Vec<String> = ids()
        .take(limits::REPORT_IDS)
        .map(|id| quoted(&id))
        .collect();
    if !shown.is_empty() {
        sentence.push_str(&format!("; messages: {}", shown.join(", ")));
        let more = ids().count() - shown.len();
        if more > 0 {
            sentence.push_str(&format!(" and {more} more"));
        }
    }
    // §5: an operator who passes it on must know where it may go.
    let to_origin = report.child(ns::REPORTING, "report-origin").is_some();
    let to_others = report.child(ns::REPORTING, "third-party").is_some();
    sentence.push_str(match (to_origin, to_others) {
        (false, false) => "; to be passed on to nobody",
        (true, false) => "; may be passed on to the reported account's server",
        (false, true) => "; may be passed on to third parties",
        (true, true) => "; may be passed on to the reported account's server and to third parties",
    });
    Some(sentence)
}

/// A text in quotes on one line: control characters escaped, of bounded length.
fn quoted(text: &str) -> String {
    let mut end = text.len().min(limits::REPORT_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < text.len() { " (cut)" } else { "" };
    format!("{:?}{cut}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    fn said(report: &str) -> Option<String> {
        let document = Document::parse(report.to_owned()).expect("the test's XML");
        sentence("anna@chat.test", "eve@chat.test", document.root())
    }

    #[test]
    fn all_that_a_report_says_is_one_line() {
        assert_eq!(
            said("<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/>")
                .as_deref(),
            Some(r#""anna@chat.test" reports "eve@chat.test" for spam; to be passed on to nobody"#)
        );
        assert_eq!(
            said("<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:abuse'>\
                <stanza-id xmlns='urn:xmpp:sid:0' by='chat.test' id='1'/><stanza-id xmlns='urn:xmpp:sid:0' by='chat.test' id='&#10;2'/>\
                <text xml:lang='en'> Never came\ntrouble &lt;b&gt; \u{202e}</text><text xml:lang='de'>Nie</text><report-origin/><third-party/></report>")
            .as_deref(),
            Some(
                r#""anna@chat.test" reports "eve@chat.test" for abuse: "Never came\ntrouble <b> \u{202e}"; messages: "1", "\n2"; may be passed on to the reported account's server and to third parties"#
            )
        );
    }

    #[test]
    fn a_report_needs_a_reason() {
        assert_eq!(said("<report xmlns='urn:xmpp:reporting:1'/>"), None);
        assert_eq!(
            said("<report xmlns='urn:xmpp:reporting:1' reason=' '/>"),
            None
        );
        assert_eq!(
            said(
                "<report xmlns='urn:xmpp:reporting:1' reason='urn:x&#10;y'><third-party/></report>"
            )
            .as_deref(),
            Some(
                r#""anna@chat.test" reports "eve@chat.test" for "urn:x\ny"; may be passed on to third parties"#
            )
        );
    }

    #[test]
    fn a_report_is_bounded() {
        let ids =
            "<stanza-id xmlns='urn:xmpp:sid:0' by='a' id='x'/>".repeat(limits::REPORT_IDS + 3);
        let text = "ä".repeat(limits::REPORT_TEXT_BYTES);
        let said = said(&format!(
            "<report xmlns='urn:xmpp:reporting:1' reason='r'>{ids}<text>{text}</text></report>"
        ))
        .expect("a sentence");
        assert!(said.len() < 2 * limits::REPORT_TEXT_BYTES, "{}", said.len());
        assert!(said.contains("ä\" (cut)") && said.contains(" and 3 more"));
    }
}
