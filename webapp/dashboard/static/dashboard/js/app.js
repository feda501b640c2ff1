// What every page has: navigation drawer, theme, dialogs, copying, messages of failed requests, live regions.
import { connectLiveRegions } from "./live.js";

const root = document.documentElement;

function toggleTheme() {
  const next = root.dataset.theme === "dark" ? "light" : "dark";
  root.dataset.theme = next;
  try {
    localStorage.setItem("medley-theme", next);
  } catch {
    // storage can be forbidden; the choice then holds for this page
  }
  document.dispatchEvent(new CustomEvent("medley:theme"));
}

function setDrawer(isOpen) {
  document.body.classList.toggle("nav-open", isOpen);
  const opener = document.querySelector("[data-nav-open]");
  opener?.setAttribute("aria-expanded", String(isOpen));
  if (isOpen) document.querySelector(".nav a")?.focus();
  else if (document.activeElement?.closest(".nav")) opener?.focus();
}

async function copyFrom(button) {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    flash(button, "Copied");
  } catch {
    getSelection().selectAllChildren(source); // no clipboard without a secure origin: the text stands selected
    flash(button, "Selected");
  }
}

function flash(button, text) {
  const before = button.textContent;
  button.textContent = text;
  setTimeout(() => (button.textContent = before), 1500);
}

function showToast(text) {
  const toast = document.getElementById("toast");
  if (!toast) return;
  toast.querySelector("div").textContent = text;
  toast.hidden = false;
  clearTimeout(showToast.timer);
  showToast.timer = setTimeout(() => (toast.hidden = true), 6000);
}

document.addEventListener("click", (event) => {
  const find = (selector) => event.target.closest(selector);
  if (find("[data-theme-toggle]")) toggleTheme();
  else if (find("[data-nav-open]")) setDrawer(true);
  else if (find("[data-nav-close]")) setDrawer(false);
  else if (find("[data-copy]")) copyFrom(find("[data-copy]"));
  else if (find("[data-dialog]")) document.getElementById(find("[data-dialog]").dataset.dialog).showModal();
  else if (find("[data-dialog-close]")) find("dialog").close();
  else if (find("[data-check-none]")) clearChecks(find("[data-check-none]").dataset.checkNone);
});

function clearChecks(name) {
  for (const box of document.querySelectorAll(`input[name="${name}"]`)) box.checked = false;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("nav-open")) setDrawer(false);
});

// A form is sent once: a second click while the first is on its way would do the thing twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.dataset.sent) {
    if (form.dataset.sent) event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  for (const button of form.querySelectorAll("button[type=submit], button:not([type])")) {
    button.setAttribute("aria-disabled", "true");
  }
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
  }
});

document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.verb !== "get") return;
  for (const [name, value] of Object.entries(event.detail.parameters)) {
    if (value === "") delete event.detail.parameters[name]; // addresses people share stay short
  }
});
document.addEventListener("htmx:responseError", (event) => {
  showToast(`The console answered ${event.detail.xhr.status}. Reload the page to see how things stand.`);
});
document.addEventListener("htmx:sendError", () => showToast("The console does not answer. Is it still running?"));

connectLiveRegions();
