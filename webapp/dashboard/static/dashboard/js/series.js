// Columns of measurements: what the server gives, and what events add to them.
const SKIPPED = new Set(["deployment", "since", "until", "interval_s", "shards"]);

function isNewer(columns, at) {
  const times = columns.sampled_at;
  return !times.length || Date.parse(times[times.length - 1]) < Date.parse(at);
}

export function appendEvent(series, payload) {
  if (!isNewer(series, payload.sampled_at)) return; // the columns hold it already
  // Minutes are drawn in long windows: an event every two seconds would draw another line.
  const times = series.sampled_at;
  const gapMs = times.length ? Date.parse(payload.sampled_at) - Date.parse(times[times.length - 1]) : Infinity;
  if (gapMs < series.interval_s * 1000 * 0.75) return;
  for (const name of Object.keys(series)) {
    if (!SKIPPED.has(name)) series[name].push(payload[name] ?? null);
  }
  for (const shard of payload.shards) appendShard(series, shard, payload.sampled_at);
}

function appendShard(series, shard, at) {
  const columns = (series.shards[shard.shard_id] ??= {
    sampled_at: [],
    num_running: [],
    num_waiting: [],
    kv_cache_usage_ratio: [],
    output_tokens_per_s: [],
  });
  if (!isNewer(columns, at)) return;
  columns.sampled_at.push(at);
  for (const name of Object.keys(columns)) {
    if (name !== "sampled_at") columns[name].push(shard[name] ?? null);
  }
}

export function dropOld(series, windowS) {
  const oldest = Date.now() - windowS * 1000;
  drop(series, oldest);
  for (const [id, columns] of Object.entries(series.shards)) {
    drop(columns, oldest);
    if (!columns.sampled_at.length) delete series.shards[id];
  }
}

function drop(columns, oldest) {
  const count = columns.sampled_at.findIndex((at) => Date.parse(at) >= oldest);
  const num = count < 0 ? columns.sampled_at.length : count;
  if (!num) return;
  for (const [name, values] of Object.entries(columns)) {
    if (Array.isArray(values) && !SKIPPED.has(name)) values.splice(0, num);
  }
}
