// What each chart draws; colours come from the design tokens, so that both themes fit.
const MS = 1000;

export const CHARTS = {
  throughput: { lines: [["output_tokens_per_s", "measured"]], plan: ["plan_output_tokens_per_s", "plan carries"] },
  requests: { lines: [["requests_per_s", "finished"]], plan: ["plan_requests_per_s", "plan carries"] },
  ttft: { lines: [["ttft_p50_s", "p50"], ["ttft_p90_s", "p90"]], plan: ["plan_ttft_s", "plan"], slo: "slo_ttft_s" },
  tpot: { lines: [["tpot_p50_s", "p50"], ["tpot_p90_s", "p90"]], plan: ["plan_tpot_s", "plan"], slo: "slo_tpot_s", scale: MS },
  e2e: { lines: [["e2e_p50_s", "p50"], ["e2e_p90_s", "p90"]], slo: "slo_e2e_s" },
  queue: { shards: [["num_running", "running", "solid"], ["num_waiting", "queued", "dot"]] },
  kv: { shards: [["kv_cache_usage_ratio", "", "solid"]], scale: 100 },
};

function readToken(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function scaled(values, scale = 1) {
  return values.map((value) => (value === null || value === undefined ? null : value * scale));
}

function makeLine(x, y, name, color, dash = "solid") {
  return { x, y, name, type: "scatter", mode: "lines", meta: "measured", line: { color, dash, width: 1.75 }, hovertemplate: `%{y:.4~g} <extra>${name}</extra>` };
}

function makeLevel(x, value, name, color, dash) {
  return { x, y: [value, value], name, type: "scatter", mode: "lines", meta: "level", line: { color, dash, width: 1.5 }, hovertemplate: `%{y:.4~g} <extra>${name}</extra>` };
}

function listEnds(windowS) {
  const now = Date.now();
  return [now - windowS * 1000, now].map((instant) => new Date(instant).toISOString());
}

export function buildTraces(chart, series, lines, windowS) {
  const ends = listEnds(windowS);
  const traces = chart.shards ? buildShardTraces(chart, series) : buildOwnTraces(chart, series);
  const level = (key) => (lines[key] === null ? null : lines[key] * (chart.scale ?? 1));
  if (chart.plan && level(chart.plan[0]) !== null) traces.push(makeLevel(ends, level(chart.plan[0]), chart.plan[1], readToken("series-plan"), "dash"));
  if (chart.slo && level(chart.slo) !== null) traces.push(makeLevel(ends, level(chart.slo), `SLO p${lines.slo_percentile}`, readToken("series-slo"), "dot"));
  return traces;
}

function buildOwnTraces(chart, series) {
  return chart.lines.map(([column, name], index) => makeLine(series.sampled_at, scaled(series[column], chart.scale), name, readToken(`series-${chart.lines.length === 1 ? 1 : 2 - index}`)));
}

function buildShardTraces(chart, series) {
  return Object.entries(series.shards).flatMap(([id, columns], index) =>
    chart.shards.map(([column, word, dash]) => makeLine(columns.sampled_at, scaled(columns[column], chart.scale), `${shorten(id)} ${word}`.trim(), readToken(`series-${(index % 6) + 1}`), dash)),
  );
}

function shorten(id) {
  return id.split("-").slice(-2).join("-"); // the deployment's name stands in the heading
}

const FAR = 4; // a level this many times above everything measured would flatten it to the axis

function findFarLevels(traces) {
  const peak = Math.max(0, ...traces.filter((trace) => trace.meta === "measured").flatMap((trace) => trace.y.map((value) => value ?? 0)));
  return { peak, levels: peak > 0 ? traces.filter((trace) => trace.meta === "level" && trace.y[0] > FAR * peak) : [] };
}

function noteLevel(trace, index) {
  const text = `${trace.name} ${Number(trace.y[0].toPrecision(3)).toLocaleString("en")} ↑`;
  return { text, xref: "paper", yref: "paper", x: 1, y: 1, xanchor: "right", yanchor: "top", yshift: -14 * index, showarrow: false, font: { size: 11, color: trace.line.color } };
}

export function buildLayout(chart, traces, windowS) {
  const far = findFarLevels(traces);
  const grid = readToken("border");
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, tickfont: { size: 11 }, fixedrange: true };
  return {
    margin: { l: 44, r: 8, t: 8, b: 28 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: readToken("font"), size: 12, color: readToken("text-3") },
    hovermode: "x unified",
    hoverlabel: { bgcolor: readToken("surface"), bordercolor: readToken("border-strong"), font: { color: readToken("text"), size: 12 } },
    showlegend: traces.length > 1,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } },
    xaxis: { ...axis, type: "date", range: listEnds(windowS), tickformat: windowS > 600 ? "%H:%M" : "%H:%M:%S", nticks: 4 },
    yaxis: { ...axis, nticks: 5, ...(far.levels.length ? { range: [0, 1.4 * far.peak] } : { rangemode: "tozero" }) },
    annotations: far.levels.map(noteLevel),
    uirevision: windowS,
  };
}
