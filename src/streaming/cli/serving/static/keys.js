// Arrow keys turn pages, and a slash goes to the first field; a server that has ended is told of. Everything works without.
for (const [event, lost] of [["htmx:sendError", true], ["htmx:afterOnLoad", false]]) {
  document.addEventListener(event, () => { document.getElementById("lost")?.toggleAttribute("hidden", !lost); });
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select, textarea, audio, video")) return;
  if (event.key === "/") {
    const field = document.querySelector("main input:not([type=hidden])");
    if (field) { field.focus(); event.preventDefault(); }
    return;
  }
  const way = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const link = way && document.querySelector(`main a[rel=${way}]`);
  if (link) link.click();
});
