"use strict";
// Moves and enlarges the picture. Sizes are set as attributes, which the page's policy allows.
const view = document.getElementById("view");
const picture = view.querySelector("svg");
const whole = { width: picture.viewBox.baseVal.width, height: picture.viewBox.baseVal.height };
const least = 0.1, most = 6, step = 1.25;
let scale = 1;

function enlarge(to, x = view.clientWidth / 2, y = view.clientHeight / 2) {
  const before = scale;
  scale = Math.min(most, Math.max(least, to));
  picture.setAttribute("width", whole.width * scale);
  picture.setAttribute("height", whole.height * scale);
  // What was under the pointer stays there.
  view.scrollLeft = (view.scrollLeft + x) * (scale / before) - x;
  view.scrollTop = (view.scrollTop + y) * (scale / before) - y;
}

function fit() {
  enlarge(Math.min(1.5, view.clientWidth / whole.width, view.clientHeight / whole.height));
}

view.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "+" || event.key === "=") enlarge(scale * step);
  else if (event.key === "-") enlarge(scale / step);
  else if (event.key === "0") fit();
  else return;
  event.preventDefault();
});

view.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  const at = view.getBoundingClientRect();
  enlarge(scale * Math.exp(-event.deltaY / 300), event.clientX - at.left, event.clientY - at.top);
}, { passive: false });

view.addEventListener("pointerdown", (event) => {
  if (event.pointerType !== "mouse" || event.button !== 0) return;
  view.classList.add("held");
  view.setPointerCapture(event.pointerId);
});
view.addEventListener("pointermove", (event) => {
  if (!view.classList.contains("held")) return;
  view.scrollLeft -= event.movementX;
  view.scrollTop -= event.movementY;
});
for (const name of ["pointerup", "pointercancel"]) {
  view.addEventListener(name, () => view.classList.remove("held"));
}

fit();
