"""STARTTLS and direct TLS let in by SCRAM-SHA-256, SCRAM-SHA-1 and PLAIN, and by what slixmpp chooses itself.

RFC 6120 §5, §6; XEP-0368. The certificate is verified against the server's CA, strictly, in every scenario here.
"""


async def scenario(stage):
    # Stored passwords may have code points of Unicode 3.2 only (SASLprep, RFC 4013 §2.5): no emoji, but this.
    await stage.account("anna", "pencil, comma = and Größe €")
    for direct in (False, True):
        way = "direct TLS" if direct else "STARTTLS"
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", None):
            anna = await stage.person("anna", "phone", direct=direct, mechanism=mechanism)
            used = anna.client.plugin["feature_mechanisms"].mech.name
            stage.equal(f"{way}, {mechanism or 'own choice'}: bound", f"anna@{stage.domain}/phone", anna.full)
            stage.true(f"{way}: logged in by {mechanism or 'a SCRAM'}", used == mechanism or (mechanism is None and "SCRAM" in used), used)
            if not direct:
                # Limits (XEP-0478) may be told at any time.
                before = anna.features[0] - {"{urn:xmpp:stream-limits:0}limits"}
                stage.equal("features before TLS", {"{urn:ietf:params:xml:ns:xmpp-tls}starttls"}, before)
            await anna.logout()
    anna = await stage.person("anna", "phone", direct=True, alpn=True)
    if stage.server != "prosody":  # 0.12 ignores ALPN
        stage.equal("ALPN protocol on direct TLS", "xmpp-client", anna.client.socket.selected_alpn_protocol())
