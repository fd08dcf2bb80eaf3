"""Text that breaks careless writers arrives as it was sent: unicode, quotes, `]]>`, entities, line ends, CDATA, 60 KB.

RFC 6120 §11; XML 1.0 §2.4, §2.11.
"""

TEXTS = (
    "Grüße, Здравствуй, 你好, مرحبا, שלום",
    "😀👩‍👩‍👧‍👦🏳️‍🌈 \U0010fffd \u2028\u00a0 e\u0301",
    "<>&'\"]]>",
    "&amp; &lt; &#60; &unknown; <![CDATA[x]]> <!-- no comment --> <?no pi?>",
    "]]" + ">" * 3 + "]]&gt;",
    "line one\nline two\n\n\tindented  ",
    "</body></message></stream:stream>",
    " ",
)


async def scenario(stage):
    anna = await stage.person("anna")
    ben = await stage.person("ben")
    for cdata in (False, True):
        anna.client.use_cdata = cdata
        for text in TEXTS:
            if cdata and "]]>" in text:
                continue  # slixmpp does not split it over two CDATA sections
            anna.client.send_message(mto=ben.full, mbody=text, mtype="chat")
            came = await ben.receive("message", frm=anna.full)
            stage.equal(f"text (cdata={cdata})", text, came.findtext("{jabber:client}body"))
    anna.client.use_cdata = False
    large = "".join(chr(0x4E00 + number % 5000) if number % 3 else "&<" for number in range(25_000))
    stage.true("the large text has more than 60 KB", len(large.encode()) > 61_440, len(large.encode()))
    for receiver, sender in ((ben, anna), (anna, ben)):
        sender.client.send_message(mto=receiver.full, mbody=large, mtype="chat")
        came = await receiver.receive("message", frm=sender.full)
        stage.true(
            f"{len(large.encode())} bytes arrive unchanged",
            came.findtext("{jabber:client}body") == large,
            len(came.findtext("{jabber:client}body") or ""),
        )
    for size in (8_191, 8_192, 8_193, 16_384, 65_536, 100_000):
        anna.client.send_message(mto=ben.full, mbody="x" * size, mtype="chat")
        came = await ben.receive("message", frm=anna.full)
        stage.equal(f"length of a body of {size}", size, len(came.findtext("{jabber:client}body") or ""))
