// Who works, and on what?
import { cls, html, useMemo } from "../lib.js";
import { hasFeature, isOld, may, send, useResource } from "../api.js";
import { bytes, duration, now, number, rate, span, t } from "../i18n.js";
import { actOn, actionText, attempt, confirm, prepare } from "../jobs.js";
import { address, taskAt, useKeys } from "../route.js";
import { Named, Table, acts, currentKey, names, useListKeys } from "../table.js";
import { Button, Empty, Foreign, Menu, Meter, Panel, Pending, State, ask, say } from "../ui.js";

const MOST_SLOTS = 64;
const LATE = 0.5;
const MOST_LAG_S = 0.1;

const age = (at) => (at ? Math.max(0, (now.value - Date.parse(at)) / 1000) : null);

const since = (at) => (at ? span(age(at)) : "–");

// -- what operators want of servers: of one, of a deployment, or of all --

const EVERY = "*";
const ACTIONS = ["quiet", "resume", "set", "reset", "stop"];

const written = (queues) =>
  Object.entries(queues ?? {})
    .map(([name, weight]) => `${name}=${weight}`)
    .join(", ");

const weightsOf = (text) =>
  Object.fromEntries(
    text.split(",").map((part) => {
      const [name, weight = 1] = part.split("=");
      return [name.trim(), Number(weight)];
    }),
  );

// Ask what is to change, or whether it is meant; return values for the API, or null.
async function question(action, { name, concurrency, queues }) {
  if (action === "resume" || action === "reset") return {};
  if (action !== "set") return confirm(action, { name });
  const [slots, weights] = [`${concurrency ?? ""}`, written(queues)];
  const values = await ask({
    title: t("ask_set", { name }),
    confirm: t("confirm_update"),
    fields: [
      { name: "slots", label: t("slots"), type: "number", min: 1, value: slots },
      { name: "queues", label: t("queues_weight"), value: weights, hint: t("hint_queues") },
    ],
  });
  return (
    values && {
      ...(values.slots && values.slots !== slots && { concurrency: Number(values.slots) }),
      ...(values.queues && values.queues !== weights && { queues: weightsOf(values.queues) }),
    }
  );
}

async function control(action, target) {
  const values = await question(action, target);
  if (!values) return;
  const asked = { target: target.id, ...values };
  const outcome = await attempt(() => send("POST", `servers/${action}`, asked));
  if (outcome) say(t("done_control", { n: outcome.servers.length }));
}

function Control({ target }) {
  const actions = ACTIONS.filter((action) => may(`server.${action}`)).map((action) => ({
    text: actionText(action),
    danger: action === "stop",
    act: () => control(action, target),
  }));
  return html`<${Menu} label=${t("actions_of", { name: target.name })} actions=${actions} />`;
}

const wantedOf = ({ state, concurrency, queues }) =>
  [state && t(`wanted_${state}`), concurrency && `${t("slots")} ${number(concurrency)}`, written(queues)]
    .filter(Boolean)
    .join(" · ");

// All servers, deployments, and what is wanted of servers that do not run.
function Targets({ servers, known }) {
  const deployments = servers.map((one) => one.deployment).filter(Boolean);
  const others = [...known.keys()].filter((id) => !servers.some((one) => one.id === id));
  return [...new Set([EVERY, ...deployments, ...others])].map((id) => {
    const target = { ...known.get(id), id, name: id === EVERY ? t("all_workers") : id };
    return html`<span key=${id} class="tag"><b><${Foreign} text=${target.name} /></b> <${Foreign} text=${wantedOf(target)} /><${Control} target=${target} /></span>`;
  });
}

// -- servers and what they run --

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
  const missed = Object.entries(server.not_applied).map(([name, why]) => `${name}: ${why}`);
  return html`<${State} name=${state} glyph=${glyph}>${t(`server_${server.status}`)}<//>${server.wanted && html` <span class="dim">${t("wanted")} <${Foreign} text=${wantedOf(server.wanted)} /></span>`}${missed.map((text) => html` <span class="bad"><${Foreign} text=${text} /></span>`)}`;
}

const Queues = ({ server }) =>
  Object.entries(server.queues)
    .sort(([, a], [, b]) => b - a)
    .map(
      ([name, weight], at) =>
        html`${at > 0 && ", "}<a href=${address(["queue", name])}><${Foreign} text=${name} /></a> <span class="dim">${weight}</span>`,
    );

// A column of what pyasynq's servers measure; those of Go measure nothing.
const measured = (id, form, title, tone = () => "") => ({
  id,
  head: t(id),
  title,
  num: true,
  isLabelled: true,
  value: ({ process }) => process?.[id],
  cell: ({ process }) => (process?.[id] == null ? html`<span class="dim">–</span>` : form(process[id])),
  tone: ({ process }) => tone(process?.[id]),
});

const columns = () => [
  {
    id: "process",
    head: t("process"),
    kind: "nw full",
    value: (one) => `${one.host}:${one.pid}`,
    cell: (one) =>
      html`<b class="mono"><${Foreign} text=${one.host} /></b><span class="mono">:${one.pid}</span>${one.deployment && html` <span class="tag"><${Foreign} text=${one.deployment} /></span>`}`,
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
    id: "version",
    head: t("version"),
    hide: "w",
    kind: "m-hide dim",
    value: (one) => one.version,
    cell: (one) => one.version ?? "–",
  },
  {
    id: "queues",
    head: t("queues_weight"),
    kind: "soft full o2 grow",
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
  measured("tasks_per_s", rate, t("tasks_per_s_title")),
  measured("loop_lag", duration, t("loop_lag_title"), (value) => value > MOST_LAG_S && "warn b"),
  { ...measured("memory", bytes, t("memory_title")), hide: "w" },
  // Servers of Go cannot be controlled.
  acts((one) => one.version && html`<${Control} target=${{ ...one, name: `${one.host}:${one.pid}` }} />`),
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
    cell: (run) => html`<${Named} text=${run.task_type} href=${taskAt(run)} />`,
  },
  names("queue", t("queue"), { hide: "m", kind: "soft" }),
  names("worker", t("worker"), { kind: "soft mono nw", hide: "m" }),
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
  acts((run) =>
      may("task.cancel") &&
      html`<${Button} kind="sm" disabled=${isOld.value} onClick=${() => cancel(run)}>${actionText("cancel")}<//>`),
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
  const known = new Map(data.controls.map((one) => [one.target, one]));
  const servers = data.items.map((one) => ({ ...one, wanted: known.get(one.id) }));
  const targets = hasFeature("control") && html`<${Targets} servers=${servers} known=${known} />`;
  if (!servers.length)
    return html`<div class="panel"><${Empty} icon="workers" title=${t("no_servers")} command="pyasynq worker module:app">${t("no_servers_text")}<//></div>${known.size > 0 && html`<div class="row">${targets}</div>`}`;
  const hosts = new Set(servers.map((server) => server.host));
  const sum = (name) => servers.reduce((total, server) => total + server[name], 0);
  return html`<div class="row">
      <span>${t("n_processes", { n: servers.length })} ${t("on_hosts", { n: hosts.size })}</span>
      <span class="dim">${t("slots_busy", { busy: sum("active_worker_count"), n: sum("concurrency") })}</span>
      <span class="sp"></span>${targets}
    </div>
    <section class=${cls("panel scroll", isOld.value && "old")} aria-label=${t("page_workers")}>
      <${Table} label=${t("page_workers")} columns=${made[0]} rows=${servers} keyOf=${(server) => server.id} initial="process" />
      <footer><span class="slots k"><i></i></span>${t("busy")}<span class="slots k"><b></b></span>${t("late")}<span class="slots k"><u></u></span>${t("free")}</footer>
    </section>
    <${Panel} name=${t("running_now")} note=${number(runs.length)}>
      ${runs.length ? html`<${Table} label=${t("running_now")} columns=${made[1]} rows=${runs} keyOf=${runKey} sortName="runs" initial="-for" />` : html`<p class="in dim">${t("nothing_runs")}</p>`}
    <//>`;
}
