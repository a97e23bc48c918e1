/** One Stop: what it was told, and its receipt as a small timeline. */

import { element } from "./dom.js";
import { MISSING, REASONS, STEPS, count, duration, timeOfDay, times } from "./words.js";

/** Seconds after which nobody waits for an answer any more. */
const GIVEN_UP = 5;

const BADGES = {
  settled: ["good", "settled"],
  unsettled: ["bad", "never settled"],
  under_way: ["busy", "settling"],
  stale: ["plain", "stale"],
  refused: ["plain", "too late"],
  passed: ["plain", "passed on"],
  unguarded: ["bad", "unguarded"],
  failed: ["bad", "no answer"],
  unanswered: ["plain", "unanswered"],
};

/** Whether its worker was there to the last (P11); a slot that is fenced is one of which nothing tells. */
export const didNotStop = ({ outcome, receipt }) => outcome === "unsettled" && receipt.slot === "busy";

function badge({ outcome, age, receipt }) {
  const [mood, word] = didNotStop({ outcome, receipt }) ? ["bad", "did not stop"] : BADGES[outcome];
  const after = { settled: receipt?.took, under_way: age }[outcome];
  return element("span", { class: "badge", "data-mood": mood }, after ? `${word} ${outcome === "settled" ? "in" : "for"} ${duration(after)}` : word);
}

const because = (reason) => (REASONS[reason] ? `: ${REASONS[reason]}` : "");

/** How it ended for the turn's worker, and how often the proxy had to ask. */
function worker({ repeats, slot_free: after, slot_freed_by: by }) {
  const asked = repeats ? `Sent to Hermes again, ${times(repeats)}. ` : "";
  const known = by === "restart" ? " Hermes was started anew." : "";
  return after === undefined ? asked.trim() : `${asked}Its worker was gone after ${duration(after)}.${known}`;
}

function givenUp(stop) {
  const { receipt } = stop;
  const open = receipt.missing.map((step) => MISSING[step]).join("; ");
  return didNotStop(stop) ? `Hermes did not stop: ${open}. ${worker(receipt)}` : `Given up: ${open}. ${worker(receipt)}`;
}

function waiting({ receipt }) {
  return [receipt.missing.length && `Waiting: ${MISSING[receipt.missing[0]]}.`, worker(receipt)].filter(Boolean).join(" ");
}

/** What became of a Stop, in words. */
function explanation(stop) {
  const { outcome, reason, status, failed, age, receipt, presses } = stop;
  const texts = {
    stale: `Not sent to Hermes${because(reason)}. Answered “cancelled: false”.`,
    refused: `Hermes had nothing to stop${because(reason)}. Answered “cancelled: false”.`,
    passed: `Hermes answered ${status}, which was passed on.`,
    unguarded: "The proxy made a mistake, and passed it on to Hermes as it was.",
    failed: `Hermes gave no answer (${failed}), and the browser was told so.`,
    unanswered: age > GIVEN_UP ? "Its browser left before the answer." : "Being judged.",
    unsettled: receipt && givenUp(stop),
    under_way: receipt && waiting(stop),
    settled: receipt && worker(receipt),
  };
  const more = presses > 1 ? `Pressed ${count(presses, "time")}.` : null;
  const text = [texts[outcome], more].filter(Boolean).join(" ");
  return text ? element("p", { class: "soft" }, text) : null;
}

function step(name, after, isOver) {
  const state = after !== undefined ? "done" : isOver ? "missing" : "open";
  const when = { done: () => duration(after), missing: () => "never", open: () => "…" }[state]();
  return element("li", { "data-step": name, "data-state": state }, element("span", {}, STEPS[name] ?? name), element("small", {}, when));
}

function timeline({ at, outcome, receipt }) {
  if (!receipt) return null;
  const asked = element("li", { "data-step": "asked", "data-state": "done" }, element("span", {}, "asked"), element("small", {}, timeOfDay(at)));
  const steps = Object.keys(STEPS).map((name) => step(name, receipt[name], outcome !== "under_way"));
  return element("ol", { class: "steps", "aria-label": "Receipt" }, asked, ...steps);
}

/** @param {object} stop  one of `/api/cancels` */
export function stopItem(stop) {
  return element(
    "li", { class: "stop", "data-cancel": stop.id, "data-outcome": stop.outcome },
    element("div", { class: "stop-head" },
      element("code", {}, stop.stream),
      badge(stop),
      element("time", { class: "soft", datetime: stop.at }, stop.receipt ? stop.id : timeOfDay(stop.at))),
    timeline(stop),
    explanation(stop),
  );
}
