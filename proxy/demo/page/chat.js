/** The chat as a release's page offers it: send, queue, stop, interrupt, open. */

import { api } from "./api.js";
import { Belief, saidBy } from "./belief.js";
import { Follower } from "./follower.js";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Chat {
  #belief;
  #follower;
  #sending = false;
  #habits;
  #timeline;

  /** @param {(what: "messages"|"live"|"state") => void} onChange */
  constructor({ habits, timeline, onChange }) {
    this.#habits = habits;
    this.#timeline = timeline;
    this.#belief = new Belief({ timeline, onChange, onDrain: (text) => this.send(text) });
    this.#follower = new Follower({ belief: this.#belief, habits, timeline });
  }

  /** @returns {Readonly<Belief>} */
  get belief() {
    return this.#belief;
  }

  get live() {
    const { live } = this.#follower;
    return live && !live.ending ? live : null;
  }

  get turns() {
    return this.#follower.turns;
  }

  get canStop() {
    return this.#belief.busy && this.#belief.stream !== null;
  }

  /** Sends, or queues while a turn runs. */
  async send(text) {
    this.#forgetUnconfirmedTurn();
    if (this.#sending || this.#belief.busy) return this.#belief.enqueue(text);
    this.#sending = true;
    try {
      if (this.#belief.session || (await this.#createSession())) await this.#startTurn(text);
    } finally {
      this.#sending = false;
    }
  }

  async stop() {
    const { stream } = this.#belief;
    if (!stream) return;
    this.#timeline.add("cancel.asked", { stream, text: "cancel asked" });
    const answer = await api.cancel(stream);
    this.#recordCancelAnswer(stream, answer);
    this.#heedCancelAnswer(stream, answer);
  }

  async interrupt(text) {
    this.#belief.enqueue(text);
    await this.stop();
  }

  /** Leaves the conversation for a fresh one; what runs in the old one runs on. */
  leave() {
    this.#follower.leave();
    this.#belief.forget();
  }

  /** Opens a session by its id, and joins the turn that runs in it. @returns {Promise<boolean>} false if unknown. */
  async open(id, saved) {
    const { ok, body } = await api.session(id);
    if (!ok || !body.session) return false;
    this.#belief.show(body.session);
    const { active_stream_id: running, pending_user_message: prompt } = body.session;
    if (!running) return true;
    this.#belief.becomeBusy(running);
    await this.#follower.rejoin(running, prompt ?? "", saved?.stream === running ? saved : {});
    return true;
  }

  async #createSession() {
    const { ok, body } = await api.newSession();
    if (ok) this.#belief.session = body.session;
    this.#belief.note(ok ? "" : `No session: ${body.error ?? "the backend refused"}`);
    return ok;
  }

  async #startTurn(text) {
    const { session } = this.#belief;
    this.#belief.say(saidBy("user", text));
    this.#belief.notice = "";
    this.#belief.becomeBusy();
    this.#timeline.add("start.asked", { text: `start asked: ${text}` });
    const answer = await api.start(session, text);
    this.#recordStartAnswer(answer);
    if (!this.#belief.isOf(session.session_id)) return;
    if (answer.status === 409) this.#conflict(text);
    else if (answer.ok) this.#started(answer.body.stream_id, text);
    else this.#refused(answer);
  }

  // The page was made busy before the start was asked, and no release makes it busy again here: if an answer
  // or event of the turn before made it idle meanwhile, it sits idle while this turn runs (F5).
  #started(id, prompt) {
    this.#belief.stream = id;
    this.#belief.session.active_stream_id = id;
    this.#follower.follow(id, prompt);
    this.#belief.changed();
  }

  #refused({ status, body }) {
    this.#belief.say(saidBy("assistant", `Error: ${body.error ?? `HTTP ${status}`}`, true));
    this.#belief.becomeIdle();
  }

  #conflict(text) {
    this.#belief.enqueue(text, { again: true });
    this.#belief.note("The session is still running. Your message was queued again.");
    void this.#awaitSettledSession(this.#belief.session.session_id);
  }

  /** After a 409 the page has no stream to wait for: it looks at the session until nothing runs there. */
  async #awaitSettledSession(id) {
    const waiting = () => this.#belief.busy && !this.#belief.stream && this.#belief.isOf(id);
    while (waiting()) {
      await pause(this.#habits.conflictPoll);
      const { ok, body } = await api.session(id);
      if (!waiting() || !ok || body.session.active_stream_id || body.session.pending_user_message) continue;
      this.#belief.show(body.session);
      this.#belief.becomeIdle();
    }
  }

  #heedCancelAnswer(stream, { ok, body }) {
    const nothingRuns = body.cancelled === false && (ok || !this.#habits.needsOkToClear);
    if (this.#habits.clearsOnEveryAnswer) this.#belief.becomeIdle();
    else if (this.#belief.stream !== stream) this.#follower.close(stream);
    else if (nothingRuns) this.#belief.becomeIdle("The stream is no longer active.");
  }

  /** A page that is busy with nothing it could name believes the next Send instead. */
  #forgetUnconfirmedTurn() {
    const { busy, stream, session } = this.#belief;
    const confirmed = stream || session?.active_stream_id || session?.pending_user_message;
    if (busy && !this.#sending && !confirmed) this.#belief.becomeIdle();
  }

  #recordStartAnswer({ status, body, guard }) {
    const stream = body.stream_id ?? body.active_stream_id ?? "";
    const naming = status === 409 ? ", naming this stream as running" : "";
    const text = `start answered ${status || "not at all"}${naming}${verdictOf(guard)}`;
    this.#timeline.add("start.answered", { stream, status, guard, trouble: status !== 200, text });
  }

  #recordCancelAnswer(stream, { status, body, guard }) {
    const said = status === 200 ? `cancelled:${body.cancelled}` : `${status || "not at all"}`;
    const reason = body.reason ? ` (${body.reason})` : "";
    const facts = { status, cancelled: body.cancelled, reason: body.reason ?? null, guard };
    this.#timeline.add("cancel.answered", {
      stream, ...facts, text: `cancel answered ${said}${reason}${verdictOf(guard)}`,
    });
  }
}

const verdictOf = (guard) => (guard ? ` – Stream-Guard: ${guard}` : "");
