"""SCRAM-SHA-256-PLUS and SCRAM-SHA-1-PLUS are bound to the TLS session by tls-exporter, and a wrong binding is refused.

slixmpp has the protocol side; Python's ssl does not export keying material yet (cpython 95341), so this asks the OpenSSL that Python
itself uses, as that future ssl would. RFC 9266, RFC 5802 §6.
"""

import _ssl
import ctypes
import ssl

from play_slixmpp import Skip

PLUS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS")


def exporter(ssl_object: ssl.SSLObject) -> bytes:
    """RFC 9266 §2: label EXPORTER-Channel-Binding, no context, 32 bytes."""
    library = ctypes.CDLL(_ssl.__file__)
    export = library.SSL_export_keying_material
    # The C struct behind _ssl._SSLSocket: reference count, type, socket, SSL*.
    session = ctypes.c_void_p.from_address(id(ssl_object._sslobj) + 3 * ctypes.sizeof(ctypes.c_void_p))
    label = b"EXPORTER-Channel-Binding"
    out = ctypes.create_string_buffer(32)
    # A context of length zero is the same as none on TLS 1.3, the only version that this is used on.
    if export(session, out, ctypes.c_size_t(32), label, ctypes.c_size_t(len(label)), None, ctypes.c_size_t(0), 0) != 1:
        raise ssl.SSLError("SSL_export_keying_material failed")
    return out.raw


async def scenario(stage):
    plain = await stage.person("anna")
    offered = plain.client.plugin["feature_mechanisms"].mech_list
    if not offered & set(PLUS):
        raise Skip(f"-PLUS on TLS 1.3 is not offered, only {sorted(offered)}")
    stage.true("both -PLUS mechanisms are offered", offered >= set(PLUS), offered)
    own = ssl.SSLObject.get_channel_binding
    ssl.CHANNEL_BINDING_TYPES.append("tls-exporter")
    ssl.SSLObject.get_channel_binding = lambda self, cb_type="tls-unique": (
        exporter(self) if cb_type == "tls-exporter" else own(self, cb_type)
    )
    for mechanism in PLUS:
        for direct in (False, True):
            anna = await stage.person("anna", "bound", direct=direct, mechanism=mechanism)
            stage.equal("TLS version", "TLSv1.3", anna.client.socket.version())
            stage.equal("mechanism", mechanism, anna.client.plugin["feature_mechanisms"].mech.name)
            await anna.logout()
        ssl.SSLObject.get_channel_binding, right = (lambda self, cb_type="": b"x" * 32), ssl.SSLObject.get_channel_binding
        stage.equal(
            f"{mechanism} with another session's binding",
            "not-authorized",
            await stage.refused("anna", password=stage.accounts["anna"], mechanism=mechanism),
        )
        ssl.SSLObject.get_channel_binding = right
    choice = await stage.person("anna", "choice")
    stage.equal("slixmpp's own choice", "SCRAM-SHA-256-PLUS", choice.client.plugin["feature_mechanisms"].mech.name)
