// Flows and batches: lists, the graph of one, and what can be done to a flow.
import { cls, html, useMemo } from "../lib.js";
import { isOld, sample, useResource } from "../api.js";
import { Time, hasText, number, t } from "../i18n.js";
import { actOnEach, actionText, confirm } from "../jobs.js";
import { address, change, queryOf, route, taskAt, useKeys } from "../route.js";
import { Named, QueueChoice, Table, currentKey, menus, names, numbers, times, useListKeys } from "../table.js";
import { Button, Choice, Copy, Empty, Foreign, Glyph, Panel, Pending, Progress, State, ask, escaped, say } from "../ui.js";

// How states of flows, batches and steps look: in the colour of a state of tasks, and a glyph.
const LOOKS = {
  running: ["active", "active"],
  succeeded: ["completed", "completed"],
  failed: ["archived", "archived"],
  cancelled: ["waiting", "cross"],
  waiting: ["waiting", "waiting"],
  upstream_failed: ["retry", "alert"],
  skipped: ["waiting", "skipped"],
};

function Look({ name, kind, children }) {
  const [state, glyph] = LOOKS[name];
  return html`<${State} name=${state} glyph=${glyph} kind=${kind}>${children ?? t(`step_${name}`)}<//>`;
}

// A gate is waited for in other words.
const wordOf = ({ type, state, batch_id: batch }) =>
  t(!type && !batch && hasText(`gate_${state}`) ? `gate_${state}` : `step_${state}`);

// Where more is known about a step: its task, the flow that it is, or the batch that a map is; nothing about a gate.
const placeOf = ({ queue, task, task_id: id, batch_id: batch, flow_id: flow }) =>
  flow && !task ? address(["flow", queue, flow]) : batch ? address(["batch", queue, batch]) : id && taskAt({ queue, id });
const sizeOf = ({ batch_id: batch, size }) => (batch ? ` × ${number(size)}` : "");

const keyOf = ({ queue, id }) => `${queue}\n${id}`;

// -- what can be done to a flow --

async function act(action, one, reload, step) {
  const kind = "name" in one ? "flows" : "batches"; // a batch has no name
  const body = await bodyOf(action, kind, one, step);
  if (body && (await actOnEach(`${kind}/${action}`, body, () => t(`done_flow_${action}`)))) reload();
}

// Return what the API wants to know, or nothing if the reader wants something else after all.
async function bodyOf(action, kind, { queue, id, name = id, open_steps, gates }, step) {
  if (action === "skip") {
    const values = await askFor(action, [choice("step", open_steps, step)]);
    return values && { queue, id, steps: [values.step] };
  }
  if (action === "signal") {
    const value = { name: "value", label: t("json_value"), value: "true", hint: t("hint_json"), required: true };
    const values = await askFor(action, [choice("gate", gates, step), value]);
    return values && signalOf({ queue, id, ...values });
  }
  if (action === "cancel" && !(await confirm("flow_cancel", { name }))) return null;
  return { [kind]: [{ queue, id }] };
}

const choice = (name, options, value) => ({
  name,
  label: t(name),
  value,
  options: options.map((option) => [option, option]),
});

const askFor = (action, fields) =>
  ask({
    title: t(`act_flow_${action}`),
    text: t(`about_flow_${action}`),
    fields,
    confirm: t(`act_flow_${action}`),
  });

function signalOf(body) {
  try {
    return { ...body, value: JSON.parse(body.value) };
  } catch {
    return say(t("no_json"), "retry");
  }
}

const KEYS = { retry: "r", skip: "x", signal: "v", cancel: "c" };

function Actions({ one, reload, children }) {
  const can = (action) => one.actions.includes(action);
  const run = (action) => act(action, one, reload, currentKey());
  const bind = ([action, key]) => [
    key,
    { group: t("keys_flow"), text: t(`act_flow_${action}`), off: !can(action) || isOld.value, act: () => run(action) },
  ];
  useKeys(Object.fromEntries(Object.entries(KEYS).map(bind)));
  const button = (action) =>
    can(action) &&
    html`<${Button} kind=${{ cancel: "dng", retry: "pri" }[action]} shortcut=${KEYS[action]} disabled=${isOld.value} onClick=${() => run(action)}>${actionText(`flow_${action}`)}<//>`;
  return html`<div class="row acts" role="group" aria-label=${t("actions")}>
    ${["retry", "skip", "signal"].map(button)}${children}<span class="sp"></span>${button("cancel")}
  </div>`;
}

// -- lists --

// What can be done without a look at the steps.
const menuOf = (one, reload) =>
  ["retry", "cancel"]
    .filter((action) => one.actions.includes(action))
    .map((action) => ({
      text: actionText(`flow_${action}`),
      key: KEYS[action],
      danger: action === "cancel",
      act: () => act(action, one, reload),
    }));

const Part = ({ done, total }) =>
  html`<span class="row part"><${Progress} part=${total ? done / total : 1} label=${t("steps")} /><span class="nw">${t("of", { done, total })}</span></span>`;

const columns = (kind, show, reload) => [
  { ...names("state", t("state")), cell: (one) => html`<${Look} name=${one.state} />` },
  {
    ...names(kind === "flow" ? "name" : "id", t(kind === "flow" ? "name" : "id")),
    kind: "two3 grow cut",
    cell: (one) =>
      html`<a class="mono b" href=${address([kind, one.queue, one.id])}><${Foreign} text=${one.name ?? one.id} /></a> ${one.name && html`<span class="mono dim"><${Foreign} text=${one.id} /></span>`}`,
  },
  names("queue", t("queue"), { kind: "soft", isLabelled: true }),
  {
    id: "done",
    head: t(kind === "flow" ? "steps" : "page_tasks"),
    kind: "full",
    value: (one) => one.ended / one.total,
    cell: (one) => html`<${Part} done=${one.ended} total=${one.total} />`,
  },
  numbers("failed", t("failed"), number, { isLabelled: true, tone: (one) => (one.failed ? "bad b" : "dim") }),
  times("created_at", t("created_at")),
  ...(show === "running" ? [] : [times("ended_at", t("ended_at"))]),
  menus(
    (one) => one.name ?? one.id,
    (one) => menuOf(one, reload),
  ),
];

export function Flows() {
  useListKeys();
  const { show = "running", queue = "" } = route.value.query;
  const kind = show === "batches" ? "batch" : "flow";
  const where = kind === "batch" ? ["batches", { queue }] : ["flows", { queue, state: show }];
  const { data, problem, reload } = useResource(...where);
  const made = useMemo(() => columns(kind, show, reload), [show, t("state")]);
  const bind = (action) => ({
    group: t("keys_list"),
    text: t(`act_flow_${action}`),
    off: isOld.value || !data,
    act() {
      const one = data.items.find((item) => keyOf(item) === currentKey());
      if (one?.actions.includes(action)) act(action, one, reload);
    },
  });
  useKeys({ [KEYS.retry]: bind("retry"), [KEYS.cancel]: bind("cancel") });
  const options = ["running", "ended", "batches"].map((name) => [name, t(`flows_${name}`)]);
  const choose = (name) => change({ show: name === "running" ? "" : name });
  return html`<div class="row">
      <${Choice} label=${t("page_flows")} options=${options} value=${show} onChoose=${choose} />
      <${QueueChoice} queues=${sample.value?.queues} value=${queue} all />
      <span class="dim">${data?.more ? t("newest", { n: data.items.length }) : ""}</span>
    </div>
    ${
      !data
        ? html`<${Pending} problem=${problem} reload=${reload} />`
        : html`<section class=${cls("panel", isOld.value && "old")} aria-label=${t("page_flows")}>
            ${data.items.length ? html`<${Table} label=${t("page_flows")} columns=${made} rows=${data.items} keyOf=${keyOf} />` : html`<${Empty} icon="flows" title=${t(`no_${show}`)}>${t(`about_${where[0]}`)}<//>`}
          </section>`
    }`;
}

// -- the graph of a flow: from left to right, each step behind all that it waits for --

const [WIDE, HIGH, GAP_X, GAP_Y, EDGE] = [170, 44, 40, 14, 6];
const MOST_DRAWN = 200;
const LETTERS = 17;

const mean = (values) => values.reduce((sum, one) => sum + one, 0) / (values.length || 1);

function layout(steps) {
  const places = new Map();
  const columns = [];
  for (const step of steps) {
    const column = Math.max(-1, ...step.after.map((name) => places.get(name).column)) + 1;
    const place = { step, column, row: 0 };
    places.set(step.name, place);
    (columns[column] ??= []).push(place);
  }
  const most = Math.max(...columns.map((column) => column.length));
  for (const column of columns) {
    // Close to what they wait for, so that few lines cross.
    const order = ({ step }) => mean(step.after.map((name) => places.get(name).row));
    const sorted = column.map((place) => [order(place), place]).sort(([a], [b]) => a - b);
    sorted.forEach(([, place], at) => (place.row = at + (most - column.length) / 2));
  }
  const x = ({ column }) => EDGE + column * (WIDE + GAP_X);
  const y = ({ row }) => EDGE + row * (HIGH + GAP_Y);
  return { places, x, y, width: x({ column: columns.length }) - GAP_X + EDGE, height: y({ row: most }) - GAP_Y + EDGE };
}

const shorten = (text) => (text.length > LETTERS ? `${text.slice(0, LETTERS)}…` : text);

function Node({ step, x, y }) {
  const { task } = step;
  const [state, glyph] = task ? [task.state, task.state] : LOOKS[step.state];
  const word = task ? t(`state_${task.state}`) : wordOf(step);
  const name = escaped(step.name);
  const inside = html`<title>${name}: ${word}</title>
    <rect width=${WIDE} height=${HIGH} rx="5" /><${Glyph} name=${glyph} x="9" y="8" width="12" height="12" />
    <text x="28" y="18" class="b">${shorten(name)}</text><text x="28" y="34">${word}${sizeOf(step)}</text>`;
  const shared = { class: `n s-${state}`, transform: `translate(${x} ${y})` };
  return placeOf(step)
    ? html`<a ...${shared} href=${placeOf(step)}>${inside}</a>`
    : html`<g ...${shared}>${inside}</g>`;
}

function Graph({ steps }) {
  const { places, x, y, width, height } = useMemo(() => layout(steps), [steps]);
  const all = [...places.values()];
  return html`<${Panel} name=${t("graph")}>
    <div class="in scroll" tabindex="0" role="group" aria-label=${t("graph")}>
      <svg class="dag" width=${width} height=${height} viewBox="0 0 ${width} ${height}">
        ${all.map((to) =>
          to.step.after.map((name) => {
            const from = places.get(name);
            const [x1, y1, x2, y2] = [x(from) + WIDE, y(from) + HIGH / 2, x(to), y(to) + HIGH / 2];
            const isDone = !["waiting", "running"].includes(from.step.state);
            return html`<path class=${cls("e", isDone && `done s-${LOOKS[from.step.state][0]}`)} d="M${x1},${y1}C${x1 + GAP_X / 2},${y1} ${x2 - GAP_X / 2},${y2} ${x2},${y2}" />`;
          }),
        )}
        ${all.map((place) => html`<${Node} key=${place.step.name} step=${place.step} x=${x(place)} y=${y(place)} />`)}
      </svg>
    </div>
  <//>`;
}

// -- one flow --

const Title = ({ one: { state, name, queue, id, created_at: created, ended_at: ended, reason } }) =>
  html`<div class="head">
    <${Look} name=${state} kind="pill" /><h2><${Foreign} text=${name ?? id} /></h2>
    <a class="tag" href=${address(["queue", queue])}><${Foreign} text=${queue} /></a>
    <${Copy} kind="ic ghost sm" text=${id} label=${t("copy_id")} />
    <span class="dim">${t("created_at")} <${Time} at=${created} />${ended && html` · ${t("ended_at")} <${Time} at=${ended} />`} <${Foreign} text=${reason} /></span>
  </div>`;

const stepColumns = () => [
  {
    ...names("name", t("step"), { kind: "two3 nw" }),
    cell: (step) => html`<${StepLink} step=${step} />`,
  },
  {
    ...names("state", t("state")),
    cell: (step) =>
      step.task
        ? html`<${State} name=${step.task.state} />`
        : html`<${Look} name=${step.state}>${wordOf(step)}<//>`,
  },
  names("type", t("type"), { kind: "mono soft", hide: "m" }),
  names("queue", t("queue"), { kind: "soft", hide: "m" }),
  { id: "note", head: t("note"), kind: "full grow cut", cell: (step) => html`<${Note} ...${step} />` },
];

const StepLink = ({ step }) =>
  placeOf(step)
    ? html`<${Named} text=${step.name} href=${placeOf(step)} />${sizeOf(step)}`
    : html`<span class="mono b"><${Foreign} text=${step.name} /></span>`;

// Why it failed, when it is tried again, or which steps it waits for.
function Note({ state, error = null, after, task, open }) {
  const text = error ?? task?.last_error ?? (state === "upstream_failed" && t("why_not_run"));
  const isLater = ["retry", "scheduled"].includes(task?.state);
  const waits = state === "waiting" && after.filter((name) => open.has(name)).join(", ");
  return html`${isLater && html`<${Time} at=${task.next_process_at} /> `}${text && html`<span class="bad" title=${text}><${Foreign} text=${text} /></span>`}${waits && html`<span class="dim">${t("waits_on")} <${Foreign} text=${waits} /></span>`}`;
}

export function Flow({ parts: [queue, id] }) {
  useListKeys();
  const { data: flow, problem, reload } = useResource("flow", { queue, id }, { every_ms: 2000 });
  const made = useMemo(stepColumns, [t("step")]);
  if (problem?.status === 404) return html`<${Gone} />`;
  if (!flow) return html`<${Pending} problem=${problem} reload=${reload} />`;
  const open = new Set(flow.open_steps);
  const rows = flow.steps.map((step) => ({ ...step, open }));
  return html`<${Title} one=${flow} />
    <${Actions} one=${flow} reload=${reload}><${Copy} text=${flow.mermaid}>${t("copy_mermaid")}<//><//>
    <div class="row">
      <${Part} done=${flow.steps.length - open.size} total=${flow.steps.length} />
      <div class="legend">${Object.entries(flow.counts).map(([name, n]) => html`<${Look} name=${name}>${number(n)} ${t(`step_${name}`)}<//>`)}</div>
    </div>
    ${flow.steps.length <= MOST_DRAWN && html`<${Graph} steps=${flow.steps} />`}
    <${Panel} name=${t("steps")} note=${number(flow.steps.length)} kind=${isOld.value && "old"}>
      <${Table} label=${t("steps")} columns=${made} rows=${rows} keyOf=${(step) => step.name} />
    <//>`;
}

const Gone = () =>
  html`<div class="panel"><${Empty} icon="flows" title=${t("gone_flow")} action=${html`<a class="btn" href="#/flows">${t("page_flows")}</a>`}>${t("gone_text")}<//></div>`;

// -- one batch --

const MOST_LISTED = 100;

export function Batch({ parts: [queue, id] }) {
  const { data: batch, problem, reload } = useResource("batch", { queue, id }, { every_ms: 2000 });
  if (problem?.status === 404) return html`<${Gone} />`;
  if (!batch) return html`<${Pending} problem=${problem} reload=${reload} />`;
  const { failed_members: members, failed } = batch;
  const all = address(["tasks"], { q: `${queryOf({ queue })} id:${id}:*` });
  return html`<${Title} one=${batch} />
    <${Actions} one=${batch} reload=${reload}><a class="btn" href=${all}>${t("members")}</a><//>
    <div class="row"><${Part} done=${batch.ended} total=${batch.total} /></div>
    <${Panel} name=${t("failed")} note=${number(failed)}>
      <ul class="in">${members.slice(0, MOST_LISTED).map((member) => html`<li><a class="mono link" href=${taskAt({ queue, id: member })}><${Foreign} text=${member} /></a></li>`)}
        ${failed > MOST_LISTED && html`<li class="dim">${t("and_more", { n: failed - MOST_LISTED })}</li>`}
        ${!failed && html`<li class="dim">${t("none_failed")}</li>`}
      </ul>
    <//>`;
}
