/** Numbers as the dashboard writes them, with their units. */

/** Stands where there is no figure. */
export const NONE = "–";

const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Three figures that count; of large numbers all. */
export function number(value) {
  return (Math.abs(value) >= 1000 ? whole : three).format(value);
}

/** For what is not so exact: a second between two looks is never quite one. */
function tenths(value) {
  return value >= 100 ? number(value) : tenth.format(value);
}

/** How a value is written, by its unit. */
export const UNITS = {
  count: known(number),
  rate: known((value) => `${tenths(value)} /s`),
  bytes: known((value) => scaled(value, "B/s")),
  ms: known((value) => value >= 10_000 ? `${number(value / 1000)} s` : `${number(value)} ms`),
  kib: known((value) => `${number(value)} KiB`),
  mib: known((value) => `${number(value)} MiB`),
  percent: known((value) => `${tenths(value)} %`),
};

function known(write) {
  return (value) => value === null || value === undefined ? NONE : write(value);
}

function scaled(value, unit) {
  const [by, prefix] = [[1e9, "G"], [1e6, "M"], [1e3, "k"]].find(([by]) => value >= by) ?? [1, ""];
  return `${three.format(value / by)} ${prefix}${unit}`;
}

/** A time of day. */
export function clock(time) {
  return new Date(time).toLocaleTimeString("en-GB");
}

/** `"3 h 12 min"`: the two largest units. */
export function duration(seconds) {
  const parts = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]].map(([size, unit], i, all) => {
    const within = i === 0 ? seconds : seconds % all[i - 1][0];
    return [Math.floor(within / size), unit];
  });
  const first = parts.findIndex(([count]) => count > 0);
  if (first === -1) return "0 s";
  return parts.slice(first, first + 2).map(([count, unit]) => `${count} ${unit}`).join(" ");
}
