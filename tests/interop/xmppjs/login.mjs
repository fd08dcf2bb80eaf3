export const title = "STARTTLS and direct TLS let @xmpp/client in by SCRAM-SHA-1, PLAIN and its own choice";

export default async function scenario(stage) {
  await stage.account("anna", "pencil, with comma = and quote'");
  for (const direct of [false, true]) {
    for (const mechanism of ["SCRAM-SHA-1", "PLAIN", "own"]) {
      const anna = await stage.person("anna", "phone", { direct, mechanism });
      stage.equal(`direct TLS ${direct}, ${mechanism}`, `anna@${stage.domain}/phone`, anna.full);
      stage.equal("mechanism", mechanism === "own" ? "SCRAM-SHA-1" : mechanism, anna.used);
      stage.true("the connection is secure", anna.client.isSecure());
      await anna.logout();
    }
  }
}
