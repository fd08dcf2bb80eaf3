export const title = "A restart: the client gets system-shutdown; roster, waiting messages and accounts are there afterwards";

export default async function scenario(stage) {
  const anna = await stage.person("anna");
  const ben = await stage.person("ben");
  await stage.friends(anna, ben);
  await ben.logout();
  await anna.message(ben.bare, "before the restart");
  await anna.settle();
  await stage.request("stop");
  const said = await anna.dropped();
  // Prosody 0.12 sometimes ends before its last words are written.
  stage.true("the stop is announced with system-shutdown", said === "system-shutdown" || (stage.server === "prosody" && said === ""), said);
  await stage.request("start");
  const again = await stage.person("anna");
  stage.equal("roster", "both", (await again.roster())[ben.bare]?.subscription);
  const back = await stage.person("ben");
  stage.equal("waiting message", "before the restart", (await back.receive("message")).getChildText("body"));
  stage.equal("presence", back.full, (await again.receive("presence", { from: back.full, type: "" })).attrs.from);
}
