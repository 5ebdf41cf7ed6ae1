// Calls of the API; an error is a `Problem` (RFC 9457).
const BASE = "api/v1/";

export class Problem extends Error {
    constructor(status, body) {
        super(body.detail || body.title || `${status}`);
        Object.assign(this, { status, ...body });
    }
}

export const urlOf = (path, query = {}) => {
    const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
    return BASE + path + (given.length ? `?${new URLSearchParams(given)}` : "");
};

// Return a path of the API with its parts escaped: path`queues/${name}`.
export const path = (texts, ...parts) =>
    String.raw({ raw: texts }, ...parts.map((part) => encodeURIComponent(part)));

export const get = (where, query, signal) => call(urlOf(where, query), { signal });

export const send = (method, where, body = {}) =>
    call(urlOf(where), {
        method,
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
    });

async function call(url, options) {
    let answer;
    try {
        answer = await fetch(url, { cache: "no-store", ...options });
    } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new Problem(0, { title: "no answer", detail: error.message });
    }
    const text = await answer.text();
    let body = {};
    try {
        body = text ? JSON.parse(text) : {};
    } catch {
        body = { title: answer.statusText, detail: text.slice(0, 200) };
    }
    if (!answer.ok) throw new Problem(answer.status, body);
    return body;
}
