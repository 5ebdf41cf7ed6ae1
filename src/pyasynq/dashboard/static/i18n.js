// Texts, numbers and times in the reader's language. In a text `{name}` is replaced by a value, and
// `{n|task|tasks}` by the word for one or for several.
import { computed, html, signal } from "./lib.js";

// -- what a reader has chosen: language, theme, whether single keys act --

const STORE = "pyasynq.dashboard";

function read() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) || {};
  } catch {
    return {}; // the browser keeps nothing, or something else
  }
}

const settings = read();

export const setting = (name) => settings[name];

export function keep(name, value) {
  settings[name] = value;
  try {
    localStorage.setItem(STORE, JSON.stringify(settings));
  } catch {
    // It holds until the page is closed.
  }
}

export function showTheme() {
  if (settings.theme) document.documentElement.dataset.theme = settings.theme;
}

export function switchTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  keep("theme", (settings.theme || system) === "dark" ? "light" : "dark");
  showTheme();
}

// -- texts --

const NAMES = { en: "English", "zh-Hant": "繁體中文" };
const HOLE = /\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g;

export const languages = Object.entries(NAMES);
export const language = signal("");
let texts = {};

function preferred() {
  const [first = "en"] = navigator.languages;
  return setting("language") || (first.startsWith("zh") ? "zh-Hant" : "en");
}

export async function loadTexts(name = preferred()) {
  const chosen = name in NAMES ? name : "en";
  texts = await (await fetch(new URL(`texts/${chosen}.json`, import.meta.url))).json();
  document.documentElement.lang = chosen;
  language.value = chosen;
}

export async function chooseLanguage(name) {
  keep("language", name);
  await loadTexts(name);
}

export const hasText = (key) => key in texts;

// Return a text with its values, for attributes.
export const t = (key, values) => parts(key, values).join("");

// The same as a list for html``: values may be elements.
export function parts(key, values = {}) {
  language.value; // who shows a text is drawn again when the language changes
  const text = texts[key] ?? key;
  const found = [];
  let end = 0;
  for (const match of text.matchAll(HOLE)) {
    const [hole, name, one, several] = match;
    found.push(text.slice(end, match.index), fill(values[name], one, several));
    end = match.index + hole.length;
  }
  return [...found, text.slice(end)];
}

function fill(value, one, several) {
  if (one !== undefined) return value === 1 ? one : several;
  return typeof value === "number" ? number(value) : (value ?? "");
}

// What a check of the broker found, and what to do: in words of ours, or else in the server's.
export function finding({ code, values, node, message }) {
  const key = `doctor_${code}`;
  return hasText(key) ? (node ? `${node}: ` : "") + t(key, values) : message;
}

export function adviceOf(check, { code, values, advice }) {
  const key = code && [`advice_${code}`, `advice_${check}`].find(hasText);
  return advice && key ? t(key, values) : advice;
}

export const checkName = (check) => {
  const key = `checkname_${check}`;
  return hasText(key) ? t(key) : check;
};

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const number = (value) => (value == null ? "–" : WHOLE.format(value));

// Three digits for small places: 1.3k, 48k, 2.1M.
export function short(value) {
  if (value < 1000) return `${value}`;
  const [scaled, unit] = value < 999_500 ? [value / 1000, "k"] : [value / 1e6, "M"];
  return (scaled < 9.95 ? scaled.toFixed(1) : scaled.toFixed(0)) + unit;
}

// A rate: at most one decimal, none from 100 on.
export function rate(value) {
  if (value == null) return "–";
  if (value === 0) return "0";
  if (value < 0.05) return "<0.1";
  return value < 99.95 ? value.toFixed(1) : number(value);
}

export function percent(part) {
  if (part == null) return "–";
  const value = part * 100;
  if (value === 0) return "0 %";
  if (value < 0.01) return "<0.01 %";
  return `${value < 1 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : "100"} %`;
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (count >= 999.5 && power < units.length - 1) [count, power] = [count / 1000, power + 1];
  return `${power && count < 99.95 ? count.toFixed(1) : count.toFixed(0)} ${units[power]}`;
}

const two = (value) => `${value}`.padStart(2, "0");
let ahead_ms = 0;

export const now = signal(Date.now());
export const tick = () => (now.value = Date.now() + ahead_ms);
setInterval(() => document.hidden || tick(), 1000);

// Learn the server's clock from an instant that it has just named.
export function learn(at) {
  ahead_ms = Date.parse(at) - Date.now();
  tick();
}

// Two units at most: 4 ms, 1.4 s, 16 s, 4m 12s, 2h 04m, 3d 15h.
export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds === 0) return t("time_s", { s: "0" });
  if (seconds < 0.001) return t("time_under_ms");
  if (seconds < 1) return t("time_ms", { ms: Math.round(seconds * 1000) });
  if (seconds < 9.95) return t("time_s", { s: seconds.toFixed(1) });
  const whole = Math.round(seconds);
  const [m, h, d] = [Math.floor(whole / 60), Math.floor(whole / 3600), Math.floor(whole / 86_400)];
  if (!m) return t("time_s", { s: `${whole}` });
  if (!h) return t("time_m", { m: `${m}`, s: two(whole % 60) });
  if (!d) return t("time_h", { h: `${h}`, m: two(m % 60) });
  return t("time_d", { d: `${d}`, h: `${h % 24}` });
}

// A duration that changes every second has no decimals.
export const span = (seconds) =>
  seconds < 10
    ? t("time_s", { s: `${Math.max(0, Math.floor(seconds))}` })
    : duration(Math.floor(seconds));

export function relative(at) {
  const seconds = (Date.parse(at) - now.value) / 1000;
  return seconds > 0
    ? t("time_in", { span: span(seconds) })
    : t("time_ago", { span: span(-seconds) });
}

const clocks = computed(() => {
  const make = (options) => new Intl.DateTimeFormat(language.value || "en", options);
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const day = { year: "numeric", month: "short", day: "numeric" };
  return {
    time: make(time),
    minute: make({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
    day: make({ month: "short", day: "numeric" }),
    full: make({ ...day, ...time, timeZoneName: "short" }),
  };
});

export const clock = (at) => clocks.value.time.format(new Date(at));
export const day = (at) => clocks.value.day.format(new Date(at));
export const minute = (at) => clocks.value.minute.format(new Date(at));
export const full = (at) => clocks.value.full.format(new Date(at));

// The time of day; before it the day, unless that is today.
export function moment(at) {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date(now.value).toDateString();
  return isToday ? clock(at) : `${clocks.value.day.format(date)} ${minute(at)}`;
}

export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

// An instant, relative unless `absolute`; hovering shows all of it.
export function Time({ at, absolute = false }) {
  if (!at) return html`<span class="dim">–</span>`;
  return html`<time datetime=${at} title=${full(at)}>${absolute ? moment(at) : relative(at)}</time>`;
}
