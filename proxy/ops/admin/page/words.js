/** How the page says things: durations, times, and what each state, step, outcome and cause means. */

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const [minutes, rest] = [Math.floor(seconds / 60), Math.floor(seconds % 60)];
  if (minutes < 60) return rest && minutes < 10 ? `${minutes} min ${rest} s` : `${minutes} min`;
  const [hours, left] = [Math.floor(minutes / 60), minutes % 60];
  if (hours < 48) return left ? `${hours} h ${left} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

/** @param {string|number} moment @returns {string} the time of day here, such as 14:03:22 */
export const timeOfDay = (moment) => new Date(moment).toLocaleTimeString([], { hourCycle: "h23" });

export const times = (number) => ({ 1: "once", 2: "twice" })[number] ?? `${number} times`;

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

export const STATES = {
  running: "running",
  cancel_sent: "Stop sent",
  settling: "settling",
  gone: "ended unseen",
};

/** The steps of a cancel, in the order in which they are expected. */
export const STEPS = {
  backend_acked: "accepted",
  terminal_seen: "event",
  answered: "answered",
  slot_free: "worker gone",
};

/** What a step that has not happened leaves open. */
export const MISSING = {
  backend_acked: "Hermes has not accepted it",
  terminal_seen: "no event has told every tab",
  answered: "it has not been answered",
  slot_free: "Hermes' worker has not been seen to end",
};

export const REASONS = {
  finished: "its turn had finished",
  failed: "its turn had failed",
  cancelled: "its turn was stopped before",
  superseded: "another turn runs in its place",
  lost: "Hermes no longer knew its turn",
};

export const CAUSES = {
  browser_left: "The browser left",
  lingered: "Done, and silent since (F6)",
  superseded: "Another turn took its place",
  cancelled: "Stopped, and no event said so",
  idle: "Silence, not even a heartbeat",
  drained: "The proxy was stopped",
};

export const LANES = {
  control: "starts, stops, status",
  calls: "pages, files, everything else",
  relays: "streams that stay open",
};
