export const title =
  "Subscribe to each other, see each other come, change and go, rename, unsubscribe, remove, with pushes to a second resource";

export default async function scenario(stage) {
  const anna = await stage.person("anna");
  const desk = await stage.person("anna", "desk");
  const ben = await stage.person("ben");
  for (const person of [anna, desk, ben]) person.unread.length = 0;

  await anna.presence({ to: ben.bare, type: "subscribe" });
  for (const person of [anna, desk]) await person.push(ben.bare, { subscription: "none", ask: "subscribe" });
  await ben.receive("presence", { from: anna.bare, type: "subscribe" });
  await ben.presence({ to: anna.bare, type: "subscribed" });
  await ben.push(anna.bare, { subscription: "from" });
  for (const person of [anna, desk]) {
    await person.receive("presence", { from: ben.bare, type: "subscribed" });
    await person.push(ben.bare, { subscription: "to", ask: "" });
    stage.equal(`${person.full} sees ben`, ben.full, (await person.receive("presence", { from: ben.full, type: "" })).attrs.from);
  }
  await ben.presence({ to: anna.bare, type: "subscribe" });
  await anna.receive("presence", { from: ben.bare, type: "subscribe" });
  await anna.presence({ to: ben.bare, type: "subscribed" });
  for (const person of [anna, desk]) await person.push(ben.bare, { subscription: "both" });
  await ben.push(anna.bare, { subscription: "both" });
  for (const full of [anna.full, desk.full]) await ben.receive("presence", { from: full, type: "" });

  for (const person of [ben, anna]) await person.settle();
  anna.unread.length = 0;
  await ben.presence({}, stage.xml("show", {}, "away"), stage.xml("status", {}, "Tee & <Kekse> ☕"));
  const status = await anna.receive("presence", { from: ben.full, type: "" });
  stage.equal("status change", ["away", "Tee & <Kekse> ☕"], [status.getChildText("show"), status.getChildText("status")]);

  const item = stage.xml("item", { jid: ben.bare, name: 'Ben <&> "☕"' }, stage.xml("group", {}, "Haus"));
  stage.equal("rename", "result", await anna.answer("set", undefined, stage.xml("query", { xmlns: "jabber:iq:roster" }, item)));
  for (const person of [anna, desk]) {
    const pushed = await person.push(ben.bare, { name: 'Ben <&> "☕"', subscription: "both" });
    stage.equal("group", "Haus", pushed.getChildText("group"));
  }

  await ben.logout();
  for (const person of [anna, desk]) await person.receive("presence", { from: ben.full, type: "unavailable" });
  const back = await stage.person("ben");
  await anna.receive("presence", { from: back.full, type: "" });

  await anna.presence({ to: ben.bare, type: "unsubscribe" });
  for (const person of [anna, desk]) await person.push(ben.bare, { subscription: "from" });
  await back.push(anna.bare, { subscription: "to" });
  const gone = stage.xml("item", { jid: ben.bare, subscription: "remove" });
  stage.equal("removal", "result", await anna.answer("set", undefined, stage.xml("query", { xmlns: "jabber:iq:roster" }, gone)));
  for (const person of [anna, desk]) await person.push(ben.bare, { subscription: "remove" });
  await back.push(anna.bare, { subscription: "none" });
  stage.equal("anna's roster at the end", {}, await anna.roster());
}
