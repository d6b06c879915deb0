// A slider below each number that has bounds: in doubling steps, as nodes and batches are counted. Fields work without.
function slide(field) {
  if (field.nextElementSibling) return;
  const { least, most } = field.dataset;
  const stops = [...(least === "0" ? [0] : [])];
  for (let value = 1; value <= Number(most); value *= 2) stops.push(value);
  const slider = document.createElement("input");
  const place = () => stops.filter((stop) => stop <= Number(field.value)).length - 1;
  Object.assign(slider, { type: "range", min: 0, max: stops.length - 1, value: Math.max(0, place()) });
  slider.setAttribute("aria-label", field.parentElement.textContent.trim());
  slider.addEventListener("input", () => { field.value = stops[slider.value]; });
  field.addEventListener("input", () => { slider.value = place(); });
  field.after(slider);
}
const slideAll = () => document.querySelectorAll("input[data-most]").forEach(slide);
document.addEventListener("htmx:load", slideAll);
slideAll();
