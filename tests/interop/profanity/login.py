"""Profanity logs in by STARTTLS and direct TLS when it trusts the CA, asks when it does not, and says so when the password is wrong."""


def scenario(stage):
    anna = stage.person("anna")
    anna.reads("[TLS]", "[online]", f"anna@{stage.domain}/{anna.window}")
    anna.reads_not("certificate")
    anna.say("/quit")

    direct = stage.person("anna", direct=True)
    direct.reads("[TLS]", "[online]")
    direct.reads_not("certificate")
    direct.say("/quit")

    for way in (False, True):
        careful = stage.person("anna", trusts=False, login=False)
        careful.connect(stage.accounts["anna"], way)
        careful.reads("TLS certificate verification failed", "/tls allow")
        careful.say("/tls allow")
        careful.reads("logged in successfully")
        careful.say("/quit")

    wrong = stage.person("anna", login=False)
    wrong.connect("not the password")
    wrong.reads("Login failed.")
