// The stream. It is read by fetch and not by EventSource, which cannot say a token and keeps to itself why it failed.

const RETRY_MS = 1000;

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
