// What a page does while it is open: it follows its run. Without it every page works, and stands still.

const MOST_LINES = 1000;

// Seconds after which a server that has refused is asked again.
const AGAIN = 5;

const main = document.querySelector("main[data-live]");
if (main) follow(main.dataset.live);

const log = document.querySelector("[data-log]");
if (log) read(log);

// A second click on a button would be refused, as the first has changed what it asks for.
let sent = -Infinity;
addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.timeStamp - sent < 1000 * AGAIN) event.preventDefault();
  else sent = event.timeStamp;
});
addEventListener("pageshow", () => (sent = -Infinity));

// A graph that is larger than its place begins at its start.
const graph = document.querySelector(".graph");
const start = graph?.querySelector(".start")?.getBoundingClientRect();
if (start) {
  const frame = graph.getBoundingClientRect();
  graph.scrollLeft += start.left + start.width / 2 - frame.left - frame.width / 2;
}

// What is still being counted comes when it is there, in the place of what says so.
const again = document.querySelector("[data-again]");
if (again) setTimeout(renew, 1000 * again.dataset.again);

async function renew() {
  if (document.hidden) {
    document.addEventListener("visibilitychange", renew, { once: true });
    return;
  }
  let seconds = 5;
  try {
    const answer = await fetch(location);
    const come = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    // Why it could not be counted is shown in its place; a database that is away is asked again.
    if (come && answer.status !== 503) document.querySelector("main").replaceChildren(...come.childNodes);
    seconds = document.querySelector("[data-again]")?.dataset.again;
  } catch {
    // The server is away: it is asked again.
  }
  if (seconds) setTimeout(renew, 1000 * seconds);
}

// Events from an address, which the page says where it is cut off from them. A connection that is left open is one of the
// six that a browser has for a server: a page that nobody sees has none, and catches up when it is seen again.
function hear(address, listeners) {
  let events = null;
  let last = "";
  const open = () => {
    if (events || document.hidden) return;
    const from = new URL(address, location);
    if (last) from.searchParams.set("after", last);
    events = new EventSource(from);
    events.addEventListener("open", () => say(""));
    events.addEventListener("error", (event) => {
      say("Not connected to the server: what is shown may be old.");
      // Cut off, a browser connects anew by itself; but not after a refusal, such as a proxy's while the server is away.
      if (event.target.readyState === EventSource.CLOSED && event.target === events) refused();
    });
    for (const [name, listener] of Object.entries(listeners)) {
      events.addEventListener(name, (event) => {
        last = event.lastEventId || last;
        listener(event.data);
      });
    }
  };
  const refused = async () => {
    close();
    const answer = await fetch(location, { method: "HEAD" }).catch(() => null);
    if (answer?.status === 401) say("You are not let in any more: load the page again.");
    else setTimeout(open, 1000 * AGAIN);
  };
  const close = () => {
    events?.close();
    events = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}

function say(text) {
  const away = document.querySelector("[data-part=away]");
  away.textContent = text;
  away.hidden = !text;
}

function follow(address) {
  // The server has escaped what is in it, as in the page itself.
  const fill = (name) => (html) => {
    const come = document.createElement("template");
    come.innerHTML = html;
    become(document.querySelector(`[data-part=${name}]`), come.content);
  };
  hear(address, {
    away: say,
    counts: (data) => {
      const { offers, stages } = JSON.parse(data);
      count(stages);
      draw(stages);
      for (const offer of document.querySelectorAll("[data-offer]")) offer.hidden = !offers.includes(offer.dataset.offer);
    },
    marks: (data) => {
      const marks = JSON.parse(data);
      for (const node of document.querySelectorAll("g[data-stage]")) {
        for (const mark of ["waits", "busy"]) node.classList.toggle(mark, marks[mark].includes(node.dataset.stage));
      }
    },
    ways: (data) => JSON.parse(data).forEach(pass),
    head: fill("head"),
    doing: fill("doing"),
    runs: list,
  });
}

// Puts what has come in the place of what stands there, and leaves alone what is as it was: a command that is being
// marked stays marked, and what has not changed is not read aloud again.
function become(old, come) {
  const nodes = [...come.childNodes];
  for (const [at, node] of nodes.entries()) {
    const there = old.childNodes[at];
    if (!there) old.append(node);
    else if (there.isEqualNode(node)) continue;
    else if (there.nodeType === Node.ELEMENT_NODE && there.cloneNode().isEqualNode(node.cloneNode())) become(there, node);
    else there.replaceWith(node);
  }
  while (old.childNodes.length > nodes.length) old.lastChild.remove();
}

// How many went along a way, and how many a second.
function pass({ source, stage, error, jobs, rate }) {
  for (const way of document.querySelectorAll(`g.edge.${error ? "error" : "next"}`)) {
    const text = way.querySelector("[data-count]");
    if (!text || way.dataset.from !== source || way.dataset.to !== stage) continue;
    text.textContent = rate ? `${short(jobs)} · ${short(rate)}/s` : jobs.toLocaleString("en");
    way.classList.add("counted");
  }
}

// The latest runs: rows that are as they were stay, with what has the focus.
function list(html) {
  const body = document.querySelector("[data-runs]");
  const come = document.createElement("template");
  come.innerHTML = `<table><tbody>${html}</tbody></table>`;
  const rows = [...come.content.querySelectorAll("tr")];
  if (!body) {
    if (rows.length) location.reload();
    return;
  }
  const known = new Map([...body.children].map((row) => [row.dataset.run, row]));
  for (const [number, row] of rows.entries()) {
    const old = known.get(row.dataset.run);
    known.delete(row.dataset.run);
    if (!old) {
      body.insertBefore(row, body.children[number] ?? null);
      continue;
    }
    [...row.cells].forEach((cell, at) => {
      if (!old.cells[at].isEqualNode(cell)) old.cells[at].replaceWith(cell);
    });
    if (body.children[number] !== old) body.insertBefore(old, body.children[number] ?? null);
  }
  for (const gone of known.values()) gone.remove();
}

// A log, to which lines come; who has scrolled up stays where they are.
function read(log) {
  log.scrollTop = log.scrollHeight;
  hear(log.dataset.log, {
    lines: (html) => {
      const below = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      log.insertAdjacentHTML("beforeend", html);
      while (log.children.length > MOST_LINES) log.firstElementChild.remove();
      document.querySelector("[data-empty]")?.remove();
      if (below) log.scrollTop = log.scrollHeight;
    },
  });
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
      const href = value && cell.dataset.to;
      cell.replaceChildren(href ? Object.assign(document.createElement("a"), { href, textContent: text }) : text);
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
