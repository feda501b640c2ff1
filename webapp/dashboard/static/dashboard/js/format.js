// Figures as the pages write them.
const NOTHING = "–";

function round(value) {
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 6 });
}

export function formatFigure(value) {
  if (value === null || value === undefined) return NOTHING;
  if (Math.abs(value) >= 1e7) return `${round(value / 1e6)}M`;
  if (Math.abs(value) >= 1e4) return `${round(value / 1e3)}k`;
  return round(value);
}

export function formatLatency(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  return seconds < 1 ? `${round(seconds * 1000)} ms` : `${round(seconds)} s`;
}

export function formatUsd(value) {
  const digits = Math.abs(value) >= 1 ? { minimumFractionDigits: 2, maximumFractionDigits: 2 } : { minimumFractionDigits: 2, maximumFractionDigits: 4 };
  return `$${value.toLocaleString("en", digits)}`;
}
