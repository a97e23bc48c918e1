/** One turn's event stream as a page follows it: text, ending, and finding it again when it breaks off. */

import { api } from "./api.js";

/** Sent between tokens and of no use to this page; listing them would drown the timeline. */
const UNLISTED = new Set(["metering"]);

const NAMES = [
  "token", "interim_assistant", "reasoning", "tool", "tool_complete", "approval", "clarify", "title",
  "title_status", "context_status", "goal", "goal_continue", "done", "stream_end", "pending_steer_leftover",
  "compressing", "compressed", "metering", "apperror", "warning", "cancel", "bg_task_complete",
];

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function parsed(event) {
  try {
    return JSON.parse(event.data || "{}") ?? {};
  } catch {
    return {};
  }
}

export class LiveStream {
  id;
  text = "";
  reasoning = "";
  /** The event that ended the turn for this page, or null while it lives. */
  ending = null;
  #source = null;
  #seq = 0;
  #eventId = "";
  #reconnected = false;
  #owner;
  #habits;
  #timeline;

  /**
   * @param {object} owner  what to do on text and on each ending (`onText`, `onDone`, `onStreamEnd`, `onError`,
   *   `onCancel`, `onLost`), whether the page has moved on (`disowns`), and how to ask the server what became of
   *   the turn (`settle`); each is called with this stream first, and an event's data second
   * @param {object} saved  what `snapshot` gave before a reload
   */
  constructor(id, { owner, habits, timeline, saved = {} }) {
    this.id = id;
    this.#owner = owner;
    this.#habits = habits;
    this.#timeline = timeline;
    this.text = saved.text ?? "";
    this.reasoning = saved.reasoning ?? "";
    if (habits.cursorOnRejoin) [this.#seq, this.#eventId] = [saved.seq ?? 0, saved.eventId ?? ""];
  }

  get open() {
    return this.#source !== null;
  }

  snapshot() {
    return { stream: this.id, text: this.text, reasoning: this.reasoning, seq: this.#seq, eventId: this.#eventId };
  }

  start() {
    this.#listen("");
  }

  /** Follows the stream again after a reload. @returns {Promise<boolean>} false if it is no more. */
  async rejoin() {
    const { body } = await api.status(this.id);
    if (!body.active && !body.replay_available) return false;
    this.#listen(body.active && !this.#habits.cursorOnRejoin ? "" : this.#replay());
    return true;
  }

  /** @param {"page"|"server"} by who ended the connection */
  close(by = "page") {
    if (!this.#source) return;
    this.#source.close();
    this.#source = null;
    this.#timeline.add("stream.closed", { stream: this.id, by, text: `stream closed by the ${by}` });
  }

  #replay() {
    if (this.#seq === 0) this.text = this.reasoning = "";
    return `&replay=1&after_seq=${this.#seq}&after_event_id=${encodeURIComponent(this.#eventId)}`;
  }

  #listen(cursor) {
    const source = api.events(this.id, cursor);
    this.#source = source;
    source.onopen = () => this.#timeline.add("stream.opened", { stream: this.id, text: "stream open" });
    for (const name of NAMES) source.addEventListener(name, (event) => this.#receive(source, name, event));
    // Hermes names one of its own events `error`: like its pages, this one cannot tell it from a broken connection.
    source.addEventListener("error", (event) => this.#broken(source, event));
  }

  #receive(source, name, event) {
    if (source !== this.#source) return;
    this.#remember(event.lastEventId);
    const data = parsed(event);
    const trouble = name === "apperror";
    const text = trouble && data.message ? `${name}: ${data.message}` : name;
    if (!UNLISTED.has(name)) this.#timeline.add("event", { stream: this.id, name, text, trouble });
    this.#act(name, data);
  }

  #remember(lastEventId) {
    const seq = Number.parseInt(lastEventId.slice(lastEventId.lastIndexOf(":") + 1), 10);
    if (seq > this.#seq) [this.#seq, this.#eventId] = [seq, lastEventId];
  }

  #act(name, data) {
    switch (name) {
      case "token": return this.#append("text", data.text);
      case "reasoning": return this.#append("reasoning", data.text);
      case "interim_assistant": return data.already_streamed ? undefined : this.#append("text", data.text);
      case "done": return this.#owner.onDone(this, data);
      case "stream_end": return this.ending ? this.close() : this.#owner.onStreamEnd(this);
      case "apperror": return this.#owner.onError(this, data);
      case "cancel": return this.#owner.onCancel(this, data);
    }
  }

  #append(field, text) {
    if (this.ending || !text) return;
    this[field] += text;
    this.#owner.onText(this);
  }

  async #broken(source, event) {
    if (source !== this.#source) return;
    if (event instanceof MessageEvent) {
      this.#timeline.add("event", { stream: this.id, name: "error", text: "error", trouble: true });
    }
    this.close("server");
    if (this.ending || this.#owner.disowns(this)) return;
    if (!this.#reconnected && (await this.#reconnect())) return;
    if (!(await this.#owner.settle(this))) this.#owner.onLost(this);
  }

  /** @returns {Promise<boolean>} true once the stream is followed again or the turn has been settled. */
  async #reconnect() {
    this.#reconnected = true;
    for (const delay of this.#habits.reconnectDelays) {
      this.#timeline.add("reconnect", { stream: this.id, text: `looks for the stream again in ${delay / 1000} s` });
      await pause(delay);
      if (this.ending || this.#owner.disowns(this)) return true;
      if (await this.rejoin()) return true;
      if (await this.#owner.settle(this)) return true;
    }
    return false;
  }
}
