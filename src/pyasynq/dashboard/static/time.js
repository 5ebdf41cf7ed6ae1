// Durations and instants in words; times are those of the server's clock.
import { computed, html, signal } from "./lib.js";
import { language, t } from "./i18n.js";

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
