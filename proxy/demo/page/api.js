/** The calls of Hermes WebUI that this page makes. Addresses are relative: the page works on any origin. */

/** Longest that a call may take, a start or cancel that the proxy holds included. */
const CALL_TIMEOUT = 30_000;

const STREAM = (id) => `stream_id=${encodeURIComponent(id)}`;
const SESSION = (id) => `session_id=${encodeURIComponent(id)}`;

/** @returns {{status: number, ok: boolean, body: object, guard: string|null}}; status 0: no answer came. */
async function call(path, options = {}) {
  try {
    const response = await fetch(path, { ...options, signal: AbortSignal.timeout(CALL_TIMEOUT) });
    const body = await response.json().catch(() => ({}));
    return { status: response.status, ok: response.ok, body, guard: response.headers.get("Stream-Guard") };
  } catch (error) {
    return { status: 0, ok: false, body: { error: `No answer: ${error.message}` }, guard: null };
  }
}

/** What a backend with a password wants to see in every POST of a page; the configuration names it. */
let csrfToken = null;

function post(path, json) {
  const headers = { "Content-Type": "application/json" };
  if (csrfToken) headers["X-Hermes-CSRF-Token"] = csrfToken;
  return call(path, { method: "POST", headers, body: JSON.stringify(json) });
}

async function config() {
  const answer = await call("demo/config.json");
  csrfToken = answer.body.csrf_token ?? null;
  return answer;
}

export const api = {
  config,
  newSession: () => post("api/session/new", {}),
  session: (id) => call(`api/session?${SESSION(id)}`),
  sessionState: (id) => call(`api/session?${SESSION(id)}&messages=0&resolve_model=0`),
  start: (session, message) =>
    post("api/chat/start", { session_id: session.session_id, message, model: session.model }),
  cancel: (stream) => call(`api/chat/cancel?${STREAM(stream)}`),
  status: (stream) => call(`api/chat/stream/status?${STREAM(stream)}`),
  events: (stream, cursor) => new EventSource(`api/chat/stream?${STREAM(stream)}${cursor}`),
};
