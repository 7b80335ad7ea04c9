// The demo's controls, and what its callers see.
{
  const WINDOW_SECONDS = 10;
  const calls = find("#demo-calls");
  const slider = find("#demo-rate");
  // What callers had seen at some moments, since the rate or backpressure was last changed.
  let moments = [];
  let isOn = true;
  let rateThen = 0;
  let isSliding = false;

  async function ask(wanted) {
    const answer = await fetch(page("demo"), wanted && {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(wanted),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
    return JSON.parse(text);
  }

  async function want(wanted) {
    try {
      showDemo(await ask(wanted));
      write(find("#demo-problem"), "");
    } catch (error) {
      write(find("#demo-problem"), `That did not work: ${error.message}`);
    }
  }

  const NAMES = { w: "waiting", a: "answered", r: "refused", g: "gave up", f: "failed" };

  function showDemo(demo) {
    slider.max = demo.rate_max;
    if (!isSliding) {
      slider.value = demo.rate;
      write(find("#demo-rate-shown"), String(demo.rate));
    }
    if (demo.backpressure !== isOn || demo.rate !== rateThen) moments = [];
    isOn = demo.backpressure;
    rateThen = demo.rate;
    find("#demo-on").checked = isOn;
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

  function measure(demo) {
    const now = performance.now() / 1000;
    moments.push({ now, ...demo });
    while (moments[0].now < now - WINDOW_SECONDS) moments.shift();
    const [then] = moments;
    const passed = now - then.now;
    const ended = (name) => demo[name] - then[name];
    // What an earlier load left behind, or nothing at all, is no measurement.
    if (passed < 1 || ended("answered") + ended("refused") + ended("gave_up") === 0) return;
    const answered = ended("answered");
    const cells = find(isOn ? "#demo-with" : "#demo-without").cells;
    // Of those that were sent at once, people want to see how many; of a stream, how many a second.
    const each = (name) => (demo.rate > 0 ? `${(ended(name) / passed).toFixed(1)}/s` : String(ended(name)));
    write(cells[1], each("answered"));
    write(cells[2], answered > 0 ? time((demo.waited_seconds - then.waited_seconds) / answered) : "–");
    write(cells[3], each("refused"));
    write(cells[4], each("gave_up"));
  }

  find("#demo-send").addEventListener("click", () => want({ send: 50 }));
  find("#demo-on").addEventListener("change", (event) => want({ backpressure: event.target.checked }));
  slider.addEventListener("input", () => {
    isSliding = true;
    write(find("#demo-rate-shown"), slider.value);
  });
  slider.addEventListener("change", () => {
    isSliding = false;
    want({ rate: Number(slider.value) });
  });
  // With a frame, so that nothing is asked of a server that is gone; and not before the last answer, so that nothing piles up.
  let isAsking = false;
  document.addEventListener("frame", async () => {
    if (isAsking) return;
    isAsking = true;
    try {
      showDemo(await ask());
    } catch {
      // The page says that the connection is lost.
    }
    isAsking = false;
  });
}
