// One queue: its tasks by state, its days, its groups, and where it is.
import { html } from "../lib.js";
import { Glyph, Icon } from "../icons.js";
import { t } from "../i18n.js";
import { useKeys } from "../keys.js";
import { isOld, sample } from "../live.js";
import { bytes, number, percent, rate } from "../numbers.js";
import { tasksAt } from "../query.js";
import { queueActions } from "../queues.js";
import { useResource } from "../resource.js";
import { address } from "../route.js";
import { hasFeature } from "../session.js";
import { duration } from "../time.js";
import { Button, Failed, Foreign, STATES, Skeleton, State, StateBar } from "../ui.js";

const StateLinks = ({ queue }) =>
    html`<ul class="states">
    ${STATES.map((name) => html`<li><a href=${tasksAt({ queue: queue.queue, state: name })} class=${queue[name] ? "" : "dim"}><${State} name=${name} /><b>${number(queue[name])}</b></a></li>`)}
  </ul>`;

const Days = ({ days }) =>
    html`<section class="panel" aria-label=${t("days")}>
    <header><h2>${t("days")}</h2><span class="dim">UTC</span></header>
    <table class="tbl" aria-label=${t("days")}>
      <thead><tr><th scope="col">${t("day")}</th><th scope="col" class="num">${t("runs")}</th><th scope="col" class="num">${t("failed")}</th><th scope="col" class="num">${t("share")}</th></tr></thead>
      <tbody>${days.map((day) => html`<tr><td>${day.date}</td><td class="num">${number(day.processed)}</td><td class="num ${day.failed ? "" : "dim"}">${number(day.failed)}</td><td class="num dim">${day.processed ? percent(day.failed / day.processed) : "–"}</td></tr>`)}</tbody>
    </table>
  </section>`;

function Facts({ queue }) {
    const facts = [
        [t("waiting"), number(queue.pending)],
        [t("oldest_wait"), queue.pending ? duration(queue.latency) : "–"],
        [t("in_per_s"), rate(queue.in_per_s)],
        [t("out_per_s"), rate(queue.out_per_s)],
        [t("failed_per_min"), rate(queue.failed_per_min)],
        [t("workers"), t("workers_slots", { n: queue.servers, slots: number(queue.slots) })],
        [t("memory"), t("about", { value: bytes(queue.memory_usage) })],
        [t("runs_total"), number(queue.processed_total)],
        [t("failed_total"), number(queue.failed_total)],
        ...(queue.nodes ?? []).map((node) => [t("node"), node.address]),
    ];
    return html`<section class="panel" aria-label=${t("facts")}><header><h2>${t("facts")}</h2></header>
    <div class="in"><dl class="kv">${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl></div>
  </section>`;
}

export function Queue({ parts: [name] }) {
    const { data, problem, reload } = useResource("queue", { queue: name });
    const live = sample.value?.queues.find((queue) => queue.queue === name);
    const queue = data && { ...data, ...live, memory_usage: data.memory_usage };
    const actions = queue ? queueActions(queue) : [];
    const toggle = actions.find((action) => action.id === "pause");
    useKeys({
        p: {
            group: t("keys_queue"),
            text: t("key_pause"),
            off: !toggle || isOld.value,
            act: () => toggle.act(),
        },
    });
    if (problem && !data)
        return html`<div class="panel"><${Failed} problem=${problem} onRetry=${reload} /></div>`;
    if (!queue) return html`<div class="panel"><${Skeleton} /></div>`;
    return html`<div class="row acts">
      ${queue.paused && html`<span class="tag warn"><${Glyph} name="pause" />${t("paused")}</span>`}
      <span class="sp"></span>
      ${actions.map((action) => html`<${Button} kind=${action.danger ? "dng" : action.id === "pause" && queue.paused ? "pri" : ""} shortcut=${action.key} disabled=${action.off || isOld.value} onClick=${action.act}>${action.text}<//>`)}
    </div>
    <section class="panel" aria-label=${t("state")}><div class="in"><${StateBar} counts=${queue} /><${StateLinks} queue=${queue} /></div></section>
    <div class="split">
      <${Days} days=${data.days} />
      <div class="col">
        <${Facts} queue=${queue} />
        <div class="row">
          <a class="btn" href=${tasksAt({ queue: name })}><${Icon} name="tasks" />${t("page_tasks")}</a>
          ${hasFeature("history") && html`<a class="btn" href=${address(["types"], { queue: name })}><${Icon} name="types" />${t("page_types")}</a>`}
          ${queue.groups > 0 && html`<a class="btn" href=${address(["groups"], { queue: name })}><${Icon} name="groups" />${t("n_groups", { n: queue.groups })}</a>`}
        </div>
      </div>
    </div>`;
}
