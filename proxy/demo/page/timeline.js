/** What happened, in order. Repeated events of one stream are one entry with a count ("token ×34"). */

const LIMIT = 500;

export class Timeline {
  #entries = [];
  #zero = performance.now();
  #onChange;

  /** @param {(change: "added"|"counted"|"cleared", entry?: object) => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  get entries() {
    return this.#entries;
  }

  clear() {
    this.#entries = [];
    this.#zero = performance.now();
    this.#onChange("cleared");
  }

  /**
   * @param {string} kind  `start.asked`, `start.answered`, `cancel.asked`, `cancel.answered`,
   *   `stream.opened`, `stream.closed`, `event`, `queued`, `reconnect`, `state`
   * @param {{text: string, stream?: string, trouble?: boolean, [fact: string]: unknown}} details
   */
  add(kind, { text, stream = "", ...facts }) {
    const last = this.#entries.at(-1);
    if (kind === "event" && last?.kind === kind && last.stream === stream && last.text === text) {
      last.count += 1;
      this.#onChange("counted", last);
      return;
    }
    const entry = { at: (performance.now() - this.#zero) / 1000, kind, text, stream, count: 1, ...facts };
    this.#entries.push(entry);
    if (this.#entries.length > LIMIT) this.#entries.shift();
    this.#onChange("added", entry);
  }
}
