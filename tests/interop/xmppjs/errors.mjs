export const title =
  "Missing users and resources and unknown namespaces are answered with service-unavailable; the server answers ping, version, time, disco";

export default async function scenario(stage) {
  const { xml } = stage;
  const anna = await stage.person("anna");
  const ben = await stage.person("ben");
  const nobody = `nobody@${stage.domain}`;
  await anna.message(nobody, "hello?");
  const error = await anna.receive("message", { from: nobody, type: "error" });
  stage.equal("message to a missing user", "service-unavailable", error.getChild("error").getChildElements()[0].name);
  const unknown = () => xml("query", { xmlns: "urn:nobody:knows" });
  for (const [what, to] of [
    ["a missing user", nobody],
    ["a missing resource", `${ben.bare}/nowhere`],
    ["the server", stage.domain],
    ["an account", ben.bare],
  ]) {
    stage.equal(`unknown IQ to ${what}`, "service-unavailable", await anna.answer("get", to, unknown()));
  }
  // RFC 6121 §8.5.3.1: a request reaches only who shows itself to the asker.
  await ben.presence({ to: anna.full });
  await anna.receive("presence", { from: ben.full });
  stage.equal("an IQ that the other client does not know", "service-unavailable", await anna.answer("get", ben.full, unknown()));
  stage.equal("ping to the other client", "result", await anna.answer("get", ben.full, xml("ping", { xmlns: "urn:xmpp:ping" })));

  const ask = (name, xmlns) => anna.client.iqCaller.get(xml(name, { xmlns }), stage.domain, 8_000);
  stage.equal("ping", "result", await anna.answer("get", stage.domain, xml("ping", { xmlns: "urn:xmpp:ping" })));
  stage.true("version", (await ask("query", "jabber:iq:version")).getChildText("name").toLowerCase().includes(stage.server));
  const utc = (await ask("time", "urn:xmpp:time")).getChildText("utc");
  stage.true("time within a minute", Math.abs(Date.parse(utc) - Date.now()) < 60_000, utc);
  const info = await ask("query", "http://jabber.org/protocol/disco#info");
  stage.true(
    "identity",
    info.getChildren("identity").some(({ attrs }) => attrs.category === "server" && attrs.type === "im"),
    info.toString(),
  );
  const features = info.getChildren("feature").map(({ attrs }) => attrs.var);
  stage.true(
    "features",
    ["urn:xmpp:ping", "urn:xmpp:time", "jabber:iq:version"].every((name) => features.includes(name)),
    features,
  );
  stage.equal("items", "query", (await ask("query", "http://jabber.org/protocol/disco#items")).name);
}
