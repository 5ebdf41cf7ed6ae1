// One queue and what can be done to it; the groups of a queue.
import { html, useMemo } from "../lib.js";
import { hasFeature, isOld, may, sample, send, useResource } from "../api.js";
import { bytes, duration, number, percent, rate, t } from "../i18n.js";
import { actOnAll, actOnEach, actionText, attempt, follow } from "../jobs.js";
import { address, change, open, queryOf, route, tasksAt, useKeys } from "../route.js";
import { QueueChoice, Table, menus, names, numbers, useListKeys } from "../table.js";
import {
  Button,
  Empty,
  Facts,
  Foreign,
  Icon,
  Panel,
  Paused,
  Pending,
  STATES,
  State,
  StateBar,
  ask,
  say,
} from "../ui.js";

// -- actions on a queue --

function pause(queue, isPaused) {
  const action = isPaused ? "pause" : "resume";
  const text = () => t(`done_${action}`, { name: queue.queue });
  return actOnEach(`queues/${action}`, { queues: [queue.queue] }, text);
}

async function remove(queue) {
  const text = html`<p>${t("about_delete_queue", { n: queue.size })}</p>`;
  const typed = await ask({
    title: t("ask_delete_queue", { name: queue.queue }),
    text,
    fields: queue.size
      ? [{ name: "name", label: t("type_name", { name: queue.queue }), required: true }]
      : [],
    confirm: queue.size
      ? t("confirm_delete_queue_n", { n: queue.size })
      : t("confirm_delete_queue"),
    danger: true,
  });
  if (!typed) return;
  if (queue.size && typed.name !== queue.queue) {
    say(t("wrong_name"), "retry");
    return;
  }
  const job = await attempt(() =>
    send("POST", "queues/delete", { queue: queue.queue, force: queue.size > 0 }),
  );
  if (job && (await follow(job)).status === "done") open(["overview"]);
}

// Return [{ id, text, act, key, danger }] of what this reader may do.
export function queueActions(queue) {
  const all = [
    queue.paused
      ? {
          id: "pause",
          needs: "queue.resume",
          text: t("act_resume"),
          key: "p",
          act: () => pause(queue, false),
        }
      : {
          id: "pause",
          needs: "queue.pause",
          text: t("act_pause"),
          key: "p",
          act: () => pause(queue, true),
        },
    {
      id: "run",
      needs: "task.run",
      text: t("act_run_archived", { n: queue.archived }),
      off: !queue.archived,
      act: () => actOnAll("run", queryOf({ queue: queue.queue, state: "archived" })),
    },
    {
      id: "purge",
      needs: "task.delete",
      text: t("act_purge", { n: number(queue.size - queue.active) }),
      off: !(queue.size - queue.active),
      danger: true,
      act: () => actOnAll("delete", `${queryOf({ queue: queue.queue })} -state:active`),
    },
    {
      id: "delete",
      needs: "queue.delete",
      text: t("act_delete_queue"),
      danger: true,
      act: () => remove(queue),
    },
  ];
  return all.filter(({ needs }) => may(needs));
}

// -- one queue: its tasks by state, its days, and where it is --

const StateLinks = ({ queue }) =>
  html`<ul class="states">
    ${STATES.map((name) => html`<li><a href=${tasksAt({ queue: queue.queue, state: name })} class=${queue[name] ? "" : "dim"}><${State} name=${name} /><b>${number(queue[name])}</b></a></li>`)}
  </ul>`;

const dayColumns = () => [
  { id: "date", head: t("day"), value: (day) => day.date, cell: (day) => day.date },
  numbers("processed", t("runs"), number, { isLabelled: true }),
  numbers("failed", t("failed"), number, { isLabelled: true, tone: (day) => !day.failed && "dim" }),
  {
    id: "share",
    head: t("share"),
    num: true,
    hide: "m",
    kind: "dim",
    value: shareOf,
    cell: (day) => percent(shareOf(day)),
  },
];

const shareOf = ({ processed, failed }) => (processed ? failed / processed : null);

function Days({ days }) {
  const columns = useMemo(dayColumns, [t("day")]);
  return html`<${Panel} name=${t("days")} note="UTC">
    <${Table} label=${t("days")} columns=${columns} rows=${days} keyOf=${(day) => day.date} initial="-date" />
  <//>`;
}

function QueueFacts({ queue }) {
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
  return html`<${Facts} facts=${facts} />`;
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
  if (!queue) return html`<${Pending} problem=${problem} reload=${reload} />`;
  return html`<div class="row acts">
      ${queue.paused && html`<${Paused} />`}
      <span class="sp"></span>
      ${actions.map((action) => html`<${Button} kind=${action.danger ? "dng" : action.id === "pause" && queue.paused ? "pri" : ""} shortcut=${action.key} disabled=${action.off || isOld.value} onClick=${action.act}>${action.text}<//>`)}
    </div>
    <section class="panel" aria-label=${t("state")}><div class="in"><${StateBar} counts=${queue} /><${StateLinks} queue=${queue} /></div></section>
    <div class="split">
      <${Days} days=${data.days} />
      <div class="col">
        <${QueueFacts} queue=${queue} />
        <div class="row">
          <a class="btn" href=${tasksAt({ queue: name })}><${Icon} name="tasks" />${t("page_tasks")}</a>
          ${hasFeature("history") && html`<a class="btn" href=${address(["types"], { queue: name })}><${Icon} name="types" />${t("page_types")}</a>`}
          ${queue.groups > 0 && html`<a class="btn" href=${address(["groups"], { queue: name })}><${Icon} name="groups" />${t("n_groups", { n: queue.groups })}</a>`}
        </div>
      </div>
    </div>`;
}

// -- tasks that wait in groups to be combined --

const termsOf = ({ queue, group }) => ({ queue, state: "aggregating", group });

const actionsOf = (group) =>
  [
    {
      needs: "task.run",
      text: t("act_run"),
      act: () => actOnAll("run", queryOf(termsOf(group))),
    },
    {
      needs: "task.archive",
      text: t("act_archive"),
      act: () => actOnAll("archive", queryOf(termsOf(group))),
    },
    {
      needs: "task.delete",
      text: actionText("delete"),
      danger: true,
      act: () => actOnAll("delete", queryOf(termsOf(group))),
    },
  ].filter(({ needs }) => may(needs));

const columns = () => [
  {
    id: "group",
    head: t("group"),
    kind: "grow cut full",
    value: (one) => one.group,
    cell: (one) =>
      html`<a class="mono b" href=${tasksAt(termsOf(one))}><${Foreign} text=${one.group} /></a>`,
  },
  names("queue", t("queue"), { kind: "soft" }),
  numbers("size", t("waiting"), number, { isLabelled: true }),
  menus((one) => one.group, actionsOf),
];

const NoGroups = () =>
  html`<${Empty} icon="groups" title=${t("no_groups")}>${t("no_groups_text")}<//>`;

export function Groups() {
  useListKeys();
  const all = sample.value?.queues ?? [];
  const queue = route.value.query.queue ?? all.find((one) => one.groups)?.queue ?? "";
  const { data, problem, reload } = useResource(queue && "groups", { queue });
  const made = useMemo(columns, [t("group")]);
  const names = all.filter((one) => one.groups || one.queue === queue);
  const choice = html`<div class="row"><${QueueChoice} queues=${names} value=${queue} /><span class="dim">${data ? t("n_groups", { n: data.items.length }) : ""}</span></div>`;
  if (sample.value && !queue) return html`<div class="panel"><${NoGroups} /></div>`;
  if (!data) return html`<${Pending} problem=${problem} reload=${reload} />`;
  return html`${choice}<section class="panel" aria-label=${t("page_groups")}>
    ${data.items.length ? html`<${Table} label=${t("page_groups")} columns=${made} rows=${data.items} keyOf=${(one) => `${one.queue}\n${one.group}`} initial="-size" />` : html`<${NoGroups} />`}
  </section>`;
}
