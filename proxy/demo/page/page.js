/** Puts the page together: reads where it is, wires keys and buttons, and opens the session named in the address. */

import { api } from "./api.js";
import { Chat } from "./chat.js";
import { habitsOf } from "./habits.js";
import { stopThenSend } from "./scenario.js";
import { Timeline } from "./timeline.js";
import * as view from "./view.js";

const $ = (id) => document.getElementById(id);
const SNAPSHOT = "stream-guard-demo.live";

function routeOf({ direct, guarded }) {
  const here = (address) => address && new URL(address).origin === location.origin;
  if (here(guarded)) return "guarded";
  return here(direct) ? "direct" : "unknown";
}

function createChat(release) {
  const timeline = new Timeline(view.drawTimeline);
  const chat = new Chat({
    habits: habitsOf(release),
    timeline,
    onChange: (what) => {
      if (what === "live") return view.drawLive(chat);
      if (what === "messages") view.drawMessages(chat);
      view.drawState(chat);
      keepAddress(chat.belief.session);
    },
  });
  return { chat, timeline };
}

/** The session stands in the address: a reload finds it again, and a second tab can share it. */
function keepAddress(session) {
  const wanted = session ? `#${session.session_id}` : "";
  if (location.hash !== wanted) history.replaceState(null, "", wanted || location.pathname);
}

function wireComposer(chat) {
  const take = () => {
    const text = $("message").value.trim();
    $("message").value = "";
    return text;
  };
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = take();
    if (text) void chat.send(text);
  });
  $("message").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $("composer").requestSubmit();
  });
  $("interrupt").addEventListener("click", () => {
    const text = take();
    if (text) void chat.interrupt(text);
    else $("message").focus();
  });
}

function wireStop(chat) {
  $("stop").addEventListener("click", () => void chat.stop());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chat.canStop) void chat.stop();
  });
}

function wireSessions(chat, timeline) {
  $("clear-timeline").addEventListener("click", () => timeline.clear());
  $("new-session").addEventListener("click", () => {
    chat.leave();
    timeline.clear();
    $("message").focus();
  });
}

function wireScenario(chat, timeline, observed) {
  $("scenario-run").addEventListener("click", async () => {
    $("scenario-run").disabled = true;
    observed.report = null;
    try {
      const stage = { chat, timeline, onProgress: view.drawProgress };
      observed.report = await stopThenSend($("scenario-when").value, stage);
      view.drawReport(observed.report);
    } finally {
      $("scenario-run").disabled = false;
    }
  });
}

async function openNamedSession(chat) {
  const saved = JSON.parse(sessionStorage.getItem(SNAPSHOT) ?? "null");
  addEventListener("pagehide", () => sessionStorage.setItem(SNAPSHOT, JSON.stringify(chat.live?.snapshot() ?? null)));
  const named = location.hash.slice(1);
  if (named && !(await chat.open(named, saved))) chat.leave();
}

/**
 * The page's test surface: what it knows, as copies, to read and never to steer by.
 *
 *   demo.ready        true once the page takes input
 *   demo.state()      {release, route, session, busy, stream, canStop, queue, notice}
 *   demo.transcript() [{role, text, error, live}] as shown; `live` marks the answer that is still coming
 *   demo.turns()      [{stream, prompt, text, reasoning, ending, error}] of every stream this page has followed
 *   demo.timeline()   [{at, kind, text, stream, count, …}] with `at` in seconds; the kinds are listed in timeline.js,
 *                     and answers carry `status`, `cancelled`, `reason`, `guard`
 *   demo.report()     the last scenario's {headline, good, findings: [{good, text}]}, or null while it plays
 */
function surface(chat, timeline, { release, route, observed }) {
  return {
    ready: true,
    state: () => {
      const { session, busy, stream, queue, notice } = chat.belief;
      const { canStop } = chat;
      return { release, route, session: session?.session_id ?? null, busy, stream, canStop, queue: [...queue], notice };
    },
    transcript: () => [
      ...chat.belief.messages.map((message) => {
        return { role: message.role, text: view.textOf(message), error: Boolean(message.error), live: false };
      }),
      ...(chat.live ? [{ role: "assistant", text: chat.live.text, error: false, live: true }] : []),
    ],
    turns: () => structuredClone(chat.turns),
    timeline: () => structuredClone(timeline.entries),
    report: () => structuredClone(observed.report),
  };
}

async function main() {
  const { ok, body: config } = await api.config();
  if (!ok) throw new Error("demo/config.json could not be read: is this page served by the demo's backend?");
  const route = routeOf(config);
  const observed = { report: null };
  const { chat, timeline } = createChat(config.release);
  view.drawHeader(config, route);
  view.drawState(chat);
  wireComposer(chat);
  wireStop(chat);
  wireSessions(chat, timeline);
  wireScenario(chat, timeline, observed);
  await openNamedSession(chat);
  window.demo = surface(chat, timeline, { release: config.release, route, observed });
}

main().catch((error) => {
  $("notice").textContent = error.message;
  throw error;
});
