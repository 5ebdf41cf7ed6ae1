// One stream feeds all numbers that move. It is closed while nobody sees the page. When it breaks,
// the page asks every few seconds instead, and says how old its numbers are.
import { computed, signal } from "./lib.js";
import { get } from "./api.js";
import { learn, now, tick } from "./time.js";

const STALE_MS = 5000;
const POLL_MS = 5000;

export const sample = signal(null);
export const problem = signal(null); // what the server says about its broker: { detail, since }
const PAST = 120;
export const trail = signal([]); // the totals of the last samples that this page has seen
const received_ms = signal(0);
const isPolling = signal(false);
let stream = null;
let timer = 0;

// "starting", "live", "polling" (numbers are fresh, but come seldom), "stale" or "away".
export const connection = computed(() => {
  if (problem.value?.status) return "away";
  if (!sample.value) return "starting";
  const limit = isPolling.value ? POLL_MS * 2 : STALE_MS;
  if (now.value - received_ms.value > limit) return "stale";
  return isPolling.value ? "polling" : "live";
});
export const isOld = computed(() => ["stale", "away"].includes(connection.value));
export const age_s = computed(() =>
  Math.max(0, Math.round((now.value - received_ms.value) / 1000)),
);

export function take(document) {
  learn(document.at);
  received_ms.value = now.value;
  problem.value = null;
  const latency = Math.max(0, ...document.queues.map((queue) => queue.latency));
  trail.value = [...trail.peek(), { ...document.totals, latency }].slice(-PAST);
  sample.value = document;
}

export function start() {
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : resume()));
  if (!document.hidden) resume();
}

function resume() {
  tick();
  poll();
  listen();
}

function stop() {
  stream?.close();
  stream = null;
  clearTimeout(timer);
}

function listen() {
  stream = new EventSource("api/v1/events");
  stream.addEventListener("sample", (event) => {
    isPolling.value = false;
    clearTimeout(timer);
    take(JSON.parse(event.data));
  });
  stream.addEventListener("problem", (event) => (problem.value = JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    isPolling.value = true;
    again();
    // A browser connects again by itself, unless the answer was an error.
    if (stream?.readyState === EventSource.CLOSED) {
      const broken = stream;
      setTimeout(() => stream === broken && !document.hidden && listen(), POLL_MS);
    }
  });
}

export async function poll() {
  try {
    take(await get("overview"));
  } catch (error) {
    // If the dashboard itself does not answer, the numbers just get old.
    const since = error.since ?? problem.value?.since ?? new Date(now.value).toISOString();
    problem.value = error.status ? { ...error, detail: error.message, since } : null;
  }
}

function again() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    await poll();
    if (isPolling.value && !document.hidden) again();
  }, POLL_MS);
}
