export const title = "A session outlives a cut TCP connection: what was lost on the way comes again, in both directions, once and in order";

const WAIT_MS = 15_000;

/** The event of an emitter, or a failure. */
function event(emitter, name) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${name} within ${WAIT_MS} ms`)), WAIT_MS);
    emitter.once(name, (value) => {
      clearTimeout(late);
      resolve(value);
    });
  });
}

/** The TLS socket below the library's. */
function wire(person) {
  return person.client.socket.socket;
}

/** The connection is gone without a word, and the library notices. */
async function cut(person) {
  const gone = event(person.client, "disconnect");
  wire(person).destroy();
  await gone;
}

/** Connects again; the library resumes. */
async function back(person) {
  const resumed = event(person.client.streamManagement, "resumed");
  await person.client.reconnect.reconnect();
  await resumed;
}

async function bodies(person, count) {
  const came = [];
  while (came.length < count) came.push((await person.receive("message")).getChildText("body"));
  return came;
}

export default async function scenario(stage) {
  const anna = await stage.person("anna");
  const ben = await stage.person("ben");
  await stage.friends(anna, ben);
  const management = anna.client.streamManagement;
  stage.true("stream management is enabled, and can be resumed", management.enabled && management.id !== "", management.id);
  stage.equal("the server says how long it waits", "600", management.max);

  const acked = [];
  management.on("ack", (stanza) => stanza.is("message") && acked.push(stanza.getChildText("body")));
  for (let number = 0; number < 10; number += 1) await anna.message(ben.full, `acked ${number}`);
  const wanted = Array.from({ length: 10 }, (_, number) => `acked ${number}`);
  stage.equal("they arrive", wanted, await bodies(ben, 10));
  while (acked.length < 10) await event(management, "ack");
  stage.equal("they are acknowledged", wanted, acked);

  // What is written to a dead connection is not lost.
  wire(anna).pause();
  for (let number = 0; number < 5; number += 1) await ben.message(anna.bare, `in flight ${number}`);
  await ben.settle();
  await cut(anna);
  const failed = [];
  management.on("fail", (stanza) => failed.push(String(stanza)));
  await ben.message(anna.full, "away");
  await ben.nothing("presence", { from: anna.full });
  await back(anna);
  stage.equal("the same resource", `${anna.bare}/phone`, anna.full);
  stage.equal(
    "what was lost and what came meanwhile, once and in order",
    ["in flight 0", "in flight 1", "in flight 2", "in flight 3", "in flight 4", "away"],
    await bodies(anna, 6),
  );
  await anna.message(ben.full, "here I am");
  stage.equal("it goes on", ["here I am"], await bodies(ben, 1));

  // Over and over, without a gap.
  for (let turn = 0; turn < 5; turn += 1) {
    await cut(anna);
    await ben.message(anna.bare, `turn ${turn}`);
    await ben.settle();
    await back(anna);
    stage.equal("what came meanwhile", [`turn ${turn}`], await bodies(anna, 1));
  }
  stage.equal("nothing failed", [], failed);
  await anna.nothing("message");
  await ben.nothing("presence", { from: anna.full });

  // Another client's id is worth nothing: the library binds anew.
  const { id } = management;
  await cut(anna);
  management.id = ben.client.streamManagement.id;
  const online = event(anna.client, "online");
  await anna.client.reconnect.reconnect();
  await online;
  stage.true("somebody else's session is not resumed", management.id !== ben.client.streamManagement.id && management.id !== id, management.id);
  await ben.message(ben.bare, "still mine");
  stage.equal("it goes on where it was", ["still mine"], await bodies(ben, 1));
}
