// Cron texts in words, for the common ones; others are shown as they are.
import { t } from "./i18n.js";

const NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
};
const UNITS = { s: 1, m: 60, h: 3600, ms: 0.001 };
const isNumber = (field) => /^\d+$/.test(field);
const two = (field) => field.padStart(2, "0");

// Return the words, or "" if there are none.
export function inWords(spec, duration) {
    const text = spec.replace(/^(CRON_)?TZ=\S+\s+/, "").trim();
    const every = text.match(/^@every\s+((?:[\d.]+(?:ms|s|m|h))+)$/);
    if (every) return t("cron_every", { span: duration(secondsOf(every[1])) });
    const fields = (NAMED[text] ?? text).split(/\s+/);
    return fields.length === 5 ? ofFields(fields) : "";
}

const secondsOf = (text) =>
    [...text.matchAll(/([\d.]+)(ms|s|m|h)/g)].reduce(
        (sum, [, count, unit]) => sum + count * UNITS[unit],
        0,
    );

function ofFields([minute, hour, day, month, weekday]) {
    const isAnyDay = day === "*" && month === "*" && weekday === "*";
    if (isAnyDay && hour === "*") return ofMinutes(minute);
    if (isAnyDay && /^\*\/\d+$/.test(hour) && isNumber(minute))
        return t("cron_hours", { n: Number(hour.slice(2)), minute: two(minute) });
    if (!isNumber(minute) || !isNumber(hour)) return "";
    const time = `${two(hour)}:${two(minute)}`;
    if (isAnyDay) return t("cron_day", { time });
    if (day === "*" && month === "*") return ofWeekdays(weekday, time);
    if (weekday === "*" && month === "*" && isNumber(day)) return t("cron_month", { time, day });
    return "";
}

function ofMinutes(minute) {
    if (minute === "*") return t("cron_minute");
    if (/^\*\/\d+$/.test(minute)) return t("cron_minutes", { n: Number(minute.slice(2)) });
    return isNumber(minute) ? t("cron_hour", { minute: two(minute) }) : "";
}

function ofWeekdays(weekday, time) {
    if (weekday === "1-5" || weekday.toUpperCase() === "MON-FRI")
        return t("cron_weekdays", { time });
    return /^[0-7]$/.test(weekday)
        ? t("cron_week", { time, weekday: t(`weekday_${Number(weekday) % 7}`) })
        : "";
}
