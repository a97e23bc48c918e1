/**
 * What each release's own page does differently. Observed on the releases themselves; F2, F4, F5
 * in docs/how-it-decides.md are what these habits lead to.
 *
 * clearsOnEveryAnswer  goes idle on any answer to a cancel, whatever it says, and for whichever
 *                      turn is current by then
 * ownsItsEndings       heeds a terminal event only if its stream is still the current one
 * needsOkToClear       heeds `cancelled:false` only in a 2xx answer
 * cursorOnRejoin       gives its place in the journal when it joins a running stream again (F12)
 * sessionInCancel      takes the transcript from the `cancel` event when it carries one
 * reconnectDelays      milliseconds before each attempt to find a lost stream again
 * settleDelays         milliseconds before each look at the session after a bare `stream_end`
 * idleUnsettled        goes idle even if those looks found the turn still running
 * conflictPoll         milliseconds between looks at the session after a 409
 */
const V51 = {
  clearsOnEveryAnswer: false,
  ownsItsEndings: true,
  needsOkToClear: false,
  cursorOnRejoin: false,
  sessionInCancel: false,
  reconnectDelays: [1500],
  settleDelays: [0],
  idleUnsettled: false,
  conflictPoll: 5000,
};

const HABITS = {
  "v0.51.195": { ...V51, clearsOnEveryAnswer: true, ownsItsEndings: false },
  "v0.51.265": V51,
  "v0.52.262": {
    ...V51,
    needsOkToClear: true,
    cursorOnRejoin: true,
    sessionInCancel: true,
    reconnectDelays: [1500, 3000, 5000, 8000, 12000, 20000],
    settleDelays: [180, ...Array(10).fill(200)],
    idleUnsettled: true,
    conflictPoll: 1000,
  },
};

/** Pause between a turn's end and the sending of what was queued meanwhile; every release's. */
export const DRAIN_DELAY = 120;

export function habitsOf(release) {
  const habits = HABITS[release];
  if (!habits) throw new Error(`This page knows ${Object.keys(HABITS).join(", ")}, not ${release}.`);
  return habits;
}
