export const title = "A resource is bound as asked for or chosen by the server; binding it again ends the older session with conflict";

export default async function scenario(stage) {
  const older = await stage.person("anna", "phone");
  stage.equal("asked-for resource", `anna@${stage.domain}/phone`, older.full);
  const chosen = await stage.person("anna", null);
  stage.true("the server chose a resource", chosen.full.startsWith(`anna@${stage.domain}/`) && chosen.full !== older.full, chosen.full);
  const newer = await stage.person("anna", "phone");
  stage.equal("stream error of the older session", "conflict", await older.dropped());
  await chosen.message(newer.full, "still there?");
  stage.equal("the newer session works", chosen.full, (await newer.receive("message", { body: "still there?" })).attrs.from);
}
