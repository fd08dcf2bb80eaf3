"""Profanity's ping, version, service discovery and password change work, and the old password is refused afterwards."""


def scenario(stage):
    anna = stage.person("anna")
    anna.clear()
    anna.say("/ping")
    # Answered for the account: from the bare JID, or without a from, which Profanity calls "server".
    anna.reads("Ping response from ")
    anna.say(f"/serversoftware {stage.domain}")
    anna.reads(f"{stage.domain}:", "Name ", "Version ")
    anna.say(f"/disco info {stage.domain}")
    anna.reads("http://jabber.org/protocol/disco#info")
    anna.say("/changepassword")
    anna.reads("Enter password:")
    anna.say("another secret")
    anna.reads("Confirm password:")
    anna.say("another secret")
    anna.reads("Password successfully changed.")
    anna.say("/quit")
    old = stage.person("anna", login=False)
    old.connect(stage.accounts["anna"])
    old.reads("Login failed.")
    stage.person("anna", password="another secret")
