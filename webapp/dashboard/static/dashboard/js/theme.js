// Runs before the first paint: the stored choice, else what the system prefers.
(() => {
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  const read = () => {
    try {
      return localStorage.getItem("medley-theme");
    } catch {
      return null; // storage can be forbidden; then the system decides
    }
  };
  const apply = () => {
    document.documentElement.dataset.theme = read() || (media.matches ? "dark" : "light");
  };
  apply();
  media.addEventListener("change", apply);
})();
