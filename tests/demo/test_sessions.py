from proxy.demo import sessions as module
from proxy.demo.sessions import Session


def test_a_session_remembers_so_many_messages() -> None:
    session = Session("S", 0.0)
    for number in range(module.MESSAGE_LIMIT + 1):
        session.say("user", str(number))
    assert (len(session.messages), session.messages[0]["content"]) == (module.MESSAGE_LIMIT, "1")
