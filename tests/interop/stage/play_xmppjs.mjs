// Plays one @xmpp/client scenario: `node play_xmppjs.mjs LIBRARY FILE`.
//
// A scenario file exports `title` (what is expected) and `default async (stage)`. What it may use: `stage.person("anna")` logs somebody
// in (and makes the account), `person.client` is the library's own client, `person.receive(…)` waits for a stanza, `person.nothing(…)`
// shows that none came, `stage.equal` and `stage.true` check. `stage.xml` is the library's element maker.

import dns from "node:dns";
import net from "node:net";
import { pathToFileURL } from "node:url";

const LOGIN_MS = 15_000;
const STANZA_MS = 8_000;
// After the barrier of `nothing`: what a server hands over late (a storage thread's answer, a timer) has this long.
const GRACE_MS = 150;
const SKIP_CODE = 77;

const told = JSON.parse(process.env.INTEROP_STAGE);
const { client, xml } = await import(pathToFileURL(process.argv[2]));

// The test domain is not in any DNS; the library still sees, and verifies, the domain's name. The CA comes by NODE_EXTRA_CA_CERTS.
const lookup = dns.lookup;
dns.lookup = (name, options, callback) => {
  if (typeof options === "function") [options, callback] = [{}, options];
  if (name !== told.domain) return lookup(name, options, callback);
  return options?.all ? callback(null, [{ address: told.address, family: 4 }]) : callback(null, told.address, 4);
};

/** A check that did not hold. */
class Failure extends Error {}

/** The server and the people of one scenario. */
class Stage {
  constructor() {
    Object.assign(this, { domain: told.domain, server: told.server, xml, people: [], accounts: new Map() });
  }

  /** Fails unless both are equal, compared as JSON. */
  equal(what, expected, came) {
    if (JSON.stringify(expected) !== JSON.stringify(came)) throw new Failure(`${what}: expected ${shown(expected)}; came ${shown(came)}`);
    console.log(`ok ${what}: ${shown(came)}`);
  }

  /** Fails unless `holds`; `came` is what was looked at. */
  true(what, holds, came) {
    if (!holds) throw new Failure(`expected ${what}; came ${shown(came)}`);
    console.log(`ok ${what}`);
  }

  /** The control server cannot do what this is about. Against snug the harness counts it as a failure. */
  skip(reason) {
    console.log(`SKIP ${reason}`);
    process.exit(SKIP_CODE);
  }

  /** Asks the harness about the server: add (user, password), stop, kill, start. */
  request(action, more = {}) {
    return new Promise((resolve, reject) => {
      const connection = net.connect(told.control);
      let text = "";
      connection
        .on("error", reject)
        .on("data", (data) => (text += data))
        .on("end", () => {
          const answer = JSON.parse(text || '{"ok": false, "error": "the harness closed the connection"}');
          return answer.ok ? resolve() : reject(new Failure(`expected the harness to ${action}; came ${answer.error}`));
        });
      connection.write(`${JSON.stringify({ do: action, ...more })}\n`);
    });
  }

  /** Makes an account by the server's own command line. */
  async account(name, password = `${name} likes pencils`) {
    this.accounts.set(name, password);
    await this.request("add", { user: name, password });
  }

  /** Somebody, logged in and available unless said otherwise; the account is made if the scenario has not made it. `how`: see Person. */
  async person(name, resource = "phone", { presence = true, ...how } = {}) {
    if (!this.accounts.has(name) && how.password === undefined) await this.account(name);
    const person = new Person(this, name, resource, { password: this.accounts.get(name), ...how });
    this.people.push(person);
    await person.login();
    if (presence) await person.available();
    return person;
  }

  /** The condition with which a login is refused; a login that succeeds is a failure. */
  async refused(name, how) {
    const person = new Person(this, name, undefined, how);
    this.people.push(person);
    try {
      await person.login();
    } catch (error) {
      return error.condition ?? error.message;
    }
    throw new Failure(`expected the login of ${name} to be refused; came a session ${person.full}`);
  }

  /** Both subscribe to each other, and everything that this causes has been read afterwards. */
  async friends(one, other) {
    for (const [asker, asked] of [
      [one, other],
      [other, one],
    ]) {
      await asker.presence({ to: asked.bare, type: "subscribe" });
      await asked.receive("presence", { from: asker.bare, type: "subscribe" });
      await asked.presence({ to: asker.bare, type: "subscribed" });
      await asker.receive("presence", { from: asked.bare, type: "subscribed" });
    }
    for (const person of [one, other]) {
      await person.settle();
      person.unread.length = 0;
    }
  }
}

/**
 * One client of the library. Every stanza that it receives waits in `unread` until the scenario asks for it.
 * password; mechanism: PLAIN, because the library's SCRAM costs a second of CPU a login, or another, or "own" for its own choice;
 * direct: direct TLS instead of STARTTLS; before: an async function of the person that runs when the server offers SASL.
 */
class Person {
  constructor(stage, name, resource, { password, mechanism = "PLAIN", direct = false, before }) {
    const service = direct ? `xmpps://${told.domain}:${told.c2s_tls}` : `xmpp://${told.domain}:${told.c2s}`;
    Object.assign(this, { stage, bare: `${name}@${told.domain}`, unread: [], waiting: [], errors: [] });
    const credentials = async (authenticate, mechanisms) => {
      this.offered = mechanisms;
      if (before) await before(this);
      this.used = mechanism === "own" ? mechanisms[0] : mechanism;
      await authenticate({ username: name, password }, this.used);
    };
    this.client = client({ service, domain: told.domain, resource, credentials });
    this.client.timeout = STANZA_MS;
    this.client.reconnect.stop();
    this.client.iqCallee.set("jabber:iq:roster", "query", () => true);
    this.client.on("stanza", (stanza) => {
      this.unread.push(stanza);
      this.waiting.splice(0).forEach((wake) => wake());
    });
    // @xmpp/client 0.14.0 keeps the answers to its own requests from its stream management, and its count behind the truth (XEP-0198 §4): what
    // came last would come again after every logout. Counted later than now, because <enabled/> sets the count to zero only behind this chunk.
    this.client.on("element", (element) => {
      const answers = element.is("iq") && ["result", "error"].includes(element.attrs.type);
      const management = this.client.streamManagement;
      if (answers && (management.enabled || management.enableSent)) setImmediate(() => (management.inbound += 1));
    });
    this.client.on("error", (error) => this.errors.push(error));
    if (process.env.INTEROP_TRACE) {
      for (const event of ["status", "send", "element", "error"])
        this.client.on(event, (what) => console.log(this.full, event, String(what)));
    }
    this.gone = new Promise((resolve) => this.client.on("disconnect", resolve));
  }

  /** The JID that the server bound. */
  get full() {
    return this.client.jid?.toString() ?? this.bare;
  }

  /** Connects and binds; rejects with the library's error. */
  async login() {
    // What goes wrong between opening the stream and being online is emitted as an error, not thrown by start().
    const failed = new Promise((_, reject) => this.client.once("error", reject));
    await within(LOGIN_MS, Promise.race([this.client.start(), failed]), `the login of ${this.bare}`);
  }

  /** Asks for the roster and sends presence, as clients do, and waits until the server has handled both. */
  async available(...children) {
    await this.roster();
    await this.presence({}, ...children);
    await this.settle();
  }

  /** Sends a presence stanza. */
  presence(attributes, ...children) {
    return this.client.send(xml("presence", attributes, ...children));
  }

  /** Sends a message with a body. */
  message(to, body, type = "chat", ...children) {
    return this.client.send(xml("message", { to, type }, xml("body", {}, body), ...children));
  }

  /** The roster as the server has it now: JID to the item's attributes. */
  async roster() {
    const query = await this.client.iqCaller.get(xml("query", { xmlns: "jabber:iq:roster" }), undefined, STANZA_MS);
    return Object.fromEntries(query.getChildren("item").map((item) => [item.attrs.jid, item.attrs]));
  }

  /** The condition of the error that answers an IQ, or "result". */
  async answer(type, to, payload) {
    try {
      await this.client.iqCaller.request(xml("iq", { type, to }, payload), STANZA_MS);
      return "result";
    } catch (error) {
      return error.condition ?? error.message;
    }
  }

  /** Closes the stream and the connection. */
  async logout() {
    await this.client.stop();
  }

  /** Waits until the server ends this stream; the condition of its stream error, or an empty string. */
  async dropped() {
    await within(LOGIN_MS, this.gone, `the server to end the stream of ${this.full}`);
    return this.errors.find((error) => error.name === "StreamError")?.condition ?? "";
  }

  /** A round trip to the server: what was sent before it has been handled, what was on its way here has arrived. */
  async settle() {
    await this.client.iqCaller.get(xml("ping", { xmlns: "urn:xmpp:ping" }), told.domain, STANZA_MS);
  }

  /** The first unread message, presence or iq that is as described: from, to, type ("" for none), id, body, where (a function of it). */
  async receive(kind, like = {}) {
    const until = Date.now() + STANZA_MS;
    for (;;) {
      const index = this.unread.findIndex((stanza) => matches(stanza, kind, like));
      if (index >= 0) return this.unread.splice(index, 1)[0];
      const left = until - Date.now();
      if (left <= 0) {
        throw new Failure(`${this.full}: expected ${kind} ${shown(like)} within ${STANZA_MS} ms; came ${shown(this.unread.map(String))}`);
      }
      await Promise.race([new Promise((wake) => this.waiting.push(wake)), sleep(left)]);
    }
  }

  /** The next roster push about `jid` whose item has these attributes ("" for absent). */
  async push(jid, like = {}) {
    const item = (stanza) => stanza.getChild("query", "jabber:iq:roster")?.getChild("item");
    const stanza = await this.receive("iq", {
      type: "set",
      where: (one) => item(one)?.attrs.jid === jid && Object.entries(like).every(([key, value]) => (item(one).attrs[key] ?? "") === value),
    });
    console.log(`ok ${this.full}: roster push of ${jid} with ${shown(like)}`);
    return item(stanza);
  }

  /** Fails if such a stanza is unread once everything that `after` (who sent it) caused has arrived. */
  async nothing(kind, like = {}, after = undefined) {
    if (after) await after.settle();
    await sleep(GRACE_MS);
    await this.settle();
    const came = this.unread.find((stanza) => matches(stanza, kind, like));
    if (came) throw new Failure(`${this.full}: expected no ${kind} ${shown(like)}; came ${came}`);
    console.log(`ok ${this.full}: no ${kind} ${shown(like)}`);
  }
}

function matches(stanza, kind, { from, to, type, id, body, where }) {
  return (
    stanza.is(kind) &&
    (from === undefined || stanza.attrs.from === from) &&
    (to === undefined || stanza.attrs.to === to) &&
    (type === undefined || (stanza.attrs.type ?? "") === type) &&
    (id === undefined || stanza.attrs.id === id) &&
    (body === undefined || stanza.getChildText("body") === body) &&
    (where === undefined || where(stanza))
  );
}

function shown(value) {
  const text = JSON.stringify(value, (_, part) => (typeof part === "function" ? undefined : part)) ?? "undefined";
  return text.length <= 700 ? text : `${text.slice(0, 400)} … ${text.slice(-200)} (${text.length} characters)`;
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function within(ms, promise, what) {
  return Promise.race([promise, sleep(ms).then(() => Promise.reject(new Failure(`expected ${what} within ${ms} ms; came nothing`)))]);
}

// The library rejects promises that nobody waits for when a connection ends; they are not the scenario's verdict.
process.on("unhandledRejection", (error) => console.log(`unhandled: ${error}`));

const scenario = await import(pathToFileURL(process.argv[3]));
console.log(`# ${scenario.title}`);
try {
  await scenario.default(new Stage());
  process.exit(0);
} catch (error) {
  const text = error instanceof Failure ? error.message : `expected no exception; came ${error.stack ?? error}`;
  console.log(`FAIL ${text.split(/\s+/).join(" ")}`);
  process.exit(1);
}
