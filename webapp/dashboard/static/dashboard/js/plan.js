// The progress of a solve moves without asking the server again.
document.addEventListener("medley:event", ({ detail: event }) => {
  if (event.kind !== "progress") return;
  const box = document.querySelector(`[data-progress="${event.topic}"]`);
  if (!box) return;
  const percent = Math.round(event.payload.fraction * 100);
  const bar = box.querySelector("[role=progressbar]");
  bar.setAttribute("aria-valuenow", String(percent));
  bar.firstElementChild.style.width = `${percent}%`;
  box.querySelector("[data-progress-text]").textContent = event.payload.text;
});
