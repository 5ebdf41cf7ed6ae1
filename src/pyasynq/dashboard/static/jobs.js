// Actions on named things, and on all tasks that match: the server does these, also when the page is
// closed.
import { html, signal } from "./lib.js";
import { get, may, sample, send } from "./api.js";
import { now, number, parts, rate, t } from "./i18n.js";
import { useKeys } from "./route.js";
import { Button, Glyph, Progress, ask, say } from "./ui.js";

const LOOK_MS = 400;
const SHOWN_MS = 12_000;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Jobs that somebody started and that run, or that ended here a moment ago.
const watched = signal(new Map());

const put = (job) => (watched.value = new Map(watched.value).set(job.id, job));

function forget(id) {
  const jobs = new Map(watched.value);
  jobs.delete(id);
  watched.value = jobs;
}

// Show a job, and return it when it has ended.
export async function follow(job) {
  let current = job;
  put(current);
  while (current.status === "running") {
    await wait(LOOK_MS);
    try {
      current = await get("job", { id: job.id });
    } catch (problem) {
      if (problem.status === 404)
        current = { ...current, status: "failed", error: problem.message };
    }
    put(current);
  }
  setTimeout(() => forget(job.id), SHOWN_MS);
  return current;
}

// Do something; say what went wrong, and return whether it went well.
export async function attempt(doing) {
  try {
    return (await doing()) ?? true;
  } catch (problem) {
    say(problem.message, "archived");
    return false;
  }
}

// The name of an action on its button; dots say that a question comes first.
const ASKS = new Set(
  "reschedule cancel delete update quiet set stop flow_cancel flow_skip flow_signal".split(" "),
);

export const actionText = (name) => t(`act_${name}`) + (ASKS.has(name) ? "…" : "");

const verb = (action) => action.replace(/^\w+\./, "");

const doneText = (action, n) => t(`done_${verb(action)}`, { n });

// Do something to named things; say that it is done, or what was refused first.
export async function actOnEach(path, body, text) {
  const outcome = await attempt(() => send("POST", path, body));
  if (!outcome) return null;
  const [first] = outcome.refused;
  if (outcome.done) say(text(outcome.done));
  if (first) say(t("refused", { n: outcome.refused.length, detail: first.detail }), "retry");
  return outcome;
}

// Act on tasks [{ queue, id }] at once.
export const actOn = (action, tasks, values = {}) =>
  actOnEach(`tasks/${action}`, { tasks, ...values }, (n) => doneText(action, n));

// Ask for what an action needs, and whether it is meant; return values for the API, or null.
export async function prepare(action, { n, detail }) {
  if (action === "reschedule") {
    const values = await ask({
      title: t("ask_reschedule", { n }),
      text: detail,
      confirm: t("act_reschedule"),
      fields: [
        {
          name: "in",
          label: t("field_in"),
          value: "10m",
          hint: t("hint_in"),
          required: true,
          pattern: "(\\d+(\\.\\d+)?[smhd])+",
        },
      ],
    });
    return values && { in: secondsOf(values.in) };
  }
  const isSmall = n === 1 && action !== "delete" && action !== "cancel";
  if (isSmall && !detail) return {};
  return confirm(action, { n }, detail);
}

// Ask whether an action is meant; return {}, or null.
export async function confirm(action, values, detail) {
  const answer = await ask({
    title: t(`ask_${action}`, values),
    text: detail ?? t(`about_${action}`),
    confirm: t(`confirm_${action}`, values),
    danger: ASKS.has(action),
  });
  return answer && {};
}

const UNITS = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

export const secondsOf = (text) =>
  [...text.matchAll(/([\d.]+)(ms|[smhd])/g)].reduce(
    (sum, [, count, unit]) => sum + count * UNITS[unit],
    0,
  );

const Query = ({ q }) => html`<code class="query">${q || "*"}</code>`;

// Count what matches, ask, and do it.
export async function actOnAll(action, q) {
  const counting = await attempt(() =>
    send("POST", `jobs/${action}`, {
      q,
      dry_run: true,
      ...(action === "reschedule" && { in: 0 }),
    }),
  );
  if (!counting) return null;
  const counted = await follow(counting);
  forget(counted.id);
  if (counted.status !== "done") return say(counted.error ?? t("count_stopped"), "retry");
  if (!counted.matched) return say(t("nothing_matches"), "retry");
  const queues = Object.entries(counted.queues).map(([name, n]) => `${name} ${number(n)}`);
  const detail = html`<p>${parts("counted", { n: counted.looked_at })} <${Query} q=${q} /></p>
    <p>${queues.join(" · ")}</p>
    <p>${t(`about_${action}`)} ${t("can_be_stopped")}</p>`;
  const values = await prepare(action, { n: counted.matched, detail });
  if (!values) return null;
  const job = await attempt(() => send("POST", `jobs/${action}`, { q, dry_run: false, ...values }));
  return job && follow(job);
}

const stop = (job) => attempt(() => send("POST", "jobs/stop", { id: job.id }));

function Running({ job }) {
  const total = job.matched || job.total;
  const done = job.dry_run ? job.looked_at : job.done + job.refused;
  const part = job.total
    ? Math.min(1, job.dry_run ? job.looked_at / job.total : done / Math.max(1, total))
    : 0;
  const seconds = Math.max(0.5, (now.value - Date.parse(job.started)) / 1000);
  const name = job.dry_run ? t("counting") : t(`doing_${verb(job.action)}`);
  return html`<div class="bulk" role="region" aria-label=${name}>
    <b>${name}</b>
    <${Progress} part=${part} label=${name} />
    <span>${t("of", { done, total: job.dry_run ? job.total : total })}</span>
    <span class="dim">${rate(done / seconds)}/s${job.refused ? ` · ${t("n_refused", { n: job.refused })}` : ""}</span>
    <span class="sp"></span>
    ${may("job.stop") && html`<${Button} kind="sm" shortcut="." onClick=${() => stop(job)}>${t("stop")}<//>`}
  </div>`;
}

function Ended({ job }) {
  const isGood = job.status === "done";
  return html`<div class="bulk" role="status">
    <${Glyph} name=${isGood ? "completed" : "alert"} />
    <b>${doneText(job.action, job.done)}</b>
    <span class="dim">
      ${job.status === "stopped" ? t("was_stopped") : ""} ${job.refused ? t("moved_on", { n: job.refused }) : ""} ${job.error ?? ""}
    </span>
    <span class="sp"></span>
    <${Button} kind="sm" onClick=${() => forget(job.id)}>${t("close")}<//>
  </div>`;
}

export function Jobs() {
  const mine = [...watched.value.values()];
  const others = (sample.value?.jobs ?? []).filter(
    (job) => job.status === "running" && !watched.value.has(job.id),
  );
  const running = [...mine, ...others].filter((job) => job.status === "running");
  useKeys({
    ".": {
      group: t("keys_everywhere"),
      text: t("key_stop"),
      off: !running.length || !may("job.stop"),
      act: () => stop(running.at(-1)),
    },
  });
  return html`<div class="jobs">
    ${[...mine, ...others].map((job) => (job.status === "running" ? html`<${Running} key=${job.id} job=${job} />` : !job.dry_run && html`<${Ended} key=${job.id} job=${job} />`))}
  </div>`;
}
