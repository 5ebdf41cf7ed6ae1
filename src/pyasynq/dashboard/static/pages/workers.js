// Who works, and on what?
import { cls, html, useMemo } from "../lib.js";
import { may, useResource } from "../api.js";
import { t } from "../i18n.js";
import { actOn, prepare } from "../jobs.js";
import { useKeys } from "../keys.js";
import { isOld } from "../live.js";
import { number } from "../numbers.js";
import { address, taskAt } from "../route.js";
import { Table, currentKey, useListKeys } from "../table.js";
import { now, span } from "../time.js";
import { Button, Empty, Foreign, Meter, Pending, State } from "../ui.js";

const MOST_SLOTS = 64;
const LATE = 0.5;

const age = (at) => (at ? Math.max(0, (now.value - Date.parse(at)) / 1000) : null);

const since = (at) => (at ? span(age(at)) : "–");

// The part of its time that a run has used; null if it may take as long as it likes.
function partOf({ started, deadline }) {
  if (!started || !deadline) return null;
  const [from, to] = [Date.parse(started), Date.parse(deadline)];
  return to > from ? (now.value - from) / (to - from) : 1;
}

function Slots({ server }) {
  const shown = Math.min(server.concurrency, MOST_SLOTS);
  const late = server.active_workers.filter((worker) => partOf(worker) > LATE).length;
  const busy = Math.min(server.active_worker_count, shown);
  return html`<div class="slots" aria-hidden="true">
    ${Array.from({ length: shown }, (_, at) => (at < busy - Math.min(late, busy) ? html`<i></i>` : at < busy ? html`<b></b>` : html`<u></u>`))}
    ${server.concurrency > shown && html`<span class="dim">+${number(server.concurrency - shown)}</span>`}
  </div>`;
}

const LOOK = {
  active: ["completed", "completed"],
  stopped: ["retry", "pause"],
  closed: ["archived", "cross"],
};

function Status({ server }) {
  const [state, glyph] = LOOK[server.status] ?? ["waiting", "dot"];
  return html`<${State} name=${state} glyph=${glyph}>${t(`server_${server.status}`)}<//>`;
}

const Queues = ({ server }) =>
  Object.entries(server.queues)
    .sort(([, a], [, b]) => b - a)
    .map(
      ([name, weight], at) =>
        html`${at > 0 && ", "}<a href=${address(["queue", name])}><${Foreign} text=${name} /></a> <span class="dim">${weight}</span>`,
    );

const columns = () => [
  {
    id: "process",
    head: t("process"),
    kind: "nw",
    value: (one) => `${one.host}:${one.pid}`,
    cell: (one) =>
      html`<b class="mono"><${Foreign} text=${one.host} /></b><span class="mono">:${one.pid}</span>`,
  },
  {
    id: "status",
    head: t("state"),
    kind: "two3",
    value: (one) => one.status,
    cell: (one) => html`<${Status} server=${one} />`,
  },
  {
    id: "up",
    head: t("up"),
    num: true,
    isLabelled: true,
    kind: "soft",
    value: (one) => age(one.started),
    cell: (one) => since(one.started),
  },
  {
    id: "queues",
    head: t("queues_weight"),
    kind: "soft two3 grow",
    isLabelled: true,
    cell: (one) =>
      html`<${Queues} server=${one} />${one.strict_priority && html` <span class="tag">${t("strict")}</span>`}`,
  },
  {
    id: "slots",
    head: t("slots"),
    kind: "full",
    cell: (one) => html`<${Slots} server=${one} />`,
  },
  {
    id: "busy",
    head: t("busy"),
    num: true,
    isLabelled: true,
    value: (one) => one.active_worker_count,
    cell: (one) => `${number(one.active_worker_count)} / ${number(one.concurrency)}`,
  },
];

const runningOf = (servers) =>
  servers.flatMap((server) =>
    server.active_workers.map((worker) => ({
      ...worker,
      worker: `${server.host}:${server.pid}`,
      id: worker.task_id,
    })),
  );

const runKey = (run) => `${run.queue}\n${run.id}`;

function Left({ run }) {
  const part = partOf(run);
  if (part === null) return html`<span class="dim">${t("no_deadline")}</span>`;
  const left = (Date.parse(run.deadline) - now.value) / 1000;
  const isLate = part > LATE;
  return html`<${Meter} part=${part} state=${part > 0.8 ? "archived" : isLate ? "retry" : "active"} /> <span class=${isLate ? "warn" : "dim"}>${left > 0 ? t("left", { span: span(left) }) : t("overdue")}</span>`;
}

async function cancel(run) {
  const values = await prepare("cancel", { n: 1 });
  if (values) await actOn("cancel", [{ queue: run.queue, id: run.id }]);
}

const runColumns = () => [
  {
    id: "type",
    head: t("type"),
    kind: "two3 type",
    value: (run) => run.task_type,
    cell: (run) =>
      html`<a class="mono b cut" href=${taskAt(run)} title=${run.task_type}><${Foreign} text=${run.task_type} /></a>`,
  },
  {
    id: "queue",
    head: t("queue"),
    hide: "m",
    kind: "soft",
    value: (run) => run.queue,
    cell: (run) => html`<${Foreign} text=${run.queue} />`,
  },
  {
    id: "worker",
    head: t("worker"),
    kind: "soft mono nw",
    hide: "m",
    value: (run) => run.worker,
    cell: (run) => html`<${Foreign} text=${run.worker} />`,
  },
  {
    id: "payload",
    head: t("payload"),
    kind: "grow cut full dim mono",
    hide: "m",
    cell: (run) => html`<${Foreign} text=${run.payload_preview ?? ""} />`,
  },
  {
    id: "for",
    head: t("runs_for"),
    num: true,
    isLabelled: true,
    value: (run) => age(run.started),
    cell: (run) => since(run.started),
  },
  {
    id: "left",
    head: t("of_its_time"),
    kind: "nw full",
    value: partOf,
    cell: (run) => html`<${Left} run=${run} />`,
  },
  {
    id: "act",
    head: t("actions"),
    isQuiet: true,
    kind: "act",
    cell: (run) =>
      may("task.cancel") &&
      html`<${Button} kind="sm" disabled=${isOld.value} onClick=${() => cancel(run)}>${t("act_cancel_asks")}<//>`,
  },
];

export function Workers() {
  useListKeys();
  const { data, problem, reload } = useResource("servers", {}, { every_ms: 2000 });
  const made = useMemo(() => [columns(), runColumns()], [t("process")]);
  const runs = useMemo(() => runningOf(data?.items ?? []), [data]);
  const chosen = () => runs.find((run) => runKey(run) === currentKey());
  useKeys({
    c: {
      group: t("keys_list"),
      text: t("act_cancel"),
      off: !may("task.cancel") || isOld.value,
      act: () => chosen() && cancel(chosen()),
    },
  });
  if (!data) return html`<${Pending} problem=${problem} reload=${reload} />`;
  const servers = data.items;
  if (!servers.length)
    return html`<div class="panel"><${Empty} icon="workers" title=${t("no_servers")} command="pyasynq worker module:app">${t("no_servers_text")}<//></div>`;
  const hosts = new Set(servers.map((server) => server.host));
  const sum = (name) => servers.reduce((total, server) => total + server[name], 0);
  return html`<div class="row">
      <span>${t("n_processes", { n: servers.length })} ${t("on_hosts", { n: hosts.size })}</span>
      <span class="dim">${t("slots_busy", { busy: sum("active_worker_count"), n: sum("concurrency") })}</span>
    </div>
    <section class=${cls("panel scroll", isOld.value && "old")} aria-label=${t("page_workers")}>
      <${Table} label=${t("page_workers")} columns=${made[0]} rows=${servers} keyOf=${(server) => server.id} initial="process" />
      <footer><span class="slots k"><i></i></span>${t("busy")}<span class="slots k"><b></b></span>${t("late")}<span class="slots k"><u></u></span>${t("free")}</footer>
    </section>
    <section class="panel" aria-label=${t("running_now")}>
      <header><h2>${t("running_now")}</h2><span class="dim">${number(runs.length)}</span></header>
      ${runs.length ? html`<${Table} label=${t("running_now")} columns=${made[1]} rows=${runs} keyOf=${runKey} sortName="runs" initial="-for" />` : html`<p class="in dim">${t("nothing_runs")}</p>`}
    </section>`;
}
