"""A client that does not trust the server's CA refuses the connection, so the other scenarios prove that the certificate verifies."""

import ssl
import subprocess


async def scenario(stage):
    other = f"{stage.output}/other-ca.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            "/CN=Other",
            "-keyout",
            f"{stage.output}/other-ca.key",
            "-out",
            other,
        ],
        check=True,
        capture_output=True,
    )
    for direct in (False, True):
        said = await stage.refused("anna", password="unimportant", direct=direct, ca=other)
        stage.true(
            f"refused by the client for its certificate (direct={direct})",
            "CERTIFICATE_VERIFY_FAILED" in said or "certificate" in said,
            said,
        )
    anna = await stage.person("anna", direct=True)
    names = {value for _, value in anna.client.socket.getpeercert()["subjectAltName"]}
    stage.true("the certificate names the domain and localhost", {stage.domain, "localhost"} <= names, names)
    stage.true(
        "the certificate is valid for at most 800 days", days(anna.client.socket.getpeercert()) <= 800, anna.client.socket.getpeercert()
    )


def days(certificate) -> float:
    """From the beginning to the end of its validity."""
    return (ssl.cert_time_to_seconds(certificate["notAfter"]) - ssl.cert_time_to_seconds(certificate["notBefore"])) / 86400
