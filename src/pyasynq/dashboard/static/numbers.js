// Numbers that need no words.
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const number = (value) => (value == null ? "–" : WHOLE.format(value));

// Three digits for small places: 1.3k, 48k, 2.1M.
export function short(value) {
  if (value < 1000) return `${value}`;
  const [scaled, unit] = value < 999_500 ? [value / 1000, "k"] : [value / 1e6, "M"];
  return (scaled < 9.95 ? scaled.toFixed(1) : scaled.toFixed(0)) + unit;
}

// A rate: at most one decimal, none from 100 on.
export function rate(value) {
  if (value == null) return "–";
  if (value === 0) return "0";
  if (value < 0.05) return "<0.1";
  return value < 99.95 ? value.toFixed(1) : number(value);
}

export function percent(part) {
  if (part == null) return "–";
  const value = part * 100;
  if (value === 0) return "0 %";
  if (value < 0.01) return "<0.01 %";
  return `${value < 1 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : "100"} %`;
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (count >= 999.5 && power < units.length - 1) [count, power] = [count / 1000, power + 1];
  return `${power && count < 99.95 ? count.toFixed(1) : count.toFixed(0)} ${units[power]}`;
}
