"""A client that stops at TLS 1.2, and so tries tls-unique first if a -PLUS mechanism is offered, gets in.

slixmpp falls back to the next mechanism on the same stream when tls-unique is refused.
"""

import ssl


async def scenario(stage):
    for direct in (False, True):
        anna = await stage.person("anna", "old", direct=direct, tls=ssl.TLSVersion.TLSv1_2)
        stage.equal("TLS version", "TLSv1.2", anna.client.socket.version())
        stage.equal("bound", f"anna@{stage.domain}/old", anna.full)
        print(f"ok used {anna.client.plugin['feature_mechanisms'].mech.name}")
        await anna.logout()
