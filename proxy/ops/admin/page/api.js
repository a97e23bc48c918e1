/** What the page asks of the admin listener, with the token if one is needed. Addresses are relative. */

const TOKEN = "stream-guard.token";
/** Longest that an answer may take. */
const PATIENCE = 5_000;

export class UnauthorizedError extends Error {}

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
};

function ask(path, signal) {
  const shown = token.get();
  return fetch(path, { signal, headers: shown ? { Authorization: `Bearer ${shown}` } : {} });
}

async function checked(response) {
  if (response.status === 401) throw new UnauthorizedError();
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new Error(error ?? `HTTP ${response.status}`);
}

async function get(path) {
  return (await checked(await ask(path, AbortSignal.timeout(PATIENCE)))).json();
}

/** Everything that is shown, as of now. */
export async function look() {
  const asked = ["status", "streams", "cancels?limit=12", "history"].map((name) => get(`api/${name}`));
  const [status, { streams }, { cancels }, history] = await Promise.all(asked);
  return { status, streams, cancels, history };
}

function parse(frame) {
  const fields = Object.fromEntries(frame.split("\n").map((line) => line.split(/: (.*)/s, 2)));
  return fields.data ? { event: fields.event, ...JSON.parse(fields.data) } : null;
}

/** What happens from now on. EventSource would be shorter, but cannot show a token. */
export async function* follow() {
  const response = await checked(await ask("api/events"));
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    const frames = (rest + piece.value).split("\n\n");
    rest = frames.pop();
    yield* frames.map(parse).filter(Boolean);
  }
}
