export const title = "In-band registration before login, password change, the old password refused, removal of the account";

export default async function scenario(stage) {
  const { xml } = stage;
  const query = (...children) => xml("query", { xmlns: "jabber:iq:register" }, ...children);
  const fields = (username, password) => query(xml("username", {}, username), xml("password", {}, password));
  const before = async (person) => {
    const form = await person.client.iqCaller.get(query(), undefined, 8_000);
    stage.true("the form asks for user name and password", form.getChild("username") && form.getChild("password"), form.toString());
    stage.equal("registered", "result", await person.answer("set", undefined, fields("clara", "first")));
  };
  const clara = await stage.person("clara", "phone", { password: "first", before });
  stage.equal("logged in on the stream that registered", `clara@${stage.domain}/phone`, clara.full);
  stage.equal("password change", "result", await clara.answer("set", stage.domain, fields("clara", "second")));
  stage.equal("the old password", "not-authorized", await stage.refused("clara", { password: "first", mechanism: "SCRAM-SHA-1" }));
  const other = await stage.person("clara", "other", { password: "second" });
  stage.equal("the new password", `clara@${stage.domain}/other`, other.full);
  stage.equal("removal", "result", await clara.answer("set", undefined, query(xml("remove"))));
  await other.dropped();
  stage.equal(
    "login to the removed account",
    "not-authorized",
    await stage.refused("clara", { password: "second", mechanism: "SCRAM-SHA-1" }),
  );
}
