/** Charts of the last minutes, as inline SVG: an area over steps, and dots over ages. */

import { drawing, element } from "./dom.js";
import { count, duration } from "./words.js";

const WIDTH = 300;
const HEIGHT = 64;
/** Seconds that are shown at least. */
const SHORTEST = 60;

/** A round number that is not below the value: what an axis ends at. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((round) => round >= value * 0.999);
}

const rounded = (rate) => (rate < 10 ? rate.toFixed(1) : String(Math.round(rate)));

/** The part of the history that there is anything to see of: the proxy may have begun a minute ago. */
function visible({ step, events }, uptime) {
  const points = Math.min(events.length, Math.max(Math.ceil(uptime / step), SHORTEST / step) + 1);
  return { step, events: events.slice(-points, -1), span: (points - 1) * step }; // the last step is not over yet
}

function chart({ title, summary, top, span, marks }) {
  const lines = [0, 0.5, 1].map((part) =>
    drawing("line", { class: "grid", x1: 0, x2: WIDTH, y1: part * HEIGHT, y2: part * HEIGHT }),
  );
  const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: ${summary}` };
  return element(
    "figure", { class: "chart" },
    element("figcaption", {}, element("span", {}, title), element("span", { class: "soft" }, summary)),
    element("div", { class: "plot" },
      drawing("svg", box, ...lines, ...marks),
      element("span", { class: "top-label", "aria-hidden": "true" }, top)),
    element("div", { class: "axis", "aria-hidden": "true" },
      element("span", {}, `${duration(span)} ago`), element("span", {}, "now")),
  );
}

/**
 * @param {{step: number, events: number[]}} history
 * @param {number} uptime  of the proxy, in seconds
 */
export function eventsChart(history, uptime) {
  const { step, events, span } = visible(history, uptime);
  const rates = events.map((number) => number / step);
  const top = ceiling(Math.max(1, ...rates));
  const x = (index) => ((index + 0.5) * WIDTH) / rates.length;
  const y = (rate) => HEIGHT - (rate / top) * HEIGHT;
  const points = rates.map((rate, index) => `${x(index).toFixed(1)},${y(rate).toFixed(1)}`).join(" ");
  const marks = [
    drawing("polygon", { class: "area", points: `${x(0)},${HEIGHT} ${points} ${x(rates.length - 1)},${HEIGHT}` }),
    drawing("polyline", { class: "line", points }),
  ];
  const summary = `now ${rounded(rates.at(-1))} · most ${rounded(Math.max(...rates))}`;
  return chart({ title: "Events a second", summary, top: rounded(top), span, marks });
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

/**
 * @param {{step: number, events: number[], cancels: {age: number, took: number|null}[]}} history
 * @param {number} uptime  of the proxy, in seconds
 */
export function settleChart(history, uptime) {
  const { span } = visible(history, uptime);
  const { cancels } = history;
  const took = cancels.map((cancel) => cancel.took).filter((seconds) => seconds !== null);
  const top = ceiling(Math.max(0.2, ...took));
  const x = (age) => Math.max(0, WIDTH * (1 - age / span)).toFixed(1);
  const marks = cancels.map(({ age, took: seconds }) => {
    const y = seconds === null ? 0 : HEIGHT - (seconds / top) * HEIGHT;
    return drawing("line", { class: seconds === null ? "dot never" : "dot", x1: x(age), x2: x(age), y1: y, y2: y });
  });
  const never = cancels.length - took.length;
  const summary = [
    took.length ? `median ${duration(median(took))} · longest ${duration(Math.max(...took))}` : "no Stop settled",
    never ? `${count(never, "Stop")} never` : null,
  ];
  return chart({ title: "Time to settle", summary: summary.filter(Boolean).join(" · "), top: duration(top), span, marks });
}
