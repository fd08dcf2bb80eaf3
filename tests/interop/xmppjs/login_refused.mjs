export const title = "A wrong password and an unknown user are refused with not-authorized, alike";

export default async function scenario(stage) {
  await stage.account("anna", "right");
  for (const mechanism of ["SCRAM-SHA-1", "PLAIN"]) {
    stage.equal(`${mechanism}, wrong password`, "not-authorized", await stage.refused("anna", { password: "wrong", mechanism }));
    stage.equal(`${mechanism}, unknown user`, "not-authorized", await stage.refused("nobody", { password: "right", mechanism }));
  }
  const anna = await stage.person("anna");
  stage.equal("the right password still gets in", `anna@${stage.domain}/phone`, anna.full);
}
