// Calls of the API, and the one stream that feeds all numbers that move. An error is a `Problem`
// (RFC 9457).
import { learn, now, tick } from "./i18n.js";
import { computed, signal, useEffect, useRef, useSignal } from "./lib.js";
import { written } from "./route.js";

const BASE = "api/v1/";

class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `${status}`);
    Object.assign(this, { status, ...body });
  }
}

const urlOf = (path, query = {}) => BASE + path + written(query);

export const get = (where, query, signal) => call(urlOf(where, query), { signal });

export const send = (method, where, body = {}) =>
  call(urlOf(where), {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

async function call(url, options) {
  let answer;
  try {
    answer = await fetch(url, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: "no answer", detail: error.message });
  }
  const text = await answer.text();
  let body = {};
  try {
    body = text ? JSON.parse(text) : {};
  } catch {
    body = { title: answer.statusText, detail: text.slice(0, 200) };
  }
  if (!answer.ok) throw new Problem(answer.status, body);
  return body;
}

// -- who looks, and what this reader may do; asked once --

export const me = signal(null);
export const refusal = signal(null);

export async function loadSession() {
  try {
    me.value = await get("me");
    refusal.value = null;
  } catch (problem) {
    refusal.value = problem;
  }
}

export const may = (action) => me.value?.actions.includes(action) ?? false;
export const hasFeature = (name) => me.value?.features[name] ?? false;

// -- what a page reads: at once, then again every few seconds while it is looked at --

const EVERY_MS = 5000;

// Return { data, problem, reload }. If `where` is null nothing is read; `every_ms` 0 reads once.
export function useResource(where, query = {}, { every_ms = EVERY_MS } = {}) {
  const key = `${where} ${JSON.stringify(query)}`;
  const state = useSignal({ key, data: null, problem: null });
  const load = useRef(() => {});
  useEffect(() => {
    if (!where) return undefined;
    const stop = new AbortController();
    let timer = 0;
    const keep = (change) => {
      const known = state.peek().key === key ? state.peek() : { data: null };
      state.value = { key, ...known, ...change };
    };
    load.current = async () => {
      clearTimeout(timer);
      try {
        if (!document.hidden) keep({ data: await get(where, query, stop.signal), problem: null });
      } catch (problem) {
        if (stop.signal.aborted) return;
        keep({ problem });
      }
      if (every_ms) timer = setTimeout(load.current, every_ms);
    };
    load.current();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key]);
  const { data, problem } = state.value.key === key ? state.value : { data: null, problem: null };
  return { data, problem, reload: () => load.current() };
}

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
