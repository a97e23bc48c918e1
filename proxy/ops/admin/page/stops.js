/** One Stop: what it was told, and its receipt as a small timeline. */

import { element } from "./dom.js";
import { MISSING, REASONS, STEPS, count, duration, timeOfDay } from "./words.js";

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

function badge({ outcome, age, receipt }) {
  const [mood, word] = BADGES[outcome];
  const after = { settled: receipt?.took, under_way: age }[outcome];
  return element("span", { class: "badge", "data-mood": mood }, after ? `${word} ${outcome === "settled" ? "in" : "for"} ${duration(after)}` : word);
}

const because = (reason) => (REASONS[reason] ? `: ${REASONS[reason]}` : "");

/** What a Stop without a whole receipt was told; nothing where the timeline says it all. */
function explanation({ outcome, reason, status, failed, age, receipt, presses }) {
  const texts = {
    stale: `Not sent to Hermes${because(reason)}. Answered “cancelled: false”.`,
    refused: `Hermes had nothing to stop${because(reason)}. Answered “cancelled: false”.`,
    passed: `Hermes answered ${status}, which was passed on.`,
    unguarded: "The proxy made a mistake, and passed it on to Hermes as it was.",
    failed: `Hermes gave no answer (${failed}), and the browser was told so.`,
    unanswered: age > GIVEN_UP ? "Its browser left before the answer." : "Being judged.",
    unsettled: `Given up: ${receipt?.missing.map((step) => MISSING[step]).join("; ")}.`,
    under_way: receipt?.missing.length ? `Waiting: ${MISSING[receipt.missing[0]]}.` : null,
    settled: receipt?.slot_freed_by === "next start" ? "The slot was known to be free by the next start." : null,
  };
  const more = presses > 1 ? `Pressed ${count(presses, "time")}, sent once.` : null;
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
