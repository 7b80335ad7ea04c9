// What is drawn: the last minute of counts, and plots of it.

const SECONDS = 60;
// A plot that has just begun is not stretched to nothing.
const SECONDS_MIN = 15;
// Rates are those of the last so many frames.
const RATE_FRAMES = 4;

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

// The axis from 0 to above all that is shown, in a few round steps.
function axis(most) {
  const least = (Math.max(most, 3.5) * 1.05) / 4;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((round) => round * power).find((round) => round >= least);
  return { step, top: step * Math.ceil((Math.max(most, 3.5) * 1.05) / step) };
}

const WIDTH = 240;
const height = (value, top) => (100 - (100 * Math.min(value, top)) / top).toFixed(1);

function drawAxis(figure, { step, top }) {
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step);
  find(".grid", figure).setAttribute("d", ticks.map((value) => `M0 ${height(value, top)}H${WIDTH}`).join(""));
  const labels = find(".axis", figure);
  while (labels.childElementCount > ticks.length) labels.lastElementChild.remove();
  ticks.forEach((value, index) => {
    const label = labels.children[index] ?? labels.appendChild(document.createElement("span"));
    write(label, value.toLocaleString("en"));
    label.style.bottom = `${(100 * value) / top}%`;
  });
  labels.style.width = `${Math.max(...[...labels.children].map((label) => label.textContent.length))}ch`;
}

// Areas on top of each other, the first at the bottom.
function draw(figure, areas, lines, scale, seconds) {
  const { top } = scale;
  drawAxis(figure, scale);
  write(find(".then", figure), `${Math.round(seconds)} s ago`);
  let below = null;
  for (const [name, values] of areas) {
    const floor = below ?? values.map(([x]) => [x, 0]);
    const sum = values.map(([x, value], index) => [x, value + floor[index][1]]);
    const up = sum.map(([x, value]) => `${x} ${height(value, top)}`);
    const down = floor.map(([x, value]) => `${x} ${height(value, top)}`).reverse();
    find(`.area.${name}`, figure).setAttribute("d", `M${up.join("L")}L${down.join("L")}Z`);
    below = sum;
  }
  for (const [name, values] of lines) {
    // A limit stands until it is moved.
    const steps = values.map(([x, value], index) => (index ? `H${x}V${height(value, top)}` : `M${x} ${height(value, top)}`));
    find(`.line.${name}`, figure).setAttribute("d", steps.join(""));
  }
}
