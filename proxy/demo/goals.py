"""``POST /api/goal``: only a goal starts a turn (F21)."""

from collections.abc import Mapping

from proxy.demo.exchange import Exchange, required
from proxy.demo.responses import Answer, error_answer, json_answer
from proxy.demo.sessions import NOT_FOUND, Session
from proxy.demo.turns import Turns
from proxy.demo.world import World

ACTIONS: Mapping[str, str] = {
    "": "status",
    "status": "status",
    "pause": "pause",
    "resume": "resume",
    "clear": "clear",
    "stop": "clear",
    "done": "clear",
}
"""What is asked for by a word that is no goal."""
RUNNING = "Agent is running: use /goal status / pause / clear mid-run, or /stop before setting a new goal."


class Goals:
    """Answers these calls."""

    def __init__(self, world: World, turns: Turns) -> None:
        self._world = world
        self._turns = turns

    async def goal(self, exchange: Exchange) -> Answer:
        """``POST /api/goal``."""
        body = await exchange.json_body()
        session = self._world.sessions.get(required(body, "session_id"))
        if session is None:
            return error_answer(NOT_FOUND, 404)
        text = str(body.get("args") or "").strip()
        action = ACTIONS.get(text.lower())
        return self._set(session, text) if action is None else _report(session, action)

    def _set(self, session: Session, text: str) -> Answer:
        """While a turn runs it is refused, without that turn's name."""
        if session.active_stream_id in self._world.streams:
            refused = {"ok": False, "action": "set", "message": RUNNING, "goal": None}
            return json_answer({**refused, "error": "agent_running"}, 409)
        session.goal = {"goal": text, "status": "active"}
        told = {"message": f"Goal set: {text}", "message_key": "goal_set"}
        goal_set = {"ok": True, "action": "set", **told, "goal": session.goal}
        return self._turns.start(session, text, **goal_set, kickoff_prompt=text)


def _report(session: Session, action: str) -> Answer:
    goal = session.goal
    if goal is None:
        return _without_goal(action)
    if action == "clear":
        session.goal = None
        told = {"message": "Goal cleared.", "message_key": "goal_cleared"}
        return json_answer({"ok": True, "action": action, **told, "goal": None})
    if action != "status":
        goal["status"] = "paused" if action == "pause" else "active"
    told = {"message": f"Goal ({goal['status']}): {goal['goal']}", "message_key": f"goal_{goal['status']}"}
    return json_answer({"ok": True, "action": action, **told, "goal": goal})


def _without_goal(action: str) -> Answer:
    """To pause or resume nothing is a mistake; to ask for it, or clear it, is none."""
    if action == "status":
        told = {"message": "No active goal. Set one with /goal <text>.", "message_key": "goal_status_none"}
        return json_answer({"ok": True, "action": action, **told, "goal": None})
    if action == "clear":
        told = {"message": "No active goal.", "message_key": "goal_no_goal"}
        return json_answer({"ok": True, "action": action, **told, "goal": None})
    message = "No goal set." if action == "pause" else "No goal to resume."
    failed = {"ok": False, "action": action, "message": message, "goal": None}
    return json_answer({**failed, "error": "no_goal", "message_key": "goal_no_goal"}, 400)
