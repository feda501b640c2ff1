// The deployment page: charts that grow with every event, live figures, and money that runs.
import { appendEvent, dropOld } from "./series.js";
import { CHARTS, buildLayout, buildTraces } from "./charts.js";
import { formatFigure, formatLatency, formatUsd } from "./format.js";

const box = document.getElementById("charts");
const { lines } = JSON.parse(document.getElementById("chart-lines").textContent);
let windowS = 300;
let series = null;
let pending = []; // events that came while the columns were on their way
let isDrawQueued = false;

async function load() {
  const wanted = windowS;
  series = null;
  pending = [];
  try {
    const answer = await fetch(`${box.dataset.seriesUrl}?window_s=${wanted}`, { headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) throw new Error(`status ${answer.status}`);
    const columns = await answer.json();
    if (wanted !== windowS) return; // another window was chosen meanwhile
    series = columns;
    for (const payload of pending) appendEvent(series, payload);
    pending = [];
    draw();
  } catch {
    for (const plot of box.querySelectorAll("[data-chart]")) note(plot, "The measurements could not be read. Choose a window to try again.");
  }
}

function note(plot, text) {
  window.Plotly?.purge(plot);
  const line = document.createElement("p");
  line.className = "plot-note";
  line.textContent = text;
  plot.replaceChildren(line);
}

function draw() {
  if (!series || !window.Plotly) return;
  dropOld(series, windowS);
  for (const plot of box.querySelectorAll("[data-chart]")) {
    const chart = CHARTS[plot.dataset.chart];
    const traces = buildTraces(chart, series, lines, windowS);
    if (!traces.some((trace) => trace.meta === "measured" && trace.y.some((value) => value !== null))) {
      note(plot, "Nothing was measured in this window.");
      continue;
    }
    if (plot.firstElementChild?.classList.contains("plot-note")) plot.replaceChildren();
    window.Plotly.react(plot, traces, buildLayout(chart, traces, windowS), { displayModeBar: false, responsive: true });
  }
}

function drawSoon() {
  if (isDrawQueued) return;
  isDrawQueued = true;
  requestAnimationFrame(() => {
    isDrawQueued = false;
    draw();
  });
}

function showFigures(payload) {
  for (const place of document.querySelectorAll("[data-live-value]")) place.textContent = formatFigure(payload[place.dataset.liveValue]);
  for (const place of document.querySelectorAll("[data-live-latency]")) place.textContent = formatLatency(payload[place.dataset.liveLatency]);
  for (const shard of payload.shards) {
    const row = document.querySelector(`[data-shard="${CSS.escape(shard.shard_id)}"]`);
    if (!row) continue;
    row.querySelector("[data-shard-value=load]").textContent = `${formatFigure(shard.num_running)} / ${formatFigure(shard.num_waiting)}`;
    row.querySelector("[data-shard-value=kv]").textContent = `${formatFigure(shard.kv_cache_usage_ratio * 100)} %`;
  }
}

let latest = JSON.parse(document.getElementById("latest-telemetry").textContent);

document.addEventListener("medley:event", ({ detail: event }) => {
  if (event.topic !== box.dataset.topic || event.kind !== "telemetry") return;
  latest = event.payload;
  showFigures(latest);
  if (series) appendEvent(series, event.payload);
  else pending.push(event.payload);
  if (!document.hidden) drawSoon();
});
document.addEventListener("visibilitychange", () => !document.hidden && drawSoon());
document.addEventListener("htmx:afterSwap", () => {
  startClock(); // the parts were replaced: put back what only events know
  if (latest) showFigures(latest);
});
document.addEventListener("medley:theme", drawSoon);

box.addEventListener("click", (event) => {
  const button = event.target.closest("[data-window]");
  if (!button) return;
  windowS = Number(button.dataset.window);
  for (const other of box.querySelectorAll("[data-window]")) other.setAttribute("aria-pressed", String(other === button));
  load();
});

// Money accrues between two answers of the server at the price of the machines held.
let clock = null;

function startClock() {
  clearInterval(clock);
  const place = document.querySelector("[data-accrued]");
  const usdPerHour = Number(place?.dataset.usdPerHour);
  if (!usdPerHour) return;
  const since = performance.now();
  const before = Number(place.dataset.accrued);
  clock = setInterval(() => {
    place.textContent = formatUsd(before + (usdPerHour * (performance.now() - since)) / 3.6e6);
  }, 1000);
}

startClock();
if (latest) showFigures(latest);
load();
