// The search line as text: `key:value key:"value with blanks"`.
import { address } from "./route.js";

export const term = (key, value) => {
    const text = `${value}`;
    return `${key}:${/^[\w@./+*-]+$/.test(text) ? text : `"${text.replace(/[\\"]/g, "\\$&")}"`}`;
};

export const queryOf = (terms) =>
    Object.entries(terms)
        .filter(([, value]) => value)
        .map(([key, value]) => term(key, value))
        .join(" ");

// The address of the tasks that meet all terms.
export const tasksAt = (terms) => address(["tasks"], { q: queryOf(terms) });
export const taskAt = ({ queue, id }) => address(["task", queue, id]);
