// What happened to this one, and why does it wait?
import { cls, html, useSignal } from "../lib.js";
import { isOld, send, useResource } from "../api.js";
import { Time, bytes, clock, duration, hasText, moment, now, parts, relative, span, t } from "../i18n.js";
import { actOn, actionText, attempt, prepare } from "../jobs.js";
import { Key, address, areOn, go, open, taskAt, tasksAt, useKeys } from "../route.js";
import { Button, Copy, Empty, Facts, Foreign, Glyph, Panel, Pending, State, ask, copy, say } from "../ui.js";
import { Timeline } from "../charts.js";
import { listed } from "./tasks.js";

const REFRESH_MS = 2000;

// -- actions --

async function edit({ task, payload }, reload) {
  const isText = task.payload != null;
  if (!isText) {
    say(t("edit_needs_text"), "retry");
    return;
  }
  const values = await ask({
    title: t("ask_update"),
    text: payload.format === "json" ? t("about_update_json") : t("about_update"),
    wide: true,
    fields: [
      {
        name: "payload",
        label: t("payload"),
        type: "textarea",
        rows: 12,
        value: task.payload,
      },
    ],
    confirm: t("confirm_update"),
  });
  if (!values) return;
  const { queue, id } = task;
  if (await attempt(() => send("POST", "task/update", { queue, id, payload: values.payload }))) {
    say(t("done_update"));
    reload();
  }
}

async function act(name, document, reload) {
  const { queue, id } = document.task;
  if (name === "update") return edit(document, reload);
  const values = await prepare(name, { n: 1 });
  if (!values) return null;
  const outcome = await actOn(name, [{ queue, id }], values);
  if (!outcome?.done) return reload();
  const [copied] = outcome.tasks ?? [];
  if (name === "delete") return open(["tasks"]);
  if (copied) return go(taskAt(copied));
  return reload();
}

const ACTIONS = [
  ["run", "r"],
  ["reschedule", "t"],
  ["archive", "a"],
  ["cancel", "c"],
  ["update", "e"],
  ["duplicate", "y"],
];

function Actions({ document, reload }) {
  const { actions, copy: texts } = document;
  const can = (name) => actions.includes(name);
  const run = (name) => !isOld.value && act(name, document, reload);
  const group = t("keys_task");
  useKeys({
    ...Object.fromEntries(
      [...ACTIONS, ["delete", "d"]].map(([name, key]) => [
        key,
        {
          group,
          text: t(`act_${name}`),
          off: !can(name) || isOld.value,
          act: () => run(name),
        },
      ]),
    ),
    ...neighbours(document.task),
  });
  return html`<div class="row acts" role="group" aria-label=${t("actions")}>
    ${ACTIONS.filter(([name]) => can(name)).map(([name, key]) => html`<${Button} kind=${name === "run" ? "pri" : ""} shortcut=${key} disabled=${isOld.value} onClick=${() => run(name)}>${actionText(name)}<//>`)}
    ${texts && html`<${Button} onClick=${() => copy(texts.cli)}>${t("copy_cli")}<//><${Button} onClick=${() => copy(texts.python)}>${t("copy_python")}<//>`}
    <span class="sp"></span>
    ${can("delete") && html`<${Button} kind="dng" shortcut="d" disabled=${isOld.value} onClick=${() => run("delete")}>${actionText("delete")}<//>`}
  </div>`;
}

function neighbours({ queue, id }) {
  const at = listed.value.findIndex((one) => one.queue === queue && one.id === id);
  const to = (by) => listed.value[at + by];
  const binding = (by, text) => ({
    group: t("keys_task"),
    text,
    off: at < 0 || !to(by),
    act: () => go(taskAt(to(by))),
  });
  return { "[": binding(-1, t("key_previous")), "]": binding(1, t("key_next")) };
}

function Place({ task }) {
  const at = listed.value.findIndex((one) => one.queue === task.queue && one.id === task.id);
  if (at < 0) return null;
  return html`<span class="dim m-hide nw">${t("nth", { n: at + 1, total: listed.value.length })} ${areOn.value && html`<${Key} name="[ ]" />`}</span>`;
}

// -- why does it wait --

const LOUD = new Set(["paused", "no-worker", "quiet", "orphaned"]);

function reasonText({ code, text, position, at }) {
  const key = position === 0 ? "why_next" : `why_${code}`;
  if (!hasText(key)) return html`<${Foreign} text=${text} />`;
  return parts(key, { position, at: at && clock(at), relative: at && relative(at) });
}

function Why({ waiting, worker, task }) {
  if (worker)
    return html`<section class="panel why s-active" aria-label=${t("now")}><div class="in">
      <p class="big">${t("runs_since", { span: span((now.value - Date.parse(worker.started)) / 1000) })}</p>
      <p class="soft">${t("runs_on", { worker: `${worker.host}:${worker.pid}` })}${worker.deadline ? ` ${t("must_end", { relative: relative(worker.deadline), at: clock(worker.deadline) })}` : ""}</p>
    </div></section>`;
  const reasons = waiting?.reasons ?? [];
  if (!reasons.length) return null;
  const isBad = reasons.some(({ code }) => LOUD.has(code));
  const [first, ...others] = [...reasons].sort((a, b) => LOUD.has(b.code) - LOUD.has(a.code));
  return html`<section class=${cls("panel why", isBad ? "s-archived" : `s-${task.state}`)} aria-label=${t("why_waits")}><div class="in">
    <p class="big">${reasonText(first)}</p>
    ${others.length > 0 && html`<ul>${others.map((reason) => html`<li class=${LOUD.has(reason.code) ? "s-archived" : "s-waiting"}><${Glyph} name=${LOUD.has(reason.code) ? "alert" : "info"} /><span>${reasonText(reason)}</span></li>`)}</ul>`}
  </div></section>`;
}

// -- tries --

// Lines of the user's code stand out from those of files that packages installed.
function Traceback({ text }) {
  const lines = text.replace(/\n$/, "").split("\n");
  return html`<pre class="tb" tabindex="0" aria-label=${t("traceback")}>${lines.map((line, at) => {
    const kind =
      at === lines.length - 1
        ? "e"
        : /^\s*File /.test(line)
          ? ""
          : /^\s{4}/.test(line)
            ? "code"
            : "";
    return html`<span class=${kind}><${Line} text=${line} />${"\n"}</span>`;
  })}</pre>`;
}

const Line = ({ text }) => {
  const indent = text.match(/^[ \t]*/)[0];
  return html`${indent}<${Foreign} text=${text.slice(indent.length)} />`;
};

const Try = ({ attempt: one, isOpen }) =>
  html`<details class="try" open=${isOpen}>
    <summary>
      <span class="tw"></span><span class="bad"><${Glyph} name="cross" /></span><b class="nw">${t("try", { n: one.retried + 1 })}</b>
      <span class="soft m-hide nw"><${Time} at=${one.failed_at} absolute /></span>
      <span class="mono cut full"><${Foreign} text=${one.error} /></span><span class="dim m-hide"><${Foreign} text=${one.worker} /></span>
    </summary>
    ${one.traceback ? html`<${Traceback} text=${one.traceback} />` : html`<pre class="tb" tabindex="0" aria-label=${t("error")}><span class="e"><${Foreign} text=${one.error} /></span>${"\n"}<span>${t("no_traceback")}</span></pre>`}
  </details>`;

function Tries({ task }) {
  const tries = [...task.attempts].reverse();
  if (!tries.length && !task.last_error) return null;
  const note = { n: task.retried + (task.state === "archived"), most: task.max_retry + 1 };
  return html`<${Panel} name=${t("tries")} note=${t("failed_of", note)}>
    ${tries.map((one, at) => html`<${Try} key=${one.retried} attempt=${one} isOpen=${at === 0} />`)}
    ${!tries.length && html`<pre class="tb lone" tabindex="0" aria-label=${t("error")}><span class="e"><${Foreign} text=${task.last_error} /></span></pre>`}
  <//>`;
}

// -- payload, result, facts --

// A value of JSON or MessagePack as a tree.
const MOST_SHOWN = 200;

function Value({ name, value, isOpen = false }) {
  const key = name === undefined ? "" : html`<span class="k"><${Foreign} text=${name} /></span>: `;
  if (value === null || typeof value !== "object")
    return html`<p>${key}<${Leaf} value=${value} /></p>`;
  const entries = Array.isArray(value) ? value.map((one, at) => [at, one]) : Object.entries(value);
  const size = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  return html`<details open=${isOpen || entries.length < 8}>
    <summary class="tw">${key}<span class="z">${size}</span></summary>
    <div class="in1">
      ${entries.slice(0, MOST_SHOWN).map(([inner, one]) => html`<${Value} key=${inner} name=${inner} value=${one} />`)}
      ${entries.length > MOST_SHOWN && html`<p class="z">${t("and_more", { n: entries.length - MOST_SHOWN })}</p>`}
    </div>
  </details>`;
}

function Leaf({ value }) {
  if (typeof value === "string") return html`<span class="s">"<${Foreign} text=${value} />"</span>`;
  return html`<span class="d">${JSON.stringify(value)}</span>`;
}

function Content({ name, content, text, sealed }) {
  const wanted = useSignal("value");
  if (!content) return null;
  const hasValue = content.format === "json" || content.format === "msgpack";
  const views = [
    hasValue && "value",
    text != null && content.format !== "empty" && "text",
    content.hex && "hex",
  ].filter(Boolean);
  const view = views.includes(wanted.value) ? wanted.value : views[0];
  const kind = content.redacted
    ? t("redacted")
    : sealed
      ? t("sealed_by", { codecs: sealed })
      : t(`format_${content.format}`);
  return html`<section class="panel" aria-label=${name}>
    <header>
      <h2>${name}</h2>
      ${views.length > 1 && html`<div class="tabs" role="group" aria-label=${t("form")}>${views.map((one) => html`<button type="button" aria-pressed=${one === view} onClick=${() => (wanted.value = one)}>${t(`view_${one}`)}</button>`)}</div>`}
      <span class="sp"></span><span class="dim nw">${bytes(content.size)} · ${kind}</span>
      ${text != null && text !== "" && html`<${Copy} kind="ic ghost sm" text=${text} label=${t("copy")} />`}
    </header>
    <div class="in content">
      ${content.format === "empty" && html`<p class="dim">${t("format_empty")}</p>`}
      ${view === "value" && html`<div class="tree"><${Value} value=${content.value} isOpen /></div>`}
      ${view === "text" && html`<pre class="log" tabindex="0" aria-label=${name}><${Foreign} text=${text} /></pre>`}
      ${view === "hex" && html`<pre class="log" tabindex="0" aria-label=${name}>${rows(content.hex)}</pre>`}
      ${content.truncated && html`<p class="dim">${t("truncated")}</p>`}
    </div>
  </section>`;
}

const rows = (hex) => hex.replace(/((?:\S+ ){16})/g, "$1\n");

const HIDDEN = "pyasynq:part_of"; // the header that says so

function TaskFacts({ task, part }) {
  const facts = [
    [
      t("queue"),
      html`<a class="link" href=${address(["queue", task.queue])}><${Foreign} text=${task.queue} /></a>`,
    ],
    [
      t("type"),
      html`<a class="link mono" href=${tasksAt({ type: task.type })}><${Foreign} text=${task.type} /></a>`,
    ],
    part && [
      t(`part_${part.kind}`),
      html`<a class="link mono" href=${address([part.kind, part.queue, part.id])}><${Foreign} text=${part.id} /></a>`,
    ],
    [t("retries"), t("tries_of", { n: task.retried, most: task.max_retry })],
    [t("fact_timeout"), task.timeout ? duration(task.timeout) : null],
    [
      t("fact_deadline"),
      task.deadline &&
        html`<${Time} at=${task.deadline} /> <span class="dim">${moment(task.deadline)}</span>`,
    ],
    [t("group"), task.group && html`<span class="mono"><${Foreign} text=${task.group} /></span>`],
    [t("fact_kept"), task.retention ? t("kept_for", { span: duration(task.retention) }) : t("not_kept")],
    [
      t("fact_last_failure"),
      task.last_failed_at &&
        html`<${Time} at=${task.last_failed_at} /> <span class="dim">${moment(task.last_failed_at)}</span>`,
    ],
    [
      t("fact_completed"),
      task.completed_at &&
        html`<${Time} at=${task.completed_at} /> <span class="dim">${moment(task.completed_at)}</span>`,
    ],
    [t("fact_sealed"), task.sealed],
  ];
  const headers = Object.entries(task.headers ?? {}).filter(([name]) => name !== HIDDEN);
  return html`<${Facts} facts=${facts}>
    ${headers.map(([name, value]) => html`<dt>${t("header")}</dt><dd class="mono"><${Foreign} text=${name} />: <${Foreign} text=${value} /></dd>`)}
  <//>`;
}

const Gone = ({ queue }) =>
  html`<div class="panel">
    <${Empty} icon="tasks" title=${t("gone")} action=${html`<a class="btn" href=${tasksAt({ queue })}>${t("page_tasks")}</a>`}>${t("gone_text")}<//>
  </div>`;

export function Task({ parts: [queue, id] }) {
  const { data, problem, reload } = useResource("task", { queue, id }, { every_ms: REFRESH_MS });
  if (problem?.status === 404) return html`<${Gone} queue=${queue} />`;
  if (!data) return html`<${Pending} problem=${problem} reload=${reload} />`;
  const { task, timeline } = data;
  const payload = html`<${Content} name=${t("payload")} content=${data.payload} text=${task.payload} sealed=${task.sealed} />`;
  const isNew = !timeline.length && !task.last_error && !data.result;
  return html`<div class="head">
      <${State} name=${task.state} kind="pill" /><h2><${Foreign} text=${task.type} /></h2>
      <a class="tag" href=${address(["queue", task.queue])}><${Foreign} text=${task.queue} /></a>
      <${Copy} kind="ic ghost sm" text=${task.id} label=${t("copy_id")} />
      <span class="sp"></span><${Place} task=${task} />
    </div>
    <${Actions} document=${data} reload=${reload} />
    <div class="split">
      <div class="col">
        <${Timeline} items=${timeline} task=${task} />
        <${Tries} task=${task} />
        ${isNew && payload}
        <${Content} name=${t("result")} content=${data.result} text=${task.result} sealed=${task.sealed} />
      </div>
      <div class="col">
        <${Why} waiting=${data.waiting} worker=${data.worker} task=${task} />
        ${!isNew && payload}
        <${TaskFacts} task=${task} part=${data.part_of} />
      </div>
    </div>`;
}
