// Tasks that wait in groups to be combined.
import { html, useMemo } from "../lib.js";
import { t } from "../i18n.js";
import { actOnAll } from "../jobs.js";
import { sample } from "../live.js";
import { number } from "../numbers.js";
import { queryOf, tasksAt } from "../query.js";
import { useResource } from "../resource.js";
import { change, route } from "../route.js";
import { may } from "../session.js";
import { Table, useListKeys } from "../table.js";
import { Empty, Failed, Foreign, Menu, Skeleton } from "../ui.js";

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
            text: t("act_delete_asks"),
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
    {
        id: "queue",
        head: t("queue"),
        kind: "soft",
        value: (one) => one.queue,
        cell: (one) => html`<${Foreign} text=${one.queue} />`,
    },
    {
        id: "size",
        head: t("waiting"),
        num: true,
        isLabelled: true,
        value: (one) => one.size,
        cell: (one) => number(one.size),
    },
    {
        id: "act",
        head: t("actions"),
        isQuiet: true,
        kind: "act",
        cell: (one) =>
            actionsOf(one).length > 0 &&
            html`<${Menu} label=${t("actions_of", { name: one.group })} actions=${actionsOf(one)} />`,
    },
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
    const choice = html`<div class="row"><select aria-label=${t("queue")} onChange=${(event) => change({ queue: event.target.value })}>
    ${names.map((one) => html`<option value=${one.queue} selected=${one.queue === queue}>${one.queue}</option>`)}
  </select><span class="dim">${data ? t("n_groups", { n: data.items.length }) : ""}</span></div>`;
    if (problem && !data)
        return html`<div class="panel"><${Failed} problem=${problem} onRetry=${reload} /></div>`;
    if (sample.value && !queue) return html`<div class="panel"><${NoGroups} /></div>`;
    if (!data) return html`<div class="panel"><${Skeleton} /></div>`;
    return html`${choice}<section class="panel" aria-label=${t("page_groups")}>
    ${data.items.length ? html`<${Table} label=${t("page_groups")} columns=${made} rows=${data.items} keyOf=${(one) => `${one.queue}\n${one.group}`} initial="-size" />` : html`<${NoGroups} />`}
  </section>`;
}
