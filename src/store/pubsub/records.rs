//! How nodes, items and those who have something to do with a node stand in the store.

use super::{Affiliate, Node, NodeAffiliation, NodeItem, NodeSubscription};
use crate::store::record::{RecordError, RecordReader, RecordWriter};

const NODE_VERSION: u8 = 1;
const ITEM_VERSION: u8 = 1;
const ID_VERSION: u8 = 1;
const AFFILIATE_VERSION: u8 = 1;

pub(super) fn encode_node(node: &Node) -> Vec<u8> {
    let mut writer = RecordWriter::new(NODE_VERSION);
    writer
        .u32(node.number)
        .text(&node.name)
        .text(&node.creator)
        .u64(node.created_ms)
        .u32(node.items)
        .u64(node.bytes)
        .u64(node.next)
        .u64(node.first)
        .u64(node.stale)
        .u32(node.settings.len() as u32);
    for (name, value) in &node.settings {
        writer.text(name).text(value);
    }
    writer.finish()
}

pub(super) fn decode_node(value: &[u8]) -> Result<Node, RecordError> {
    let mut reader = RecordReader::new(value, NODE_VERSION)?;
    let mut node = Node {
        number: reader.u32()?,
        name: reader.text()?.to_owned(),
        creator: reader.text()?.to_owned(),
        created_ms: reader.u64()?,
        items: reader.u32()?,
        bytes: reader.u64()?,
        next: reader.u64()?,
        first: reader.u64()?,
        stale: reader.u64()?,
        settings: Vec::new(),
    };
    for _ in 0..reader.u32()? {
        let name = reader.text()?.to_owned();
        node.settings.push((name, reader.text()?.to_owned()));
    }
    reader.end()?;
    Ok(node)
}

pub(super) fn encode_item(item: &NodeItem) -> Vec<u8> {
    let mut writer = RecordWriter::new(ITEM_VERSION);
    writer
        .text(&item.id)
        .text(&item.publisher)
        .u64(item.at_ms)
        .text(&item.xml);
    writer.finish()
}

pub(super) fn decode_item(value: &[u8]) -> Result<NodeItem, RecordError> {
    let mut reader = RecordReader::new(value, ITEM_VERSION)?;
    let item = NodeItem {
        id: reader.text()?.to_owned(),
        publisher: reader.text()?.to_owned(),
        at_ms: reader.u64()?,
        xml: reader.text()?.to_owned(),
    };
    reader.end()?;
    Ok(item)
}

pub(super) fn encode_place(place: u64) -> Vec<u8> {
    let mut writer = RecordWriter::new(ID_VERSION);
    writer.u64(place);
    writer.finish()
}

pub(super) fn decode_place(value: &[u8]) -> Result<u64, RecordError> {
    let mut reader = RecordReader::new(value, ID_VERSION)?;
    let place = reader.u64()?;
    reader.end()?;
    Ok(place)
}

const AFFILIATIONS: [NodeAffiliation; 6] = [
    NodeAffiliation::Outcast,
    NodeAffiliation::None,
    NodeAffiliation::Member,
    NodeAffiliation::Publisher,
    NodeAffiliation::Owner,
    NodeAffiliation::PublishOnly,
];

pub(super) fn encode_affiliate(affiliate: &Affiliate) -> Vec<u8> {
    let mut writer = RecordWriter::new(AFFILIATE_VERSION);
    writer
        .text(&affiliate.jid)
        .byte(affiliate.affiliation as u8)
        .u32(affiliate.subscriptions.len() as u32);
    for subscription in &affiliate.subscriptions {
        writer
            .text(&subscription.resource)
            .flag(subscription.pending);
    }
    writer.finish()
}

pub(super) fn decode_affiliate(value: &[u8]) -> Result<Affiliate, RecordError> {
    let mut reader = RecordReader::new(value, AFFILIATE_VERSION)?;
    let jid = reader.text()?.to_owned();
    let affiliation = *AFFILIATIONS
        .get(usize::from(reader.byte()?))
        .ok_or(RecordError::Damaged)?;
    let mut subscriptions = Vec::new();
    for _ in 0..reader.u32()? {
        subscriptions.push(NodeSubscription {
            resource: reader.text()?.to_owned(),
            pending: reader.flag()?,
        });
    }
    reader.end()?;
    Ok(Affiliate {
        jid,
        affiliation,
        subscriptions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::tests::no_bytes_panic;

    #[test]
    fn any_bytes_are_a_record_or_an_error() {
        let mut node = Node::new("urn:x", "a@b", 3);
        node.settings = vec![("access_model".to_owned(), "open".to_owned())];
        no_bytes_panic(&encode_node(&node), |bytes| {
            decode_node(bytes).map(|node| encode_node(&node))
        });
        let item = NodeItem {
            id: "i".to_owned(),
            publisher: "a@b".to_owned(),
            at_ms: 9,
            xml: "<a/>".to_owned(),
        };
        no_bytes_panic(&encode_item(&item), |bytes| {
            decode_item(bytes).map(|item| encode_item(&item))
        });
        let affiliate = Affiliate {
            jid: "a@b".to_owned(),
            affiliation: NodeAffiliation::Owner,
            subscriptions: vec![NodeSubscription {
                resource: "r".to_owned(),
                pending: false,
            }],
        };
        no_bytes_panic(&encode_affiliate(&affiliate), |bytes| {
            decode_affiliate(bytes).map(|affiliate| encode_affiliate(&affiliate))
        });
    }
}
