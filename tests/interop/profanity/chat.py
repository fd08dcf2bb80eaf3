"""Two Profanities subscribe, see each other come, change and go, chat both ways, and find what was said while one was away."""


def scenario(stage):
    anna = stage.person("anna")
    ben = stage.person("ben")
    for person, other in ((anna, "ben"), (ben, "anna")):
        person.say("/presence console all")
        person.say(f"/roster add {other}@{stage.domain} {other.title()}")
        person.reads(f"Roster item added: {other}@{stage.domain}")

    for asker, asked in ((anna, ben), (ben, anna)):
        asker.say("/win 1")
        asker.say(f"/sub request {asked.name}@{stage.domain}")
        asked.say("/win 1")
        asked.reads(f"Received authorization request from {asker.name}@{stage.domain}")
        asked.say(f"/sub allow {asker.name}@{stage.domain}")
        asker.reads(f"Subscription received from {asked.name}@{stage.domain}")
    for person, other in ((anna, ben), (ben, anna)):
        person.reads(f"++ {other.name.title()} ({other.window}) is online")
        person.clear()
        person.say("/roster")
        person.reads(f"{other.name}@{stage.domain} ({other.name.title()}) - both")

    anna.say(f"/msg ben@{stage.domain} hello ben <&> ☕")
    ben.clear()
    ben.say(f"/msg anna@{stage.domain}")
    ben.reads("Anna/anna1: hello ben <&> ☕")
    ben.say("hello anna ]]> 你好")
    anna.reads("me: hello ben <&> ☕", "Ben/ben2: hello anna ]]> 你好")

    anna.clear()
    ben.say('/status set away "tea & cake"')
    anna.reads("++ Ben (ben2) is away", "tea & cake")
    ben.say("/quit")
    anna.reads("-- Ben (ben2) is offline")
    anna.say(f"/msg ben@{stage.domain} while you were away")
    anna.reads("me: while you were away")
    anna.clear()
    back = stage.person("ben")
    anna.reads("++ Ben (ben3) is online")
    back.say(f"/msg anna@{stage.domain}")
    back.reads("while you were away")
