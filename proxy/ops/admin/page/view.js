/** What the page shows of what the proxy says: each a function of it, that builds elements. */

import { eventsChart, settleChart } from "./charts.js";
import { concerns } from "./diagnosis.js";
import { drawing, element, show } from "./dom.js";
import { stopItem } from "./stops.js";
import { CAUSES, LANES, STATES, count, duration, timeOfDay } from "./words.js";

const empty = (text) => element("p", { class: "soft" }, text);
const cell = (text, attributes = {}) => element("td", attributes, text);

function table(caption, headings, rows) {
  return element(
    "table", {},
    element("caption", { class: "visually-hidden" }, caption),
    element("thead", {}, element("tr", {}, ...headings.map(([text, kind]) => element("th", { scope: "col", class: kind ?? null }, text)))),
    element("tbody", {}, ...rows),
  );
}

/** A turn whose end passed by unseen, as nobody watches it: Hermes says that it does not run it. */
const isGone = ({ in_hermes: inHermes }) => inHermes === false;

function streamRow(turn) {
  const { session, stream, age, relays } = turn;
  const state = isGone(turn) ? "gone" : turn.state;
  return element(
    "tr", { "data-stream": stream, "data-state": state },
    cell(element("code", {}, session ?? "–")),
    cell(element("code", {}, stream)),
    cell(element("span", { class: "state", "data-state": state }, STATES[state])),
    cell(duration(age), { class: "number" }),
    cell(String(relays), { class: "number" }),
  );
}

/** What is known of turns that are in no tab. */
function unwatched(streams) {
  const alone = streams.filter(({ state, relays }) => state === "running" && !relays);
  const notes = [
    [isGone, "Nobody saw the end of a turn in no tab: Hermes says that it does not run it any more."],
    [({ in_hermes: inHermes }) => inHermes === null, "A turn in no tab is believed to run until something says that it has ended."],
  ];
  return notes.filter(([applies]) => alone.some(applies)).map(([, text]) => element("p", { class: "note" }, text));
}

function running(streams) {
  if (!streams.length) return [empty("No turn runs. One appears here when it is started, stopped or followed through the proxy.")];
  const headings = [["Session"], ["Stream"], ["State"], ["For", "number"], ["Tabs", "number"]];
  return [table("Turns that run or settle", headings, streams.map(streamRow)), ...unwatched(streams)];
}

function stops(cancels) {
  if (!cancels.length) return empty("Nobody has pressed Stop yet. Each Stop appears here with what became of it.");
  return element("ul", { class: "stops" }, ...cancels.map(stopItem));
}

function lane(name, { in_use: used, limit }) {
  const label = `${name}: ${used} of ${limit} in use`;
  return element(
    "div", { class: "lane", "data-lane": name, "data-full": used >= limit },
    element("div", { class: "lane-head" },
      element("span", {}, name, " ", element("span", { class: "soft" }, LANES[name])),
      element("span", { class: "number" }, `${used} / ${limit}`)),
    drawing("svg", {
      class: "bar", viewBox: "0 0 100 1", preserveAspectRatio: "none", role: "meter", "aria-label": label,
      "aria-valuenow": used, "aria-valuemin": 0, "aria-valuemax": limit,
    }, drawing("rect", { width: (100 * Math.min(used, limit)) / limit, height: 1 })),
  );
}

function orphans(closed) {
  const causes = Object.entries(closed).sort(([, a], [, b]) => b - a);
  if (!causes.length) return empty("None yet. A stream whose browser leaves, or that has nothing more to say, is closed so that it holds no connection.");
  const rows = causes.map(([cause, number]) =>
    element("tr", { "data-cause": cause }, cell(CAUSES[cause] ?? cause), cell(String(number), { class: "number" })),
  );
  return table("Streams the proxy closed, by cause", [["Why"], ["How many", "number"]], rows);
}

const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);

function totals({ cancels, settled, unsettled, starts, holds_expired: expired, relays, upstreams }) {
  const { stale = 0, coalesced = 0, replayed = 0 } = cancels;
  const facts = [
    ["Stops answered", sum(cancels)],
    ["… given the answer of one before", coalesced + replayed],
    ["… stale, and not sent to Hermes", stale],
    ["Settled", settled],
    ["Never settled", sum(unsettled)],
    ["Next turns held until then", starts.held ?? 0],
    ["… for as long as they may be", expired],
    ["Streams open to browsers now", relays],
    ["Streams open from Hermes now", upstreams],
  ];
  return element("dl", { class: "facts" }, ...facts.flatMap(([name, number]) => [element("dt", {}, name), element("dd", {}, String(number))]));
}

function pill({ state, backend }) {
  if (!backend.reachable) return ["bad", "Hermes is away"];
  if (backend.waiting_since) return ["busy", "Hermes is silent"];
  return { serving: ["good", "serving"], draining: ["busy", "draining"], settled: ["busy", "drained"] }[state];
}

export function drawPill(mood, text) {
  const output = document.getElementById("pill");
  output.dataset.mood = mood;
  if (output.textContent !== text) output.textContent = text;
}

function drawConcerns(found) {
  show("concerns", ...found.map(({ mood, text }) => element("li", { "data-mood": mood }, text)));
}

/** @param {{status: object, streams: object[], cancels: object[], history: object}} seen */
export function draw(seen) {
  const { status, streams, cancels, history } = seen;
  drawPill(...pill(status));
  const { upstream, listening, version, uptime } = status;
  show("about", "guards ", element("code", {}, upstream), " on ", element("code", {}, listening), ` · version ${version} · up ${duration(uptime)}`);
  drawConcerns(concerns(seen));
  show("running-count", String(streams.filter((turn) => !isGone(turn)).length));
  show("running", ...running(streams));
  show("stops", stops(cancels));
  show("lanes", ...Object.entries(status.lanes).map(([name, use]) => lane(name, use)));
  show("charts", settleChart(history, uptime), eventsChart(history, uptime));
  show("orphans", orphans(status.orphans_closed));
  show("totals", totals(status));
}

/** The proxy did not answer: what is shown is old, and says so. */
export function drawLost(problem, since) {
  drawPill("bad", "no answer");
  drawConcerns([{ mood: "bad", text: `The proxy has not answered since ${timeOfDay(since)} (${problem}). What is shown is from before.` }]);
}

const DETAILS = ["verdict", "reason", "why", "overdue", "code", "status", "held", "took", "missing", "step", "lost"];

function happening({ event, at, ...fields }) {
  const id = fields.stream ?? fields.session ?? fields.path ?? "";
  const details = DETAILS.filter((name) => fields[name] && fields[name].length !== 0)
    .map((name) => `${name} ${[fields[name]].flat().join(", ")}`);
  return element(
    "li", {},
    element("time", { class: "soft", datetime: at ?? null }, at ? timeOfDay(at) : ""),
    element("code", {}, id),
    element("span", {}, event.replaceAll("_", " "), details.length ? element("span", { class: "soft" }, ` ${details.join(" · ")}`) : null),
  );
}

export function drawEvents(happenings) {
  if (!happenings.length) return show("events", empty("Nothing has happened since this page was opened."));
  show("events", element("ol", { class: "events", tabindex: "0", "aria-label": `${count(happenings.length, "event")}, newest first` }, ...happenings.map(happening)));
}
