"use strict";
// The operating-point slider. Everything it shows is also on the page without it, for the shipped point.
for (const panel of document.querySelectorAll("[data-panel]")) {
  const data = JSON.parse(panel.querySelector("script").textContent);
  const slider = panel.querySelector("input");
  const start = Number(slider.getAttribute("value"));
  const output = panel.querySelector("output");
  const picture = panel.parentElement.querySelector("svg[data-unit]");
  const dot = picture && picture.querySelector(".moving");
  const unit = picture && picture.dataset.unit.split(" ").map(Number);
  const share = (part, whole) => (whole ? part / whole : null);
  const text = (value) => (value === null ? "–" : value.toFixed(3));

  const show = () => {
    const i = Number(slider.value);
    const [tp, fp, tn, fn] = [data.tp[i], data.fp[i], data.tn[i], data.fn[i]];
    const sensitivity = share(tp, tp + fn);
    const specificity = share(tn, tn + fp);
    const values = {
      threshold: text(data.threshold[i]), sensitivity: text(sensitivity), specificity: text(specificity),
      ppv: text(share(tp, tp + fp)), npv: text(share(tn, tn + fn)), tp, fp, tn, fn,
    };
    for (const cell of panel.querySelectorAll("[data-value]")) cell.textContent = values[cell.dataset.value];
    output.textContent = values.threshold;
    slider.setAttribute("aria-valuetext",
      `${values.threshold}, sensitivity ${values.sensitivity}, specificity ${values.specificity}`);
    const moved = i !== start;
    for (const cell of panel.querySelectorAll(".tried")) cell.hidden = false;
    panel.classList.toggle("moved", moved);
    if (dot && sensitivity !== null && specificity !== null) {
      const [x0, y0, x1, y1] = unit;
      dot.setAttribute("cx", x0 + (1 - specificity) * (x1 - x0));
      dot.setAttribute("cy", y0 + sensitivity * (y1 - y0));
      dot.classList.toggle("shown", moved);
    }
  };

  slider.addEventListener("input", show);
  panel.querySelector("button").addEventListener("click", () => { slider.value = start; show(); slider.focus(); });
  panel.querySelector(".slider").hidden = false;
  slider.value = start;
  show();
}
