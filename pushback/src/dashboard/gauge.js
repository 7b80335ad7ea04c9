// A gauge, as long as there is one.

// A limit so many times above the most that happened is told and not drawn.
const FAR = 20;

// Why a limit stands where it does, and what it aims at.
function why({ why, pinned }) {
  if (why === null) return "it is fixed, and only an operator changes it";
  if (!why.reason) return pinned ? "an operator keeps it there" : "it begins there, and nothing was decided yet";
  return `${why.reason} (${ago(why.seconds_ago)})`;
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
    Object.assign(counts, { retries: gauge.retries, grants: gauge.starvation_grants, passed: gauge.turns_passed_on });
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
    show(find(".badge.paused", element), gauge.paused && !gauge.closed);
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
      ? ["p50", "p95", "p99"].map((name) => `${name} ${time(times[`${name}_seconds`])}`.replaceAll(" ", "\u00a0")).join(", ")
      : "–");
    this.explain(gauge);
    this.plot();
  }

  explain(gauge) {
    const { element, history } = this;
    write(find(".why", element), `Why the limit is ${gauge.limit.toLocaleString("en")}: ${why(gauge)}`);
    // A reason for which nobody is refused any more is none of now.
    const rates = (prefix) => Object.keys(history.frames.at(-1).counts)
      .filter((name) => name.startsWith(prefix) && history.rate(name) > 0)
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
    // What hardly ever happens is told while it does.
    const others = [["retries", "retries"], ["grants", "served before more important ones"], ["passed", "turns given on, because nobody fetched them"]]
      .filter(([name]) => history.rate(name) > 0)
      .map(([name, what]) => `${rate(history.rate(name))}/s ${what}`);
    const told = find(".others", element);
    show(told, others.length > 0);
    write(told, `Also: ${others.join(", ")}`);
  }

  plot() {
    const { now: gauge, history } = this;
    const of = (name) => history.values((frame) => frame[name]);
    const sums = history.frames.map((frame) => frame.inFlight + frame.phantoms + frame.inLine);
    const most = Math.max(...sums);
    const limits = history.frames.map((frame) => frame.limit);
    // Below a limit far above all that happens, that could not be seen.
    const isFar = most > 0 && Math.max(...limits) > FAR * most;
    draw(this.places, [["flight", of("inFlight")], ["phantom", of("phantoms")], ["wait", of("inLine")]],
      [["limit", isFar ? [] : of("limit")]], axis(isFar ? most : Math.max(most, ...limits)), history.seconds);
    write(find(".key.limit", this.places), isFar ? "limit, far above" : "limit");
    const hadPhantoms = history.frames.some((frame) => frame.phantoms > 0) || (gauge.dry_run?.on ?? false);
    for (const figure of [this.places, this.rates]) show(find(".key.phantom", figure), hadPhantoms);
    find("svg", this.places).setAttribute("aria-label",
      `In flight ${gauge.in_flight} of ${gauge.limit}, queued ${gauge.in_line}; in the last minute at most ${Math.max(...sums)} at once`);
    const rates = ["admitted", "phantom", "refused"].map((name) =>
      [name, history.values((_, index) => history.rate(name === "phantom" ? "phantoms" : name, index))]);
    const fastest = history.frames.map((_, index) => rates.reduce((sum, [, values]) => sum + values[index][1], 0));
    draw(this.rates, rates, [], axis(Math.max(...fastest)), history.seconds);
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
