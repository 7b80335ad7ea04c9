// The demo's controls, and what its callers see.
{
  const NAMES = { w: "waiting", a: "answered", r: "refused", g: "gave up", f: "failed" };
  // So many callers come by one press.
  const SENT = 50;
  const slider = find("#demo-rate");
  // What operators call a dry run is the switch here.
  const badge = find(".badge.dry", find("#gauge").content);
  write(badge, "backpressure off");
  badge.title = "Nobody is refused, and who would be is counted.";
  // How many answers were asked for: one that was asked for before a change must not undo it on the page.
  let asked = 0;

  async function ask(wanted) {
    const turn = ++asked;
    const answer = await fetch(page("demo"), wanted && {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(wanted),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
    if (turn === asked) showDemo(JSON.parse(text));
  }

  async function want(wanted) {
    try {
      await ask(wanted);
      write(find("#demo-problem"), "");
    } catch (error) {
      write(find("#demo-problem"), `That did not work: ${error.message}`);
    }
  }

  const number = (value) => String(Math.round(10 * value) / 10);

  function showDemo(demo) {
    describe(demo);
    slider.max = demo.rate_max;
    // Whoever is at it knows better.
    if (document.activeElement !== slider) slider.value = demo.rate;
    write(find("#demo-rate-shown"), String(demo.rate));
    find("#demo-on").checked = demo.backpressure;
    find("#demo-send").disabled = demo.busy !== null;
    write(find("#demo-hint"), demo.busy ?? hint(demo));
    showPresses(demo.presses);
    show(find("#demo-stream"), demo.calls !== "");
    dots(find("#demo-calls"), demo.calls);
    find("#demo-calls").setAttribute("aria-label", counted(demo.calls));
    compare(demo);
  }

  // What to do next, until there is a press with backpressure and one without it.
  function hint({ backpressure, limit, presses }) {
    const has = (way) => presses.some((press) => press.backpressure === way);
    if (has(true) && has(false)) return "";
    if (has(backpressure)) return `Now switch backpressure ${backpressure ? "off" : "on"}, and press again.`;
    const fit = limit < 1 ? "none fits" : limit === 1 ? "1 fits" : limit < SENT ? `${limit} fit` : "all fit";
    return `Press it: ${SENT} callers come at once, ${backpressure ? fit : "and all are let in"}.`;
  }

  // A square for each call.
  function dots(element, letters) {
    while (element.childElementCount > letters.length) element.lastElementChild.remove();
    [...letters].forEach((letter, index) => {
      const dot = element.children[index] ?? element.appendChild(document.createElement("i"));
      if (dot.className !== letter) dot.className = letter;
    });
  }

  function counted(letters) {
    const counts = {};
    for (const letter of letters) counts[letter] = (counts[letter] ?? 0) + 1;
    return Object.entries(counts).map(([letter, count]) => `${count} ${NAMES[letter]}`).join(", ");
  }

  // A row for each press, so that those with backpressure stand beside those without; the newest first.
  function showPresses(presses) {
    const rows = find("#demo-presses");
    while (rows.childElementCount > presses.length) rows.lastElementChild.remove();
    presses.forEach((press, index) => {
      const row = rows.children[index] ?? rows.appendChild(find("#demo-press").content.firstElementChild.cloneNode(true));
      write(find("b", row), `${press.backpressure ? "with" : "without"} backpressure:`);
      write(find("span", row), became(press));
      dots(find(".dots", row), press.calls);
    });
  }

  // What became of a press, by counts of its callers.
  function became({ waiting, answered, refused, gave_up, failed, p50_seconds }) {
    const said = [];
    // That nobody was answered is only known at the end.
    if (answered || !waiting) said.push(`${answered} in time${answered ? ` (p50 ${time(p50_seconds)})` : ""}`);
    for (const [count, name] of [[refused, "refused"], [gave_up, "gave up"], [failed, "failed"], [waiting, "waiting"]]) {
      if (count) said.push(`${count} ${name}`);
    }
    return said.join(", ");
  }

  function describe({ workers, work_seconds, capacity, beyond, patience_seconds }) {
    const can = capacity === null ? "" : `: it can do ${number(capacity)} a second`;
    const more = beyond === "share" ? "all get slower" : "those who are let in wait for a worker";
    write(find("#demo-service"),
      `The service has ${workers} workers and takes ${time(work_seconds)} for a request${can}. Beyond ${workers} at once, ${more}. `
      + `Callers give up after ${time(patience_seconds)}.`);
  }

  // What the slider's callers got last with backpressure and without it, beside each other; the server keeps both.
  function compare(demo) {
    const ways = [demo.with, demo.without];
    show(find("#demo-figures"), ways.some((figures) => figures !== null));
    ways.forEach((figures, at) => {
      const ends = ["answered", "refused", "gave_up", "failed"];
      const perSecond = (count) => (figures ? `${count.toFixed(1)}/s` : "–");
      for (const name of ends) write(find(`#demo-${name}`).cells[at + 1], perSecond(figures?.[name]));
      // The slider may have stood elsewhere, and then the two cannot be compared.
      write(find("#demo-came").cells[at + 1], perSecond(ends.reduce((sum, name) => sum + (figures?.[name] ?? 0), 0)));
      write(find("#demo-p50").cells[at + 1], typeof figures?.p50_seconds === "number" ? time(figures.p50_seconds) : "–");
      find("#demo-figures thead tr").cells[at + 1].classList.toggle("now", demo.backpressure === (at === 0));
    });
    show(find("#demo-failed"), ways.some((figures) => figures?.failed > 0));
  }

  find("#demo-send").addEventListener("click", (event) => {
    // At once, for whoever presses twice; each answer says anew whether it rests.
    event.target.disabled = true;
    want({ send: SENT });
  });
  find("#demo-on").addEventListener("change", (event) => want({ backpressure: event.target.checked }));
  slider.addEventListener("input", () => {
    write(find("#demo-rate-shown"), slider.value);
    want({ rate: Number(slider.value) });
  });
  // With a frame, so that nothing is asked of a server that is gone; and not before the last answer, so that nothing piles up.
  let isAsking = false;
  document.addEventListener("frame", async () => {
    if (isAsking) return;
    isAsking = true;
    try {
      await ask();
    } catch {
      // The page says that the connection is lost.
    }
    isAsking = false;
  });
}
