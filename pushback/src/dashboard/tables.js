// The tables below the gauges, and what comes with a frame.

let version;
const cards = new Map();
const routes = new Map();

// The rows of a table, as many as there are things to show; each cell is text or an element.
function fill(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, index) => {
    const row = body.rows[index] ?? body.insertRow();
    // On a phone, rows are no rows of a table to the browser; to those who hear them they stay so.
    row.setAttribute("role", "row");
    cells.forEach(({ text, element, className = "" }, at) => {
      const cell = row.cells[at] ?? row.insertCell();
      cell.setAttribute("role", "cell");
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
