//! XEP-0059: a result set in pages, as values: which page is asked for, and which part of the whole an answer is. Who answers decides what the ids
//! mean, how many fit into a page, and whether counting is cheap enough.

use super::error::{Condition, StanzaError};
use crate::xml::{Element, Writer};

/// The namespace of XEP-0059.
pub const NS: &str = "http://jabber.org/protocol/rsm";

/// Which page is asked for. The default asks for the first one, of the answerer's length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// The most items that are wanted; 0 asks for the count alone (§2.7).
    pub max: Option<usize>,
    /// Behind the item of this id (§2.2).
    pub after: Option<String>,
    /// Before the item of this id (§2.3), the nearest ones; empty: the last page (§2.5).
    pub before: Option<String>,
    /// From this place, counted from 0 (§2.6).
    pub index: Option<u64>,
}

/// Which part of a result set an answer is. The default is a page without anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page<'a> {
    /// Ids of the first and the last item; none where there is no item (§2.2).
    pub ends: Option<(&'a str, &'a str)>,
    /// The place of the first item in the whole, where it is known.
    pub index: Option<u64>,
    /// How many items the whole has, where it is known.
    pub count: Option<u64>,
}

impl PageRequest {
    /// What stands among the children of a request, if anything. `bad-request` where a number is none; one that is too large for anybody counts as very
    /// large.
    pub fn of(parent: &Element<'_>) -> Result<Option<PageRequest>, StanzaError> {
        let Some(set) = parent.child(NS, "set") else {
            return Ok(None);
        };
        let text = |name: &str| {
            set.child(NS, name)
                .map(|child| child.text().trim().to_owned())
        };
        let number = |name: &str| text(name).map(|text| read_number(&text)).transpose();
        Ok(Some(PageRequest {
            max: number("max")?.map(|max| usize::try_from(max).unwrap_or(usize::MAX)),
            // §2.2: without an id it begins before the first item.
            after: text("after").filter(|id| !id.is_empty()),
            before: text("before"),
            index: number("index")?,
        }))
    }

    /// Whether the page is counted from its end (§2.3, §2.5).
    pub fn is_backward(&self) -> bool {
        self.before.is_some()
    }
}

impl Page<'_> {
    /// Writes `<set/>`.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.start("set").attr("xmlns", NS);
        if let Some((first, last)) = self.ends {
            out.start("first")
                .attr_opt(
                    "index",
                    self.index.map(|index| index.to_string()).as_deref(),
                )
                .text(first)
                .end();
            out.leaf("last", last);
        }
        if let Some(count) = self.count {
            out.leaf("count", &count.to_string());
        }
        out.end();
    }
}

/// A number of the schema's type, without a sign.
fn read_number(text: &str) -> Result<u64, StanzaError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(number),
        Err(_) if digits => Ok(u64::MAX),
        _ => Err(StanzaError::text(
            Condition::BadRequest,
            "a number of items was expected",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Document, written};

    fn read(inside: &str) -> Result<Option<PageRequest>, StanzaError> {
        let text = format!("<query xmlns='urn:q'>{inside}</query>");
        PageRequest::of(&Document::parse(text).expect("XML").root())
    }

    fn asked(inside: &str) -> PageRequest {
        read(&format!("<set xmlns='{NS}'>{inside}</set>"))
            .expect("it can be read")
            .expect("it is there")
    }

    #[test]
    fn every_request_of_the_xep_is_read() {
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("<set xmlns='urn:other'/>"), Ok(None));
        assert_eq!(asked(""), PageRequest::default());
        let max = |max| PageRequest {
            max: Some(max),
            ..PageRequest::default()
        };
        assert_eq!(asked("<max>10</max>"), max(10));
        assert_eq!(asked("<max>\n 0 </max>"), max(0));
        assert_eq!(asked("<max>99999999999999999999</max>"), max(usize::MAX));
        let second = asked("<max>10</max><after>peterpan@neverland.lit</after>");
        assert_eq!(second.after.as_deref(), Some("peterpan@neverland.lit"));
        assert!(!second.is_backward());
        assert_eq!(asked("<after/>"), PageRequest::default());
        let back = asked("<max>10</max><before>peter@pixyland.org</before>");
        assert_eq!(back.before.as_deref(), Some("peter@pixyland.org"));
        assert!(back.is_backward());
        let last = asked("<max>10</max><before/>");
        assert_eq!(
            (last.before.as_deref(), last.is_backward()),
            (Some(""), true)
        );
        assert_eq!(asked("<max>10</max><index>371</index>").index, Some(371));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for inside in [
            "<max/>",
            "<max>ten</max>",
            "<max>-1</max>",
            "<max>+1</max>",
            "<max>1.5</max>",
            "<index>x</index>",
        ] {
            let refused = read(&format!("<set xmlns='{NS}'>{inside}</set>"));
            let condition = refused.expect_err(inside).condition;
            assert_eq!(condition, Condition::BadRequest, "{inside}");
        }
    }

    #[test]
    fn answers_are_written_as_the_xep_writes_them() {
        let write = |page: Page<'_>| written(|out| page.write(out));
        assert_eq!(
            write(Page {
                ends: Some(("a<b", "c")),
                index: Some(0),
                count: Some(800),
            }),
            format!(
                "<set xmlns='{NS}'><first index='0'>a&lt;b</first><last>c</last><count>800</count></set>"
            )
        );
        assert_eq!(
            write(Page {
                ends: Some(("a", "a")),
                ..Page::default()
            }),
            format!("<set xmlns='{NS}'><first>a</first><last>a</last></set>")
        );
        assert_eq!(
            write(Page {
                count: Some(790),
                ..Page::default()
            }),
            format!("<set xmlns='{NS}'><count>790</count></set>")
        );
        assert_eq!(write(Page::default()), format!("<set xmlns='{NS}'/>"));
    }
}
