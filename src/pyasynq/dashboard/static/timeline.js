// What happened to a task, on one line and as a list.
import { html } from "./lib.js";
import { hasText, t } from "./i18n.js";
import { clock, day, duration, minute, moment, now } from "./time.js";
import { Foreign, Glyph } from "./ui.js";

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

export function Timeline({ items, task }) {
  if (!items.length) return null;
  const isOver = task.state === "completed" || task.state === "archived";
  const gap = (at) => at > 0 && (Date.parse(items[at].at) - Date.parse(items[at - 1].at)) / 1000;
  return html`<section class="panel" aria-label=${t("timeline")}>
    <header><h2>${t("timeline")}</h2><span class="sp"></span>${items.length > 1 && html`<span class="dim m-hide">${t("events_n", { n: items.length })}</span>`}</header>
    <div class="in">
      ${items.length > 1 && html`<${Line} items=${items} isOver=${isOver} />`}
      <ol class="events">
        ${items.map((item, at) => {
          const [state, glyph] = lookOf(item.what);
          return html`<li class="s-${state}">
            <${Glyph} name=${glyph} /><time datetime=${item.at} class="nw">${moment(item.at)}</time>
            <span>${nameOf(item.what)}</span><span class="dim cut" title=${item.detail}><${Foreign} text=${item.detail} /></span>
            <span class="dim nw m-hide">${gap(at) > 0 ? `+${duration(gap(at))}` : ""}</span>
          </li>`;
        })}
      </ol>
    </div>
  </section>`;
}
