export const title = "Three messages for an absent user wait in order with a delay stamp and come once";

export default async function scenario(stage) {
  const anna = await stage.person("anna");
  await stage.account("ben");
  const ben = `ben@${stage.domain}`;
  for (const number of [1, 2, 3]) await anna.message(ben, `letter ${number} <&> ☕`);
  if (stage.server !== "prosody") {
    // it keeps chat states
    await anna.client.send(
      stage.xml("message", { to: ben, type: "chat" }, stage.xml("composing", { xmlns: "http://jabber.org/protocol/chatstates" })),
    );
  }
  await anna.settle();
  const back = await stage.person("ben");
  for (const number of [1, 2, 3]) {
    const came = await back.receive("message");
    stage.equal(
      "body, sender, type",
      [`letter ${number} <&> ☕`, anna.full, "chat"],
      [came.getChildText("body"), came.attrs.from, came.attrs.type],
    );
    const stamp = came.getChild("delay", "urn:xmpp:delay")?.attrs.stamp;
    stage.true("delay stamp of now", Math.abs(Date.parse(stamp) - Date.now()) < 30_000, stamp);
  }
  await back.nothing("message");
  await back.logout();
  await (await stage.person("ben")).nothing("message");
}
