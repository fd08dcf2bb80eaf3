export const title = "What was said while a client was away is found in the archive, page by page, and is not sent again from the queue";

const MAM = "urn:xmpp:mam:2";
const RSM = "http://jabber.org/protocol/rsm";

export default async function scenario(stage) {
  const { xml } = stage;
  const anna = await stage.person("anna");
  await stage.account("ben");
  const ben = `ben@${stage.domain}`;
  const lines = Array.from({ length: 12 }, (_, number) => `line ${number} <&> ☕`);
  for (const line of lines) await anna.message(ben, line);
  await anna.settle();

  const back = await stage.person("ben", "phone", { presence: false });
  const page = async (...set) => {
    back.unread.length = 0;
    const query = xml("query", { xmlns: MAM, queryid: "q" }, xml("set", { xmlns: RSM }, ...set));
    const answer = await back.client.iqCaller.request(xml("iq", { type: "set" }, query), 8_000);
    const fin = answer.getChild("fin", MAM);
    const results = back.unread.map((one) => one.getChild("result", MAM)).filter(Boolean);
    stage.true("every result names the query", results.every((one) => one.attrs.queryid === "q"), results.length);
    const said = results.map((one) => one.getChild("forwarded").getChild("message").getChildText("body"));
    const edges = fin.getChild("set", RSM);
    stage.equal("first and last id", [results[0]?.attrs.id, results.at(-1)?.attrs.id], [
      edges.getChildText("first") ?? undefined,
      edges.getChildText("last") ?? undefined,
    ]);
    return { said, last: edges.getChildText("last"), first: edges.getChildText("first"), complete: fin.attrs.complete === "true" };
  };
  const max = xml("max", {}, "5");
  const first = await page(max);
  stage.equal("the first page", [lines.slice(0, 5), false], [first.said, first.complete]);
  const second = await page(max, xml("after", {}, first.last));
  stage.equal("the second page", [lines.slice(5, 10), false], [second.said, second.complete]);
  const third = await page(max, xml("after", {}, second.last));
  stage.equal("the last page", [lines.slice(10), true], [third.said, third.complete]);
  const last = await page(max, xml("before"));
  stage.equal("the last page, asked for at once", [lines.slice(7), false], [last.said, last.complete]);

  back.unread.length = 0;
  await back.available();
  await back.nothing("message");
  await anna.message(back.full, "and now");
  const came = await back.receive("message");
  const given = came.getChildren("stanza-id").filter((one) => one.attrs.by === ben);
  stage.equal("what comes now has an id", ["and now", 1], [came.getChildText("body"), given.length]);
  const newest = await page(xml("max", {}, "1"), xml("before"));
  stage.equal("it is the archive's", [["and now"], given[0].attrs.id], [newest.said, newest.last]);

  const other = xml("query", { xmlns: MAM });
  stage.true("another's archive is closed", (await anna.answer("set", ben, other)) !== "result", ben);
}
