// The demo's controls, and what its callers see.
{
  const WINDOW_SECONDS = 10;
  const NAMES = { w: "waiting", a: "answered", r: "refused", g: "gave up", f: "failed" };
  const calls = find("#demo-calls");
  const slider = find("#demo-rate");
  // What callers had seen at some moments of this episode.
  let moments = [];
  // How many answers were asked for: one that was asked for before a change must not undo it on the page.
  let asked = 0;

  async function ask(wanted) {
    const number = ++asked;
    const answer = await fetch(page("demo"), wanted && {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(wanted),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
    if (number === asked) showDemo(JSON.parse(text));
  }

  async function want(wanted) {
    try {
      await ask(wanted);
      write(find("#demo-problem"), "");
    } catch (error) {
      write(find("#demo-problem"), `That did not work: ${error.message}`);
    }
  }

  function showDemo(demo) {
    slider.max = demo.rate_max;
    // Whoever is at it knows better.
    if (document.activeElement !== slider) slider.value = demo.rate;
    write(find("#demo-rate-shown"), String(demo.rate));
    find("#demo-on").checked = demo.backpressure;
    write(find("#demo-patience"), `gave up after ${time(demo.patience_seconds)}`);
    while (calls.childElementCount > demo.calls.length) calls.lastElementChild.remove();
    const counts = {};
    [...demo.calls].forEach((letter, index) => {
      const dot = calls.children[index] ?? calls.appendChild(document.createElement("i"));
      if (dot.className !== letter) dot.className = letter;
      counts[letter] = (counts[letter] ?? 0) + 1;
    });
    const said = Object.entries(counts).map(([letter, count]) => `${count} ${NAMES[letter]}`).join(", ");
    calls.setAttribute("aria-label", said ? `the last requests: ${said}` : "no requests yet");
    measure(demo);
  }

  // What callers see now goes into the row for now; the other keeps what they saw last.
  function measure(demo) {
    const now = performance.now() / 1000;
    if (moments.length > 0 && moments[0].episode !== demo.episode) moments = [];
    moments.push({ now, ...demo });
    while (moments[0].now < now - WINDOW_SECONDS) moments.shift();
    const isStream = demo.rate > 0;
    // Of those that were sent at once, people want to see how many; of a stream, how many a second.
    const then = isStream ? moments[0] : { now, answered: 0, refused: 0, gave_up: 0, waited_seconds: 0 };
    const ended = (name) => demo[name] - then[name];
    const passed = now - then.now;
    if (isStream ? passed < 1 : ended("answered") + ended("refused") + ended("gave_up") === 0) return;
    const each = (name) => (isStream ? `${(ended(name) / passed).toFixed(1)}/s` : String(ended(name)));
    const cells = find(demo.backpressure ? "#demo-with" : "#demo-without").cells;
    const answered = ended("answered");
    write(cells[1], each("answered"));
    write(cells[2], answered > 0 ? time(ended("waited_seconds") / answered) : "–");
    write(cells[3], each("refused"));
    write(cells[4], each("gave_up"));
  }

  find("#demo-send").addEventListener("click", () => want({ send: 50 }));
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
