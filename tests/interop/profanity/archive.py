"""A new Profanity of a person finds in the archive what others of theirs said and heard."""


def scenario(stage):
    anna = stage.person("anna")
    ben = stage.person("ben")
    anna.say(f"/msg ben@{stage.domain} hello ben <&> ☕")
    anna.reads("me: hello ben <&> ☕")
    ben.say(f"/msg anna@{stage.domain}")
    ben.reads("hello ben <&> ☕")
    ben.say("hello anna 你好")
    anna.reads("hello anna 你好")
    ben.say("/quit")
    again = stage.person("ben")
    again.say("/mam on")
    again.reads("Message Archive Management enabled.")
    again.say(f"/msg anna@{stage.domain}")
    again.reads("hello ben <&> ☕", "hello anna 你好")
