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
    draw(stages);
    for (const offer of document.querySelectorAll("[data-offer]")) offer.hidden = !offers.includes(offer.dataset.offer);
  });
  events.addEventListener("marks", (event) => {
    const marks = JSON.parse(event.data);
    for (const node of document.querySelectorAll("g[data-stage]")) {
      for (const mark of ["waits", "busy"]) node.classList.toggle(mark, marks[mark].includes(node.dataset.stage));
    }
    for (const { source, stage, error, jobs } of marks.ways) {
      for (const way of document.querySelectorAll(`g.edge.${error ? "error" : "next"}`)) {
        const text = way.querySelector("[data-count]");
        if (!text || way.dataset.from !== source || way.dataset.to !== stage) continue;
        text.textContent = jobs.toLocaleString("en");
        way.classList.add("counted");
      }
    }
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

// What stands in the two lines of each box of the graph: what is zero is left out.
function draw(stages) {
  for (const node of document.querySelectorAll("g[data-stage]")) {
    const stage = stages[node.dataset.stage];
    if (!stage) continue;
    const ended = ["done", "failed"].filter((name) => stage[name]).map((name) => `${short(stage[name])} ${name}`);
    const now = stage.open ? [`${short(stage.open)} open`] : [];
    if (stage.rate) now.push(`${short(stage.rate)} a second`);
    const lines = [ended, now].map((line) => line.join(" · ")).filter(Boolean);
    node.querySelectorAll("[data-counts]").forEach((text, number) => {
      text.textContent = lines[number] ?? "";
    });
    node.classList.toggle("failed", stage.failed > 0);
  }
}

function short(number) {
  return new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(number);
}
