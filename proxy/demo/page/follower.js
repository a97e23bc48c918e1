/** Follows the page's turns: what an event of a stream makes the page believe. */

import { api } from "./api.js";
import { saidBy } from "./belief.js";
import { LiveStream } from "./stream.js";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Follower {
  live = null;
  /** Every turn followed so far, for whoever watches: `{stream, prompt, text, reasoning, ending, error}`. */
  turns = [];
  #belief;
  #habits;
  #timeline;

  constructor({ belief, habits, timeline }) {
    this.#belief = belief;
    this.#habits = habits;
    this.#timeline = timeline;
  }

  follow(id, prompt) {
    this.#attach(id, prompt).start();
    this.#belief.changed("live");
  }

  /** Joins a turn that this page did not start, or had started before a reload. */
  async rejoin(id, prompt, saved) {
    const live = this.#attach(id, prompt, saved);
    if ((await live.rejoin()) || this.live !== live) return;
    this.#finish(live, "gone");
    this.#belief.becomeIdle();
  }

  close(id = this.live?.id) {
    if (this.live?.id === id) this.live?.close();
  }

  leave() {
    this.close();
    this.live = null;
  }

  #attach(id, prompt, saved) {
    this.close();
    const turn = { stream: id, prompt, text: "", reasoning: "", ending: null, error: null };
    this.turns.push(turn);
    const owner = this.#ownerOf(turn);
    this.live = new LiveStream(id, { owner, habits: this.#habits, timeline: this.#timeline, saved });
    return this.live;
  }

  #ownerOf(turn) {
    const ends = (ending, act) => (live, data = {}) => {
      if (this.#disowns(live)) return live.close();
      turn.ending = ending;
      return act(live, data);
    };
    return {
      onText: (live) => {
        Object.assign(turn, { text: live.text, reasoning: live.reasoning });
        this.#belief.changed("live");
      },
      onDone: ends("done", (live, data) => this.#done(live, data)),
      onStreamEnd: ends("stream_end", (live) => this.#settleAfterStreamEnd(live)),
      onError: ends("apperror", (live, data) => this.#fail(live, turn, data.message ?? "An error occurred.")),
      onCancel: ends("cancel", (live, data) => this.#cancelled(live, data)),
      onLost: ends("lost", (live) => this.#fail(live, turn, "The connection broke off before the answer's end.")),
      settle: (live) => this.#settle(live),
      disowns: (live) => this.#disowns(live),
    };
  }

  #disowns(live) {
    return this.live !== live || (this.#habits.ownsItsEndings && this.#belief.stream !== live.id);
  }

  #finish(live, ending) {
    live.ending = ending;
    if (ending !== "done") live.close(); // after `done` come the title and `stream_end` (F6)
    if (live.text) this.#belief.messages.push(saidBy("assistant", live.text));
    this.#belief.changed("messages");
  }

  #done(live, data) {
    this.#finish(live, "done");
    if (data.session?.messages) this.#belief.show(data.session);
    this.#belief.becomeIdle();
  }

  #fail(live, turn, message) {
    turn.error = message;
    this.#finish(live, turn.ending);
    this.#belief.say(saidBy("assistant", message, true));
    this.#belief.becomeIdle();
  }

  #cancelled(live, data) {
    const { session_id: id } = this.#belief.session;
    this.#finish(live, "cancel");
    if (this.#habits.sessionInCancel && data.session?.messages) this.#belief.show(data.session);
    else void this.#reload(id);
    this.#belief.becomeIdle();
  }

  async #reload(sessionId) {
    const { ok, body } = await api.session(sessionId);
    if (ok && this.#belief.isOf(sessionId)) this.#belief.show(body.session);
  }

  async #settleAfterStreamEnd(live) {
    for (const delay of this.#habits.settleDelays) {
      await pause(delay);
      if (live.ending || this.#disowns(live) || (await this.#settle(live))) return;
    }
    this.#finish(live, "stream_end");
    if (this.#habits.idleUnsettled) this.#belief.becomeIdle();
  }

  /** Ends a turn by what the server kept of it. @returns {Promise<boolean>} false while it still runs there. */
  async #settle(live) {
    const { ok, body } = await api.session(this.#belief.session.session_id);
    if (live.ending || this.#disowns(live)) return true;
    if (!ok || body.session.active_stream_id || body.session.pending_user_message) return false;
    this.#finish(live, "settled");
    this.#belief.show(body.session);
    this.#belief.becomeIdle();
    return true;
  }
}
