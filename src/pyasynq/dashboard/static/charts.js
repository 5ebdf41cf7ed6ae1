// Charts over time or over durations, and the time line of a task.
import { clock, day, duration, hasText, minute, moment, now, t } from "./i18n.js";
import { html, useEffect, useRef, useSignal } from "./lib.js";
import { Foreign, Glyph, Panel } from "./ui.js";

const HEIGHT = 132;
const RIGHT = 52; // of the labels
const BOTTOM = 18;
const TOP = 8;
const DAY_S = 86_400;

const known = (lines) => lines.flatMap(({ values }) => values.filter((value) => value != null));

function decades(lines) {
  const values = known(lines).filter((value) => value > 0);
  const [low, high] = [Math.min(...values, 0.01), Math.max(...values, 0.1)];
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const marks = Array.from({ length: to - from + 1 }, (_, at) => 10 ** (from + at));
  const part = (value) => (Math.log10(Math.max(value, 10 ** from)) - from) / (to - from);
  return { marks, part };
}

function steps(lines) {
  const high = Math.max(...known(lines), 1);
  const rough = high / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, power * [1, 2, 5, 10].find((one) => one * power >= rough));
  const top = Math.ceil(high / step) * step;
  const marks = Array.from({ length: Math.round(top / step) + 1 }, (_, at) => at * step);
  return { marks, part: (value) => value / top };
}

function timeMarks(times, room) {
  const span = times.at(-1) - times[0];
  const most = Math.max(2, Math.floor(room / 80));
  const every = [600, 900, 1800, 3600, 2 * 3600, 6 * 3600, DAY_S / 2, DAY_S];
  const step = every.find((one) => span / one <= most) ?? DAY_S;
  const margin = (20 / room) * span; // room for half of a label
  return times.filter((at) => at % step === 0 && at - times[0] > margin);
}

// What is along a chart: how many places, which is shown first, what each stands for, and what is
// written below some of them: [place, text].
export const timeAxis = (times) => ({
  length: times.length,
  first: Math.max(0, times.length - 2), // the last one is not over yet
  about: t("over_time", { n: times.length }),
  nameOf: (index) => moment(times[index] * 1000),
  marks: (room) => timeMarks(times, room).map((at) => [times.indexOf(at), minute(at * 1000)]),
});

// Counts of what took long, and longer: `limits` are where all but the last end, in seconds.
export function histogram(counts, limits) {
  const from = Math.max(0, counts.findIndex(Boolean) - 1);
  const values = counts.slice(from, counts.findLastIndex(Boolean) + 2);
  const [low, high] = [(at) => limits[from + at - 1], (at) => limits[from + at]];
  const axis = {
    length: values.length,
    first: values.indexOf(Math.max(...values)),
    about: t("over_durations", { n: values.length }),
    nameOf: (at) =>
      high(at) ? `${duration(low(at) ?? 0)} – ${duration(high(at))}` : `≥ ${duration(low(at))}`,
    marks(room) {
      const every = Math.ceil((values.length * 56) / room);
      const all = values.map((_, at) => [at, duration(low(at) ?? 0)]);
      return all.filter(([at]) => at % every === 0);
    },
  };
  return { axis, values };
}

// A line with gaps where nothing is known; a value between two gaps is a dot.
function lineOf(values, x, y) {
  let isGap = true;
  return values
    .map((value, at) => {
      if (value == null) return ((isGap = true), "");
      const point = `${x(at).toFixed(1)},${y(value).toFixed(1)}`;
      const start = isGap;
      isGap = false;
      return start ? `M${point}h.01` : `L${point}`;
    })
    .join("");
}

const barsOf = (values, x, y, width) =>
  values
    .map((value, at) =>
      value ? `M${x(at).toFixed(1)},${y(0)}V${y(value).toFixed(1)}h${width}V${y(0)}z` : "",
    )
    .join("");

function Plot({ axis, lines, format, isLog, width, at }) {
  const room = width - RIGHT;
  const { marks, part } = isLog ? decades(lines) : steps(lines);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - part(value));
  const step = room / axis.length;
  const x = (index) => (index + 0.5) * step;
  const bar = Math.max(1, Math.min(24, step * 0.8)).toFixed(1);
  return html`<g>
    ${marks.map((mark) => html`<line class="grid" x2=${room} y1=${y(mark)} y2=${y(mark)} /><text x=${room + 6} y=${y(mark) + 3}>${format(mark)}</text>`)}
    ${axis.marks(room).map(([index, text]) => html`<text x=${x(index)} y=${HEIGHT - 4} text-anchor="middle">${text}</text>`)}
    ${lines.map(({ kind, values, isBar }) =>
      isBar
        ? html`<path class="bar ${kind}" d=${barsOf(values, (index) => x(index) - bar / 2, y, bar)} />`
        : html`<path class=${kind} d=${lineOf(values, x, y)} />`,
    )}
    ${at !== null && html`<line class="at" x1=${x(at)} x2=${x(at)} y1=${TOP} y2=${HEIGHT - BOTTOM} />`}
  </g>`;
}

// Lines: { name, kind: a class, values, isBar }.
export function Chart({ label, axis, lines, format, isLog = false }) {
  const place = useRef();
  const width = useSignal(0);
  const at = useSignal(null);
  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => (width.value = contentRect.width));
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  const move = (event) => {
    const { left } = place.current.getBoundingClientRect();
    const index = Math.floor(((event.clientX - left) / (width.value - RIGHT)) * axis.length);
    at.value = index >= 0 && index < axis.length ? index : null;
  };
  const press = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    at.value = Math.max(0, Math.min(axis.length - 1, index + by));
  };
  const index = at.value ?? axis.first;
  return html`<figure>
    <figcaption class="row"><h3>${label}</h3><span class="sp"></span><span class="dim nw">${axis.nameOf(index)}</span></figcaption>
    <div ref=${place} class="plot" tabindex="0" role="group" aria-label="${label}, ${axis.about}" onKeyDown=${press} onPointerMove=${move} onPointerLeave=${() => (at.value = null)}>
      <svg class="chart" width="100%" height=${HEIGHT} aria-hidden="true">
        ${width.value > 0 && html`<${Plot} ...${{ axis, lines, format, isLog, width: width.value, at: at.value }} />`}
      </svg>
    </div>
    <p class="legend" aria-live="polite">
      ${lines.map(({ name, kind, values }) => html`<span class="nw"><svg class="chart key" viewBox="0 0 16 8" aria-hidden="true"><path class=${kind} d="M0,4H16" /></svg> ${name} <b>${values[index] == null ? "–" : format(values[index])}</b></span>`)}
    </p>
  </figure>`;
}

const WIDTH = 900;
const EDGE = 30;
const LOOK = {
  enqueued: ["pending", "pending"],
  started: ["active", "active"],
  failed: ["archived", "cross"],
  completed: ["completed", "completed"],
  deleted: ["waiting", "dot"],
  due: ["retry", "scheduled"],
  deadline: ["archived", "alert"],
};
const lookOf = (what) => LOOK[what] ?? ["waiting", "dot"];
const nameOf = (what) => (hasText(`event_${what}`) ? t(`event_${what}`) : what);

function ticks(start, end) {
  const steps = [10, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400];
  const step = 1000 * (steps.find((one) => (end - start) / 1000 / one <= 8) ?? 365 * 86_400);
  const first = Math.ceil(start / step) * step;
  return Array.from(
    { length: Math.max(0, Math.floor((end - first) / step) + 1) },
    (_, at) => first + at * step,
  );
}

function Line({ items, isOver }) {
  const times = items.map((item) => Date.parse(item.at));
  if (!isOver) times.push(now.value);
  const [start, end] = [Math.min(...times), Math.max(...times)];
  const x = (ms) =>
    end === start ? WIDTH / 2 : EDGE + ((WIDTH - 2 * EDGE) * (ms - start)) / (end - start);
  const form = end - start > 86_400_000 ? day : end - start < 600_000 ? clock : minute;
  const marks = items.map((item) => ({ ...item, x: x(Date.parse(item.at)) }));
  return html`<div class="scroll end" tabindex="0" role="group" aria-label=${t("timeline")}>
    <svg class="chart gantt" viewBox="0 0 ${WIDTH} 62" role="img" aria-label=${t("timeline")}>
      ${ticks(start, end).map((ms) => html`<line class="grid" x1=${x(ms)} x2=${x(ms)} y1="8" y2="46" /><text x=${x(ms)} y="58" text-anchor="middle">${form(ms)}</text>`)}
      ${marks.slice(1).map((mark, at) => html`<path class="bo" d="M${marks[at].x},27H${mark.x}" />`)}
      ${!isOver && html`<line class="now" x1=${x(now.value)} x2=${x(now.value)} y1="4" y2="46" />`}
      ${marks.map((mark) => html`<rect class="s-${lookOf(mark.what)[0]} ${Date.parse(mark.at) > now.value ? "next" : ""}" x=${mark.x - 4} y="19" width="8" height="16" rx="2"><title>${nameOf(mark.what)} ${moment(mark.at)}</title></rect>`)}
    </svg>
  </div>`;
}

// The server's text is English: it is replaced where the try is known.
function detailOf(item, { attempts }) {
  const at = Date.parse(item.at);
  const failed = item.what === "failed" && attempts.find((one) => Date.parse(one.failed_at) === at);
  return failed ? `${t("try", { n: failed.retried + 1 })}: ${failed.error}` : item.detail;
}

export function Timeline({ items, task }) {
  if (!items.length) return null;
  const isOver = task.state === "completed" || task.state === "archived";
  const gap = (at) => at > 0 && (Date.parse(items[at].at) - Date.parse(items[at - 1].at)) / 1000;
  const count = items.length > 1 && html`<span class="dim m-hide">${t("events_n", { n: items.length })}</span>`;
  return html`<${Panel} name=${t("timeline")} more=${count}>
    <div class="in">
      ${items.length > 1 && html`<${Line} items=${items} isOver=${isOver} />`}
      <ol class="events">
        ${items.map((item, at) => {
          const [state, glyph] = lookOf(item.what);
          const detail = detailOf(item, task);
          return html`<li class="s-${state}">
            <${Glyph} name=${glyph} /><time datetime=${item.at} class="nw">${moment(item.at)}</time>
            <span>${nameOf(item.what)}</span><span class="dim cut" title=${detail}><${Foreign} text=${detail} /></span>
            <span class="dim nw m-hide">${gap(at) > 0 ? `+${duration(gap(at))}` : ""}</span>
          </li>`;
        })}
      </ol>
    </div>
  <//>`;
}
