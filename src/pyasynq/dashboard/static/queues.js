// What can be done to a queue.
import { html } from "./lib.js";
import { send } from "./api.js";
import { t } from "./i18n.js";
import { actOnAll, attempt, watch } from "./jobs.js";
import { number } from "./numbers.js";
import { open } from "./route.js";
import { queryOf } from "./query.js";
import { may } from "./session.js";
import { ask, say } from "./ui.js";

async function pause(queue, isPaused) {
    const action = isPaused ? "pause" : "resume";
    const outcome = await attempt(() =>
        send("POST", `queues/${action}`, { queues: [queue.queue] }),
    );
    if (!outcome) return;
    const [refused] = outcome.refused;
    if (refused) say(refused.detail, "retry");
    else say(t(`done_${action}`, { name: queue.queue }));
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
    if (job && (await watch(job)).status === "done") open(["overview"]);
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
