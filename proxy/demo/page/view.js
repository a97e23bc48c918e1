/** Draws the chat and the timeline. It reads what the others know and decides nothing. */

const $ = (id) => document.getElementById(id);

export const shortId = (stream) => stream.slice(0, 6);

function element(tag, text, attributes = {}) {
  const node = document.createElement(tag);
  node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) if (value !== false) node.setAttribute(name, value);
  return node;
}

/** The text of a message, whose content is a string or a list of parts. */
export function textOf({ content }) {
  if (typeof content === "string") return content;
  return (content ?? []).map((part) => part?.text ?? "").join("");
}

/** Keeps a list at its end while its reader is there, and lets them be when they have scrolled away. */
function keepAtEnd(box, draw) {
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  draw();
  if (atEnd) box.scrollTop = box.scrollHeight;
}

function liveRow({ text, reasoning }) {
  const row = element("li", "", { "data-role": "assistant", "data-live": "" });
  if (reasoning) row.append(element("span", reasoning, { class: "thinking" }));
  row.append(text || (reasoning ? "" : "…"));
  return row;
}

export function drawMessages({ belief, live }) {
  const rows = belief.messages.map((message) =>
    element("li", textOf(message), { "data-role": message.role, "data-error": Boolean(message.error) && "" }),
  );
  if (live) rows.push(liveRow(live));
  keepAtEnd($("transcript"), () => $("messages").replaceChildren(...rows));
  $("empty").hidden = rows.length > 0;
}

export function drawLive({ live }) {
  if (!live) return;
  const row = $("messages").querySelector("[data-live]");
  keepAtEnd($("transcript"), () => (row ? row.replaceWith(liveRow(live)) : $("messages").append(liveRow(live))));
}

export function drawState({ belief, canStop }) {
  const { busy, stream, queue, notice, session } = belief;
  const chip = busy ? `busy: ${stream ? shortId(stream) : "…"}` : "idle";
  if ($("chip").textContent !== chip) $("chip").textContent = chip;
  $("chip").dataset.busy = busy;
  $("transcript").setAttribute("aria-busy", busy);
  $("send").textContent = busy ? "Queue" : "Send";
  $("stop").disabled = !canStop;
  $("interrupt").disabled = !canStop;
  $("notice").textContent = notice;
  $("queue").replaceChildren(...queue.map((text) => element("li", `waits: ${text}`)));
  $("second-tab").hidden = !session;
  if (session) $("second-tab").href = `#${session.session_id}`;
}

function timelineRow({ at, kind, text, stream, count, trouble }) {
  const row = element("li", "", { "data-kind": kind, "data-trouble": Boolean(trouble) && "" });
  const id = element("span", stream && shortId(stream), { class: "stream" });
  row.append(element("time", `${at.toFixed(3)} s`), id, element("span", count > 1 ? `${text} ×${count}` : text));
  return row;
}

export function drawTimeline(change, entry) {
  const list = $("timeline");
  if (change === "cleared") return list.replaceChildren();
  keepAtEnd(list, () => {
    if (change === "counted") list.lastElementChild.replaceWith(timelineRow(entry));
    else list.append(timelineRow(entry));
  });
}

/** @param {string} route  `direct`, `guarded`, or `unknown` when the page was opened at another address */
export function drawHeader({ release, direct, guarded }, route) {
  $("release").textContent = release;
  for (const [name, address] of Object.entries({ direct, guarded })) {
    const link = $(`route-${name}`);
    if (address) link.href = `${new URL(address).origin}/`;
    else link.setAttribute("aria-disabled", "true");
    link.title = address ?? "Not running: start the demo with both to compare.";
    if (name === route) link.setAttribute("aria-current", "true");
  }
}

export function drawReport({ headline, good, findings }) {
  const list = element("ul", "");
  list.append(...findings.map((finding) => element("li", finding.text, { "data-good": String(finding.good) })));
  $("report").replaceChildren(element("p", headline, { class: "headline", "data-good": String(good) }), list);
}

export function drawProgress(text) {
  $("report").replaceChildren(element("p", text));
}
