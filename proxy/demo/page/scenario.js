/** Stop, then send: plays it on the page as a person would, asks the server what is true, and says what was seen. */

import { api } from "./api.js";

const FIRST = "hello n=80 d=0.1 tag=A";
const SECOND = "second n=12 d=0.1 tag=B";
const WORDS = Array.from({ length: 12 }, (_, n) => `B${n}`);
const STOP_AFTER = 2000;
/** A quick finger, in ms: the cancelled worker still unwinds, and the Stop has been answered. */
const QUICK = 40;
const LOOK_EVERY = 150;
const LOOK_FOR = 15_000;
/** One look may fall between the server's end of a turn and its last event; this many in a row may not. */
const CERTAIN = 3;
/** So many looks at a page that is busy with nothing, and it will stay so. */
const FOR_GOOD = 14;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What was seen of the second turn: the page's belief beside the server's, look after look. */
async function watch(chat, since) {
  const seen = { idleWhileRunning: 0, busyWithoutTurn: 0, turn: null };
  const end = performance.now() + LOOK_FOR;
  let idle = 0, alone = 0, settled = 0;
  while (performance.now() < end && settled < CERTAIN && alone < FOR_GOOD) {
    await pause(LOOK_EVERY);
    seen.turn = chat.turns.slice(since).findLast((turn) => turn.prompt === SECOND) ?? null;
    if (!seen.turn) continue;
    const { ok, body } = await api.status(seen.turn.stream);
    if (!ok) continue;
    const { busy } = chat.belief;
    idle = body.active && !busy ? idle + 1 : 0;
    alone = !body.active && busy && !chat.belief.queue.length ? alone + 1 : 0;
    settled = body.active || busy ? 0 : settled + 1;
    seen.idleWhileRunning = Math.max(seen.idleWhileRunning, idle);
    seen.busyWithoutTurn = Math.max(seen.busyWithoutTurn, alone);
  }
  return seen;
}

/** The words of the second answer as the server kept them. */
async function kept(chat) {
  const { body } = await api.session(chat.belief.session.session_id);
  const messages = body.session?.messages ?? [];
  const asked = messages.findLastIndex((m) => m.role === "user" && String(m.content).includes("tag=B"));
  if (asked < 0) return "";
  return messages.slice(asked + 1).filter((m) => m.role === "assistant").map((m) => String(m.content)).join(" ");
}

const wordsOf = (text, tag) => text.match(new RegExp(`\\b${tag}\\d+\\b`, "g")) ?? [];

/** How the second turn went, in the words of a person who watched it. */
function fateOf(turn, saved) {
  if (!turn) return { good: false, text: "The next message never became a turn." };
  const words = wordsOf(turn.text, "B");
  const whole = [words, wordsOf(saved, "B")].some((given) => WORDS.every((word) => given.includes(word)));
  if (turn.error) return { good: false, text: `The next turn died: ${turn.error}` };
  if (!whole) return { good: false, text: `The next turn died: it gave ${words.length} of its ${WORDS.length} words.` };
  if (turn.ending) return { good: true, text: `The next turn lived: all ${WORDS.length} of its words arrived.` };
  return { good: false, text: "The next turn never ended: its words arrived, but no event that says it is done." };
}

function foreignTextIn(turn, saved) {
  const foreign = wordsOf(`${turn.text} ${turn.reasoning} ${saved}`, "A");
  if (!foreign.length) return { good: true, text: "No text of the stopped turn was shown as its own." };
  return { good: false, text: `It was handed text of the stopped turn: ${foreign.slice(0, 6).join(" ")} …` };
}

function agreementOf({ idleWhileRunning, busyWithoutTurn }) {
  if (idleWhileRunning >= CERTAIN) {
    return { good: false, text: "The page said idle, with no way to stop, while the server still ran the turn." };
  }
  if (busyWithoutTurn >= CERTAIN) {
    return { good: false, text: "The page said busy although the server had nothing running." };
  }
  return { good: true, text: "Whenever looked at, page and server agreed on whether it was running." };
}

function findings(seen, { refusals, saved }) {
  const refused = {
    good: false,
    text: `The next message was refused with 409, naming the turn just stopped (${refusals}×), and was queued again.`,
  };
  const found = [...(refusals ? [refused] : []), fateOf(seen.turn, saved)];
  return seen.turn ? [...found, foreignTextIn(seen.turn, saved), agreementOf(seen)] : found;
}

/**
 * Plays the scenario in a session of its own.
 *
 * @param {"idle"|"same-tick"} when  send as soon as the page lets it, or together with Stop (the page then queues)
 * @param {{chat: Chat, timeline: Timeline, onProgress: (text: string) => void}} stage
 * @returns {Promise<{headline: string, good: boolean, findings: {good: boolean, text: string}[]}>}
 */
export async function stopThenSend(when, { chat, timeline, onProgress }) {
  chat.leave();
  timeline.clear();
  const since = chat.turns.length;
  onProgress("A long turn is starting …");
  await chat.send(FIRST);
  if (!chat.canStop) return report([{ good: false, text: "The first turn did not start; is the backend running?" }]);
  onProgress("It runs. Stop in two seconds …");
  await pause(STOP_AFTER);
  onProgress("Stopped, and sent the next message. Watching …");
  const idle = chat.belief.idle();
  void chat.stop();
  if (when === "idle") {
    await Promise.race([idle, pause(LOOK_FOR)]);
    await pause(QUICK);
  }
  void chat.send(SECOND);
  const seen = await watch(chat, since);
  const refusals = timeline.entries.filter((e) => e.kind === "start.answered" && e.status === 409).length;
  return report(findings(seen, { refusals, saved: await kept(chat) }));
}

function report(found) {
  const good = found.every((finding) => finding.good);
  const headline = good ? "Stop, then send: all was well." : "Stop, then send: this went wrong.";
  return { headline, good, findings: found };
}
