"use strict";
// The page of pushback's dashboard. Frames come four times a second from "events"; names, reasons and paths in them are other people's
// text, so all of it goes into the page by textContent.

const SECONDS = 60;
// A plot that has just begun is not stretched to nothing.
const SECONDS_MIN = 15;
// Rates are those of the last so many frames.
const RATE_FRAMES = 4;
const RETRY_MS = 1000;
// A server that has said nothing for so long is gone, whatever the connection says.
const SILENCE_MS = 5000;

const page = (name) => location.pathname.replace(/\/$/, "") + "/" + name;
const find = (selector, within = document) => within.querySelector(selector);
const changesAt = document.body.dataset.changesAt;
// It is kept as long as the page is open, and nowhere else.
let token = "";

// What is written only where it changed: the browser then has nothing to do, and a screen reader nothing to say.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

function rate(perSecond) {
  if (perSecond >= 100) return Math.round(perSecond).toLocaleString("en");
  return perSecond.toFixed(perSecond > 0 && perSecond < 10 ? 1 : 0);
}

function time(seconds) {
  if (seconds >= 10) return `${seconds.toFixed(0)} s`;
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  const millis = seconds * 1000;
  return `${millis.toFixed(millis >= 100 ? 0 : millis >= 10 ? 1 : 2)} ms`;
}

function ago(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
}

const words = (name) => name.replaceAll("_", " ");
const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);

// The last frames' counts of one thing, of a minute at most.
class History {
  frames = [];

  add(frame) {
    const last = this.frames.at(-1);
    // After a pause, or when the server began anew, what was before says nothing about now.
    if (last && !(frame.seconds > last.seconds && frame.seconds < last.seconds + SILENCE_MS / 1000)) this.frames = [];
    if (last && Object.keys(last.counts).some((name) => frame.counts[name] < last.counts[name])) this.frames = [];
    this.frames.push(frame);
    while (this.frames[0].seconds < frame.seconds - SECONDS) this.frames.shift();
  }

  // How many a second there were of it, up to this frame.
  rate(name, at = this.frames.length - 1, frames = RATE_FRAMES) {
    const from = this.frames[Math.max(0, at - frames)];
    const to = this.frames[at];
    const seconds = to.seconds - from.seconds;
    return seconds > 0 ? ((to.counts[name] ?? 0) - (from.counts[name] ?? 0)) / seconds : 0;
  }

  // How long ago the left edge of a plot is.
  get seconds() {
    return Math.max(SECONDS_MIN, this.frames.at(-1).seconds - this.frames[0].seconds);
  }

  // One value of each frame, with its place between the left edge and the right one, which is now.
  values(of) {
    const { seconds } = this;
    const now = this.frames.at(-1).seconds;
    return this.frames.map((frame, index) => [(WIDTH * (1 - (now - frame.seconds) / seconds)).toFixed(1), of(frame, index)]);
  }
}

function roundUp(most) {
  if (most <= 4) return 4;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((round) => round >= most);
}

const WIDTH = 240;
const height = (value, most) => (100 - (100 * Math.min(value, most)) / most).toFixed(1);

// Areas on top of each other, the first at the bottom.
function draw(figure, areas, lines, most, seconds) {
  write(find(".most", figure), rate(most));
  write(find(".then", figure), `${Math.round(seconds)} s ago`);
  let below = null;
  for (const [name, values] of areas) {
    const floor = below ?? values.map(([x]) => [x, 0]);
    const sum = values.map(([x, value], index) => [x, value + floor[index][1]]);
    const up = sum.map(([x, value]) => `${x} ${height(value, most)}`);
    const down = floor.map(([x, value]) => `${x} ${height(value, most)}`).reverse();
    find(`.area.${name}`, figure).setAttribute("d", `M${up.join("L")}L${down.join("L")}Z`);
    below = sum;
  }
  for (const [name, values] of lines) {
    // A limit stands until it is moved.
    const steps = values.map(([x, value], index) => (index ? `H${x}V${height(value, most)}` : `M${x} ${height(value, most)}`));
    find(`.line.${name}`, figure).setAttribute("d", steps.join(""));
  }
}

class GaugeCard {
  history = new History();
  isSeen = true;

  constructor(name) {
    this.element = find("#gauge").content.firstElementChild.cloneNode(true);
    this.places = find(".places", this.element).parentElement;
    this.rates = find(".rates", this.element).parentElement;
    write(find("h2", this.element), name);
    this.element.setAttribute("aria-label", `gauge ${name}`);
    const change = find(".change", this.element);
    show(change, changesAt !== "");
    change.addEventListener("click", () => askForChange(this.now));
    this.element.card = this;
    seen.observe(this.element);
  }

  remove() {
    seen.unobserve(this.element);
    this.element.remove();
  }

  show(gauge, seconds) {
    this.now = gauge;
    const phantoms = gauge.dry_run?.phantoms ?? 0;
    const counts = {
      admitted: gauge.admitted, refused: total(gauge.refused), phantoms: total(gauge.dry_run?.would_refuse ?? {}) + (gauge.dry_run?.would_wait ?? 0),
    };
    for (const { name, admitted, refused } of gauge.priorities) {
      counts[`admitted ${name}`] = admitted;
      counts[`refused ${name}`] = refused;
    }
    for (const [reason, count] of Object.entries(gauge.refused)) counts[`by ${reason}`] = count;
    for (const [reason, count] of Object.entries(gauge.dry_run?.would_refuse ?? {})) counts[`would ${reason}`] = count;
    this.history.add({
      seconds, counts, limit: gauge.limit, inFlight: gauge.in_flight, inLine: gauge.in_line, phantoms,
    });
    // What nobody sees need not be drawn: a page may have a hundred gauges.
    if (this.isSeen && !document.hidden) this.render();
  }

  render() {
    const { now: gauge, element, history } = this;
    if (!gauge) return;
    const phantoms = gauge.dry_run?.phantoms ?? 0;
    show(find(".badge.dry", element), gauge.dry_run?.on ?? false);
    show(find(".badge.pinned", element), gauge.pinned);
    show(find(".badge.zero", element), gauge.limit === 0 && !gauge.closed && !gauge.dry_run?.on);
    show(find(".badge.closed", element), gauge.closed);
    write(find(".in-flight", element), gauge.in_flight.toLocaleString("en"));
    write(find(".limit", element), gauge.limit.toLocaleString("en"));
    show(find(".phantoms", element), phantoms > 0 || (gauge.dry_run?.on ?? false));
    write(find(".phantoms b", element), phantoms.toLocaleString("en"));
    write(find(".phantom-rate", element), rate(history.rate("phantoms")));
    write(find("div.line b", element), gauge.in_line.toLocaleString("en"));
    const oldest = gauge.oldest_wait_seconds;
    write(find(".oldest", element), oldest === null ? "" : `, for up to ${time(oldest)}`);
    write(find(".admitted-rate", element), rate(history.rate("admitted")));
    write(find(".refused-rate", element), rate(history.rate("refused")));
    const times = gauge.times;
    write(find(".times", element), times
      ? `half in ${time(times.p50_seconds)}, 95 % in ${time(times.p95_seconds)}, 99 % in ${time(times.p99_seconds)}`
      : "–");
    this.explain(gauge);
    this.plot();
  }

  explain(gauge) {
    const { element, history } = this;
    const why = find(".why", element);
    show(why, gauge.why !== null);
    if (gauge.why) {
      write(why, gauge.why.reason
        ? `Why this limit: ${gauge.why.reason}, ${ago(gauge.why.seconds_ago)}`
        : "Why this limit: nothing was decided yet");
    }
    const rates = (prefix) => Object.keys(history.frames.at(-1).counts)
      .filter((name) => name.startsWith(prefix))
      .map((name) => `${words(name.slice(prefix.length))} ${rate(history.rate(name))}/s`)
      .join(", ");
    const [refused, would] = [rates("by "), gauge.dry_run?.on ? rates("would ") : ""];
    const reasons = find(".reasons", element);
    show(reasons, refused + would !== "");
    write(reasons, [refused && `Refused: ${refused}`, would && `Would be refused: ${would}`].filter(Boolean).join(". "));
    const priorities = find(".priorities", element);
    show(priorities, gauge.priorities.length > 1);
    write(priorities, "By priority: " + gauge.priorities
      .map(({ name }) => `${name} ${rate(history.rate(`admitted ${name}`))}/s admitted, ${rate(history.rate(`refused ${name}`))}/s refused`)
      .join("; "));
  }

  plot() {
    const { now: gauge, history } = this;
    const of = (name) => history.values((frame) => frame[name]);
    const sums = history.frames.map((frame) => frame.inFlight + frame.phantoms + frame.inLine);
    // A limit far above all that happens would make that invisible.
    const most = Math.max(1, ...sums);
    const limit = Math.max(...history.frames.map((frame) => frame.limit));
    const top = roundUp(limit <= 10 * most ? Math.max(most, limit) * 1.05 : most * 1.5);
    draw(this.places, [["flight", of("inFlight")], ["phantom", of("phantoms")], ["wait", of("inLine")]], [["limit", of("limit")]], top, history.seconds);
    find("svg", this.places).setAttribute("aria-label",
      `In flight ${gauge.in_flight} of ${gauge.limit}, in line ${gauge.in_line}; in the last minute at most ${Math.max(...sums)} at once`);
    const rates = ["admitted", "phantom", "refused"].map((name) =>
      [name, history.values((_, index) => history.rate(name === "phantom" ? "phantoms" : name, index))]);
    const fastest = history.frames.map((_, index) => rates.reduce((sum, [, values]) => sum + values[index][1], 0));
    draw(this.rates, rates, [], roundUp(Math.max(1, ...fastest) * 1.05), history.seconds);
    find("svg", this.rates).setAttribute("aria-label",
      `Admitted ${rate(history.rate("admitted"))} and refused ${rate(history.rate("refused"))} a second`);
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const { card } = entry.target;
    card.isSeen = entry.isIntersecting;
    if (card.isSeen) card.render();
  }
});

let version;
const cards = new Map();
const routes = new Map();

// The rows of a table, as many as there are things to show; each cell is text or an element.
function fill(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, index) => {
    const row = body.rows[index] ?? body.insertRow();
    cells.forEach(({ text, element, className = "" }, at) => {
      const cell = row.cells[at] ?? row.insertCell();
      if (cell.className !== className) cell.className = className;
      if (element) {
        if (cell.firstElementChild !== element) cell.replaceChildren(element);
      } else {
        write(cell, text);
      }
    });
    while (row.cells.length > cells.length) row.deleteCell(-1);
  });
}

function showRoutes(counted, seconds) {
  show(find("#routes"), counted.length > 0);
  const keys = new Set(counted.map(({ name, gauge }) => JSON.stringify([name, gauge])));
  for (const key of routes.keys()) if (!keys.has(key)) routes.delete(key);
  const rates = counted.map(({ name, gauge, requests }) => {
    const key = JSON.stringify([name, gauge]);
    const route = routes.get(key) ?? { history: new History(), meter: document.createElement("meter") };
    routes.set(key, route);
    route.history.add({ seconds, counts: { requests } });
    const { history } = route;
    return { name, gauge, route, now: history.rate("requests"), minute: history.rate("requests", history.frames.length - 1, Infinity) };
  });
  const all = rates.reduce((sum, { minute }) => sum + minute, 0);
  fill(find("#routes tbody"), rates.map(({ name, gauge, route, now, minute }) => {
    const share = all > 0 ? minute / all : 0;
    route.meter.value = share;
    route.meter.textContent = route.meter.title = `${Math.round(100 * share)} %`;
    route.meter.setAttribute("aria-label", `share of ${name}`);
    return [{ text: name }, { text: gauge }, { text: rate(now), className: "number" }, { element: route.meter }];
  }));
}

function showRefusals(refusals) {
  show(find("#refusals .none"), refusals.length === 0);
  show(find("#refusals table"), refusals.length > 0);
  const hasPriorities = refusals.some(({ priority }) => priority !== "normal");
  show(find("#refusals .priority"), hasPriorities);
  fill(find("#refusals tbody"), refusals.map(({ seconds_ago, count, request, gauge, reason, priority }) => [
    { text: ago(seconds_ago) }, { text: request }, { text: count.toLocaleString("en"), className: "number" },
    { text: gauge }, { text: words(reason) },
    ...(hasPriorities ? [{ text: priority }] : []),
  ]));
}

function showFrame(frame) {
  // After an upgrade of the server, this page may no longer understand it.
  version ??= frame.version;
  if (frame.version !== version) location.reload();
  const titles = new Set(frame.gauges.map(({ title }) => title));
  for (const [title, card] of cards) {
    if (!titles.has(title)) {
      card.remove();
      cards.delete(title);
    }
  }
  for (const gauge of frame.gauges) {
    let card = cards.get(gauge.title);
    if (!card) {
      card = new GaugeCard(gauge.title);
      cards.set(gauge.title, card);
      find("#gauges").append(card.element);
    }
    card.show(gauge, frame.seconds);
  }
  showRoutes(frame.routes, frame.seconds);
  showRefusals(frame.refusals);
  document.dispatchEvent(new CustomEvent("frame", { detail: frame }));
}

// Changes, with the token and once they are confirmed.

// A second press of the button that comes sooner is no answer to the question.
const THINK_MS = 500;
const ANSWER_MS = 10000;

// The gauge that is to be changed, and whether whoever changes it was asked whether they are sure.
let asked = null;
let isSure = false;
let thinking;

const moves = (gauge) => gauge.why !== null;

function wanted() {
  const change = {};
  const limit = Number(find("#change-limit").value);
  const isPinned = find("#change-pinned").checked;
  if (moves(asked) && isPinned !== asked.pinned) change.pinned = isPinned;
  // It is pinned at the number that stands there, wherever it has moved meanwhile.
  if (limit !== asked.limit || change.pinned) change.limit = limit;
  const isDry = find("#change-dry").checked;
  if (isDry !== (asked.dry_run?.on ?? false)) change.dry_run = isDry;
  return change;
}

function unconfirm(problem = "") {
  isSure = false;
  clearTimeout(thinking);
  write(find("#change-confirm"), "");
  write(find("#change-problem"), problem);
  write(find("#change-do"), "Change");
  find("#change-do").disabled = false;
}

function askForChange(gauge) {
  asked = gauge;
  write(find("#change-title"), `Change '${gauge.name}'`);
  find("#change-limit").value = gauge.limit;
  show(find("#change-pinned").parentElement, moves(gauge));
  find("#change-pinned").checked = gauge.pinned;
  find("#change-dry").checked = gauge.dry_run?.on ?? false;
  find("#change-token").value = token;
  unconfirm();
  find("#change").showModal();
}

// What becomes of the limit.
function becomes({ limit, pinned = asked.pinned }) {
  if (limit === undefined) return "the limit moves by itself again";
  if (limit === asked.limit) return `the limit stays at ${limit}`;
  const goes = `the limit goes from ${asked.limit} to ${limit}${limit === 0 ? ", which admits nobody" : ""}`;
  if (!moves(asked)) return goes;
  return `${goes}, and ${pinned ? "stays there" : "moves on from there by itself"}`;
}

function confirmChange(change) {
  const parts = [];
  if ("limit" in change || "pinned" in change) parts.push(becomes(change));
  if ("dry_run" in change) parts.push(change.dry_run ? "nobody is refused any more" : "requests above the limit are refused again");
  write(find("#change-problem"), "");
  write(find("#change-confirm"), `At once: ${parts.join(", and ")}. Are you sure?`);
  const button = find("#change-do");
  write(button, "Yes, change it");
  isSure = true;
  button.disabled = true;
  thinking = setTimeout(() => (button.disabled = false), THINK_MS);
  find("#change-cancel").focus();
}

async function makeChange(change) {
  const [gauge, typed] = [asked, find("#change-token").value];
  find("#change-do").disabled = true;
  let problem;
  try {
    const answer = await fetch(`${page(changesAt)}/${encodeURIComponent(gauge.name)}`, {
      method: "PATCH",
      headers: { authorization: `Bearer ${typed}`, "content-type": "application/json" },
      body: JSON.stringify(change),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (!answer.ok) problem = errorIn(await answer.text()) || `the server says ${answer.status}`;
  } catch (error) {
    problem = error.message;
  }
  // Whoever has gone on to another gauge meanwhile is not told of this one.
  if (asked !== gauge) return;
  if (problem) return unconfirm(`Not changed: ${problem}`);
  token = typed;
  find("#change").close();
}

// The API says what is wrong as JSON, others as text.
function errorIn(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return text.trim();
  }
}

for (const id of ["#change-limit", "#change-pinned", "#change-dry", "#change-token"]) find(id).addEventListener("input", () => unconfirm());
find("#change-cancel").addEventListener("click", () => find("#change").close());
find("#change").addEventListener("close", () => (asked = null));
find("#change form").addEventListener("submit", (event) => {
  event.preventDefault();
  const change = wanted();
  if (Object.keys(change).length === 0) unconfirm("That is how it is.");
  else if (!isSure) confirmChange(change);
  else makeChange(change);
});

// The stream. It is read by fetch and not by EventSource, which cannot say a token and keeps to itself why it failed.

function tell(text, isLost) {
  write(find("#connection"), text);
  find("#connection").classList.toggle("lost", isLost);
  document.body.classList.toggle("lost", isLost);
}

// Follows one stream to its end, and gives what there is to say about that.
async function read() {
  const abort = new AbortController();
  let silence;
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => abort.abort(), SILENCE_MS);
  };
  try {
    heard();
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const answer = await fetch(page("events"), { headers, signal: abort.signal, cache: "no-store" });
    if (answer.status === 401) return "locked";
    if (!answer.ok) return `the server says ${answer.status}, trying again`;
    show(find("#enter"), false);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      heard();
      text += value;
      const events = text.split("\n\n");
      text = events.pop();
      // Of several that came at once, all count; each is a moment of its own.
      events.forEach(showEvent);
      tell("live", false);
    }
  } catch {
    // Whatever the browser calls it: it is no connection any more.
  } finally {
    clearTimeout(silence);
    abort.abort();
  }
  return "connection lost, trying again";
}

// A mistake of this page is none of the connection's.
function showEvent(event) {
  try {
    showFrame(JSON.parse(event.slice("data: ".length)));
  } catch (error) {
    console.error(error);
  }
}

let enter = () => {};

async function follow() {
  for (;;) {
    const end = await read();
    tell(end, true);
    if (end === "locked") {
      write(find("#enter-problem"), token ? "That was not the token." : "");
      show(find("#enter"), true);
      find("#enter-token").focus();
      await new Promise((resolve) => (enter = resolve));
    } else {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

find("#enter").addEventListener("submit", (event) => {
  event.preventDefault();
  token = find("#enter-token").value;
  write(find("#enter-problem"), "");
  enter();
});

follow();
