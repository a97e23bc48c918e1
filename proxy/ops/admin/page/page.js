/** Looks at the proxy once a second, and at once when something happens; rests while nobody sees it. */

import { UnauthorizedError, follow, look, token } from "./api.js";
import { draw, drawEvents, drawLost, drawPill } from "./view.js";

const EVERY = 1_000;
/** After something happened; it seldom comes alone. */
const SOON = 150;
const AGAIN = 3_000;
const KEPT = 60;
/** Reports that say too little too often for a list that is read. */
const UNSHOWN = new Set(["request_ended", "request_slow"]);

const $ = (id) => document.getElementById(id);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let happenings = [];
let wake = () => {};
let waking = null;
let listening = false;
let seenAt = Date.now();

/** Has the page look again soon, however much happens until then. */
function lookSoon() {
  waking ??= setTimeout(() => {
    waking = null;
    wake();
  }, SOON);
}

const untilSeen = () =>
  document.hidden && new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));

/** Until it is time to look again, or something has happened. */
async function rest() {
  await Promise.race([pause(EVERY), new Promise((resolve) => { wake = resolve; })]);
  await untilSeen();
}

function askForToken() {
  $("shown").hidden = true;
  $("token-form").hidden = false;
  drawPill("plain", "locked");
  $("token-wrong").textContent = token.get() ? "That is not the token." : "";
  $("token").focus();
  return new Promise((resolve) => {
    $("token-form").onsubmit = (event) => {
      event.preventDefault();
      token.set($("token").value.trim());
      $("token").value = "";
      $("token-form").hidden = true;
      resolve();
    };
  });
}

/** The proxy has let this page in. */
function begin() {
  $("shown").hidden = false;
  if (!listening) void listen();
  listening = true;
}

async function watch() {
  for (;;) {
    try {
      draw(await look());
      seenAt = Date.now();
      if ($("shown").hidden) begin();
    } catch (error) {
      if (error instanceof UnauthorizedError) {
        await askForToken();
        continue;
      }
      drawLost(error.message, seenAt);
    }
    await rest();
  }
}

async function listen() {
  for (;;) {
    try {
      for await (const happening of follow()) {
        if (UNSHOWN.has(happening.event)) continue;
        happenings = [happening, ...happenings].slice(0, KEPT);
        drawEvents(happenings);
        lookSoon();
      }
    } catch {
      // `watch` says what is wrong; this only tries again.
    }
    await pause(AGAIN);
    await untilSeen();
  }
}

drawEvents(happenings);
void watch();
