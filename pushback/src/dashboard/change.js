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
  const isPaused = find("#change-paused").checked;
  if (isPaused !== asked.paused) change.paused = isPaused;
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
  find("#change-paused").checked = gauge.paused;
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
  if ("paused" in change) parts.push(change.paused ? "nobody is admitted, and the queue is kept" : "requests are admitted again, those in the queue first");
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

for (const id of ["#change-limit", "#change-pinned", "#change-paused", "#change-dry", "#change-token"]) find(id).addEventListener("input", () => unconfirm());
find("#change-cancel").addEventListener("click", () => find("#change").close());
find("#change").addEventListener("close", () => (asked = null));
find("#change form").addEventListener("submit", (event) => {
  event.preventDefault();
  const change = wanted();
  if (Object.keys(change).length === 0) unconfirm("That is how it is.");
  else if (!isSure) confirmChange(change);
  else makeChange(change);
});
