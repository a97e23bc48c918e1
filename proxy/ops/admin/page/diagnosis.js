/**
 * What needs attention, in sentences: what a person who opens this page wants to know first.
 *
 * They are read aloud when they change, so that none holds a number that grows.
 */

import { didNotStop } from "./stops.js";
import { MISSING, count, timeOfDay } from "./words.js";

/** Seconds after which a Stop that has not settled is worth a sentence. */
const SLOW = 2;
/** Seconds for which one that never did is. */
const RECENT = 600;

const HEEDED = { bad: 0, note: 1 };

function backend({ backend: { reachable, away_since: since, waiting_since: asked } }) {
  if (asked) return [{ mood: "note", text: `Hermes was asked at ${timeOfDay(asked)} whether it is well, and has not answered yet.` }];
  if (reachable) return [];
  return [{ mood: "bad", text: `Hermes has not answered since ${timeOfDay(since)}. Nothing can be stopped or started until it does.` }];
}

function draining({ state }) {
  const texts = {
    draining: "The proxy is draining: no new turn can begin, and those that run come to their end.",
    settled: "The proxy has drained: nothing runs, and Hermes can be restarted.",
  };
  return texts[state] ? [{ mood: "note", text: texts[state] }] : [];
}

function lanes({ lanes: all }) {
  const consequences = {
    control: "a Stop has to wait.",
    calls: "pages load slowly or not at all.",
    relays: "another tab cannot follow its turn (503).",
  };
  const full = Object.entries(all).filter(([, lane]) => lane.in_use >= lane.limit);
  return full.map(([name, { limit }]) => ({
    mood: "bad", text: `All ${limit} connections of the lane ${name} are in use: ${consequences[name]}`,
  }));
}

function slowStops(cancels) {
  const slow = cancels.filter(({ outcome, age }) => outcome === "under_way" && age > SLOW);
  return slow.map(({ stream, receipt }) => ({ mood: "bad", text: `The Stop of ${stream} is stuck: ${MISSING[receipt.missing[0]]}.` }));
}

/** Turns that go on as far as anybody knows: what counts is the last Stop of each. */
function unstopped(cancels) {
  const last = cancels.filter(({ stream }, index) => cancels.findIndex((other) => other.stream === stream) === index);
  const number = last.filter((stop) => didNotStop(stop) && stop.age < RECENT).length;
  if (!number) return [];
  const workers = number === 1 ? "its worker was" : "their workers were";
  return [{ mood: "bad", text: `Hermes did not stop ${count(number, "turn")} of the last minutes: ${workers} never seen to end. Press Stop again, or start Hermes anew.` }];
}

function unsettledStops(cancels) {
  const unsettled = cancels.filter((stop) => stop.outcome === "unsettled" && !didNotStop(stop) && stop.age < RECENT);
  if (!unsettled.length) return [];
  const missing = [...new Set(unsettled.flatMap(({ receipt }) => receipt.missing))].map((step) => MISSING[step]);
  return [{ mood: "bad", text: `${count(unsettled.length, "Stop")} of the last minutes never settled: ${missing.join("; ")}.` }];
}

function failedStops(cancels) {
  const failed = cancels.filter(({ outcome, age }) => outcome === "failed" && age < RECENT);
  return failed.length ? [{ mood: "bad", text: `${count(failed.length, "Stop")} of the last minutes got no answer from Hermes.` }] : [];
}

function held({ starts_waiting: waiting }) {
  if (!waiting) return [];
  return [{ mood: "note", text: `${count(waiting, "next turn waits", "next turns wait")} until the stopped one has settled.` }];
}

function heldOver({ held: number }) {
  if (!number) return [];
  return [{ mood: "note", text: `${count(number, "new turn is", "new turns are")} held until Hermes is back after its restart.` }];
}

function mistakes({ internal_errors: number }) {
  if (!number) return [];
  return [{ mood: "bad", text: `The proxy made ${count(number, "mistake")} and let those requests pass unguarded; its log says more.` }];
}

/** @returns {{mood: "good"|"note"|"bad", text: string}[]} the worst first; never nothing */
export function concerns({ status, cancels }) {
  const found = [
    ...backend(status), ...lanes(status), ...unstopped(cancels), ...slowStops(cancels), ...unsettledStops(cancels),
    ...failedStops(cancels), ...mistakes(status), ...draining(status), ...heldOver(status),
    ...held(status),
  ];
  if (found.length) return found.sort((a, b) => HEEDED[a.mood] - HEEDED[b.mood]);
  return [{ mood: "good", text: "All is well: Hermes answers, and no Stop is stuck." }];
}
