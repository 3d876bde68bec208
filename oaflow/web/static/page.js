// What a page does while it is open: it follows its run. Without it every page works, and stands still.

const main = document.querySelector("main[data-live]");
if (main) follow(main.dataset.live);

function follow(address) {
  const away = document.querySelector("[data-part=away]");
  const say = (text) => {
    away.textContent = text;
    away.hidden = !text;
  };
  const events = new EventSource(address);
  events.addEventListener("open", () => say(""));
  events.addEventListener("error", () => say("Not connected to the server: what is shown may be old."));
  events.addEventListener("away", (event) => say(event.data));
  events.addEventListener("counts", (event) => {
    say("");
    const { offers, stages } = JSON.parse(event.data);
    count(stages);
    for (const offer of document.querySelectorAll("[data-offer]")) offer.hidden = !offers.includes(offer.dataset.offer);
  });
  for (const name of ["head", "doing"]) {
    events.addEventListener(name, (event) => {
      // The server has escaped what is in it, as in the page itself.
      document.querySelector(`[data-part=${name}]`).innerHTML = event.data;
    });
  }
  // A connection that is left open is one of the six that a browser has for a server.
  addEventListener("pagehide", () => events.close());
}

function count(stages) {
  const filled = new Set();
  for (const row of document.querySelectorAll("tr[data-stage]")) {
    const stage = stages[row.dataset.stage];
    if (!stage) continue;
    for (const cell of row.querySelectorAll("[data-counter]")) {
      const name = cell.dataset.counter;
      const value = stage[name];
      if (value) filled.add(name);
      const text = value ? value.toLocaleString("en") : "·";
      if (cell.textContent === text) continue;
      cell.textContent = text;
      cell.classList.toggle("none", !value);
      cell.classList.toggle("bad", Boolean(value) && (name === "failed" || name === "vanished"));
    }
  }
  // A column that is empty all the way down is left out; once there, it stays.
  for (const name of filled) {
    for (const cell of document.querySelectorAll(`[data-column=${name}][hidden], [data-counter=${name}][hidden]`)) {
      cell.hidden = false;
    }
  }
}
