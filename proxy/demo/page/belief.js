/** What the page believes of its session: the transcript, what waits to be sent, and whether a turn runs. */

import { DRAIN_DELAY } from "./habits.js";

export const saidBy = (role, content, error = false) => ({ role, content, error });

export class Belief {
  session = null;
  messages = [];
  queue = [];
  busy = false;
  /** The stream taken for the current turn. Like the real pages', it is kept apart from `busy`. */
  stream = null;
  notice = "";
  #idleWaiters = [];
  #timeline;
  #onChange;
  #onDrain;

  /**
   * @param {(what: "messages"|"live"|"state") => void} onChange
   * @param {(text: string) => void} onDrain  sends what had been queued
   */
  constructor({ timeline, onChange, onDrain }) {
    this.#timeline = timeline;
    this.#onChange = onChange;
    this.#onDrain = onDrain;
  }

  changed(what = "state") {
    this.#onChange(what);
  }

  /** Fulfilled the next time the page becomes idle, in that very tick. */
  idle() {
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  isOf(sessionId) {
    return this.session?.session_id === sessionId;
  }

  say(message) {
    this.messages.push(message);
    this.changed("messages");
  }

  note(notice) {
    this.notice = notice;
    this.changed();
  }

  /** Takes the server's word for the whole transcript. */
  show(session) {
    this.session = session;
    this.messages = (session.messages ?? []).filter((m) => m?.role === "user" || m?.role === "assistant");
    const pending = session.active_stream_id && session.pending_user_message;
    if (pending && this.messages.at(-1)?.content !== pending) this.messages.push(saidBy("user", pending));
    this.changed("messages");
  }

  forget() {
    Object.assign(this, { session: null, messages: [], queue: [] });
    this.becomeIdle();
    this.changed("messages");
  }

  becomeBusy(stream = null) {
    this.stream = stream;
    this.#setBusy(true);
  }

  becomeIdle(notice = "") {
    this.stream = null;
    this.notice = notice;
    this.#setBusy(false);
    if (this.queue.length) this.#drain(this.queue.shift(), this.session?.session_id);
  }

  enqueue(text, { again = false } = {}) {
    this.queue.push(text);
    this.#timeline.add("queued", { text: `${again ? "queued again" : "queued"}: ${text}`, trouble: again });
    this.changed();
  }

  #setBusy(busy) {
    if (busy !== this.busy) this.#timeline.add("state", { text: busy ? "page: busy" : "page: idle", busy });
    this.busy = busy;
    this.changed();
    if (!busy) for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #drain(text, sessionId) {
    setTimeout(() => {
      if (this.isOf(sessionId)) this.#onDrain(text);
    }, DRAIN_DELAY);
  }
}
