// Calls of the API, and what they say about this reader; an error is a `Problem` (RFC 9457).
import { signal, useEffect, useRef, useSignal } from "./lib.js";

const BASE = "api/v1/";

class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `${status}`);
    Object.assign(this, { status, ...body });
  }
}

const urlOf = (path, query = {}) => {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  return BASE + path + (given.length ? `?${new URLSearchParams(given)}` : "");
};

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

// -- who looks, and what this reader may do; asked once --------------------------------------------

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

// -- what a page reads: at once, then again every few seconds while it is looked at ----------------

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
