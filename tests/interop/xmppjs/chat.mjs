export const title = "Chat both ways in order, with quoting-prone text, unicode and 60 KB; chat states, receipts and extensions unchanged";

const TEXTS = [
  "Grüße 你好 😀 \u{10FFFD}",
  "<>&'\"]]>",
  "&amp; &#60; <![CDATA[x]]>",
  "line one\nline two\n\ttab",
  "</body></message></stream:stream>",
];

export default async function scenario(stage) {
  const { xml } = stage;
  const anna = await stage.person("anna");
  const ben = await stage.person("ben");
  for (const [sender, receiver] of [
    [anna, ben],
    [ben, anna],
  ]) {
    for (let number = 0; number < 10; number += 1) await sender.message(receiver.bare, `letter ${number}`);
    const came = [];
    for (let number = 0; number < 10; number += 1) came.push(await receiver.receive("message", { from: sender.full, type: "chat" }));
    stage.equal(
      "bodies in order",
      came.map((_, number) => `letter ${number}`),
      came.map((one) => one.getChildText("body")),
    );
    for (const text of TEXTS) {
      await sender.message(receiver.full, text);
      stage.equal("text", text, (await receiver.receive("message", { from: sender.full })).getChildText("body"));
    }
    // ASCII: the library decodes each chunk from the socket by itself and breaks a character that lies across two.
    const large = "<& large".repeat(7_700);
    await sender.message(receiver.full, large);
    stage.true(
      "61 600 characters arrive unchanged",
      (await receiver.receive("message", { from: sender.full })).getChildText("body") === large,
    );
  }
  const extra = xml(
    "x:outer",
    { "xmlns:x": "urn:strange", "x:one": "1", two: "<é&'\">" },
    xml("inner", { xmlns: "urn:deep" }, "text & more"),
  );
  await anna.client.send(
    xml(
      "message",
      { to: ben.full, type: "chat", id: "m1" },
      xml("body", {}, "read?"),
      extra,
      xml("request", { xmlns: "urn:xmpp:receipts" }),
      xml("active", { xmlns: "http://jabber.org/protocol/chatstates" }),
    ),
  );
  const came = await ben.receive("message", { id: "m1" });
  stage.equal(
    "receipt request and chat state",
    ["urn:xmpp:receipts", "http://jabber.org/protocol/chatstates"],
    [came.getChild("request")?.attrs.xmlns, came.getChild("active")?.attrs.xmlns],
  );
  // A server may choose other prefixes for the same names.
  const outer = came.getChild("outer", "urn:strange");
  stage.equal("extension", ["<é&'\">", "text & more"], [outer?.attrs.two, outer?.getChildText("inner", "urn:deep")]);
  await ben.client.send(xml("message", { to: anna.full }, xml("received", { xmlns: "urn:xmpp:receipts", id: "m1" })));
  stage.equal(
    "receipt",
    "m1",
    (await anna.receive("message", { where: (one) => one.getChild("received", "urn:xmpp:receipts") })).getChild("received").attrs.id,
  );
  await anna.nothing("message");
  await ben.nothing("message");
}
