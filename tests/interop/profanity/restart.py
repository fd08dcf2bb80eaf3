"""Profanity loses the connection when the server stops, reconnects by itself when it is back, and still has its roster."""


def scenario(stage):
    anna = stage.person("anna")
    anna.say(f"/roster add ben@{stage.domain} Ben")
    anna.reads(f"Roster item added: ben@{stage.domain}")
    anna.clear()
    anna.say("/reconnect 1")
    stage.ask({"do": "stop"})
    anna.reads("Lost connection.")
    anna.reads("[offline]")
    stage.ask({"do": "start"})
    anna.reads("[online]", "Connection re-established.")
    anna.is_settled()
    anna.clear()
    anna.say("/roster")
    anna.reads(f"ben@{stage.domain} (Ben) - none")
