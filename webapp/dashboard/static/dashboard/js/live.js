// One WebSocket per page. It remembers the last event it saw, so that a reconnect loses nothing.
const RETRY_MS = [500, 1000, 2000, 5000, 10000];
const REFRESH_MS = 250; // several events of one change refresh a region once

export class LiveConnection {
  constructor({ topics, after, onEvent, onState }) {
    this.topics = topics;
    this.lastId = after;
    this.onEvent = onEvent;
    this.onState = onState;
    this.numFailures = 0;
    this.open();
  }

  open() {
    this.onState("connecting");
    const query = new URLSearchParams(this.topics.map((topic) => ["topic", topic]));
    query.set("after", this.lastId);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}/ws/events/?${query}`);
    this.socket.addEventListener("open", () => {
      this.numFailures = 0;
      this.onState("open");
    });
    this.socket.addEventListener("message", (message) => this.receive(JSON.parse(message.data)));
    this.socket.addEventListener("close", (event) => this.retry(event.code));
  }

  receive(event) {
    if (event.kind === "reset") {
      location.reload(); // events behind our bookmark are gone: only the page itself knows how things stand
      return;
    }
    this.lastId = String(event.id);
    this.onEvent(event);
  }

  retry(code) {
    if (code === 4400 || code === 4401) {
      this.onState("closed"); // signed out, or asked wrongly: trying again cannot help
      return;
    }
    this.onState("connecting");
    const wait = RETRY_MS[Math.min(this.numFailures, RETRY_MS.length - 1)];
    this.numFailures += 1;
    setTimeout(() => this.open(), wait);
  }
}

const STATE_TEXTS = { open: "Live", connecting: "Connecting…", closed: "Not connected: reload the page" };

function showState(state) {
  for (const place of document.querySelectorAll("[data-connection]")) {
    place.dataset.state = state;
    place.textContent = STATE_TEXTS[state];
  }
}

// Elements name the topics they show in `data-live`; kinds in `data-live-kinds` refresh them by their own hx-get.
function listRegions(event) {
  return [...document.querySelectorAll("[data-live-kinds]")].filter(
    (region) =>
      region.dataset.live.split(" ").includes(event.topic) &&
      region.dataset.liveKinds.split(" ").includes(event.kind),
  );
}

const timers = new Map();

function refreshLater(region) {
  const id = region.id;
  if (timers.has(id)) return;
  timers.set(
    id,
    setTimeout(() => {
      timers.delete(id);
      const current = document.getElementById(id); // the region may have been replaced meanwhile
      if (current && window.htmx) window.htmx.trigger(current, "medley:refresh");
    }, REFRESH_MS),
  );
}

export function connectLiveRegions() {
  const after = document.body.dataset.liveAfter;
  const topics = new Set();
  for (const place of document.querySelectorAll("[data-live]")) {
    for (const topic of place.dataset.live.split(" ")) topics.add(topic);
  }
  if (!topics.size || after === undefined) return null;
  return new LiveConnection({
    topics: [...topics],
    after,
    onState: showState,
    onEvent: (event) => {
      document.dispatchEvent(new CustomEvent("medley:event", { detail: event }));
      listRegions(event).forEach(refreshLater);
    },
  });
}
