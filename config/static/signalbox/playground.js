"use strict";
// The playground: sends the conversation, shows the stream as it comes, and says how long it took.

const form = document.querySelector("[data-testid=playground-form]");
const thread = document.querySelector("[data-testid=playground-thread]");
const question = form.elements.question;
const send = form.querySelector("[data-testid=playground-send]");
const stop = form.querySelector("[data-testid=playground-stop]");
const words = form.dataset;
const conversation = [];
let running = null;

function bubble(role, text) {
  const element = document.createElement("article");
  element.className = `sb-bubble sb-bubble-${role}`;
  element.dataset.testid = `playground-${role}`;
  const content = document.createElement("div");
  content.className = "sb-bubble-text";
  content.textContent = text;
  element.append(content);
  thread.append(element);
  element.scrollIntoView({ block: "end" });
  return element;
}

function note(element, parts) {
  const foot = document.createElement("footer");
  foot.dataset.testid = "playground-stats";
  for (const part of parts.filter(Boolean)) {
    const span = document.createElement("span");
    if (part.href) {
      const link = document.createElement("a");
      link.href = part.href;
      link.textContent = part.text;
      span.append(link);
    } else {
      span.textContent = part;
    }
    foot.append(span);
  }
  element.append(foot);
  element.scrollIntoView({ block: "end" });
}

function fail(element, message) {
  const why = document.createElement("p");
  why.className = "sb-bubble-why";
  why.dataset.testid = "playground-error";
  why.textContent = message;
  element.append(why);
}

function messages() {
  const system = form.elements.system.value.trim();
  return system ? [{ role: "system", content: system }, ...conversation] : conversation;
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      for (const line of block.split(/\r?\n/)) {
        if (line.startsWith("data:") && line.slice(5).trim() !== "[DONE]") yield JSON.parse(line.slice(5));
      }
    }
  }
}

async function ask(element, signal) {
  const begun = performance.now();
  const seen = { text: "", first: null, usage: null, about: {}, failed: "" };
  const response = await fetch(form.action, {
    method: "POST",
    signal,
    headers: { "Content-Type": "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
    body: JSON.stringify({
      model: form.elements.route.value,
      messages: messages(),
      temperature: Number(form.elements.temperature.value),
      max_tokens: Number(form.elements.max_tokens.value),
    }),
  });
  if (!(response.headers.get("content-type") || "").startsWith("text/event-stream")) {
    const refusal = await response.json().catch(() => ({}));
    seen.failed = refusal.error?.message || `HTTP ${response.status}`;
    return seen;
  }
  const target = element.querySelector(".sb-bubble-text");
  for await (const event of events(response.body)) {
    if (event.error) seen.failed = event.error.message;
    if (event.signalbox) seen.about = event.signalbox;
    if (event.usage) seen.usage = event.usage;
    const piece = event.choices?.[0]?.delta?.content;
    if (piece) {
      seen.first ??= performance.now() - begun;
      seen.text += piece;
      target.textContent = seen.text;
      element.scrollIntoView({ block: "end" });
    }
  }
  seen.total = performance.now() - begun;
  return seen;
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

function told(seen) {
  const usage = seen.usage;
  const speed = usage && seen.total > seen.first ? (usage.completion_tokens / (seen.total - seen.first)) * 1000 : null;
  const id = seen.about["x-request-id"];
  return [
    seen.first !== null && `${words.first}: ${seconds(seen.first)}`,
    usage && `${words.prompt}: ${usage.prompt_tokens}`,
    usage && `${words.completion}: ${usage.completion_tokens}`,
    speed && `${speed.toFixed(1)} ${words.speed}`,
    seen.about["x-signalbox-version"],
    id && { href: `${words.audit}?q=${encodeURIComponent(id)}`, text: words.record },
  ];
}

async function turn(text) {
  conversation.push({ role: "user", content: text });
  bubble("user", text);
  const element = bubble("assistant", "");
  element.classList.add("sb-bubble-waiting");
  running = new AbortController();
  send.hidden = true;
  stop.hidden = false;
  try {
    const seen = await ask(element, running.signal);
    if (seen.failed) fail(element, seen.failed);
    if (seen.text) conversation.push({ role: "assistant", content: seen.text });
    else conversation.pop();
    note(element, told(seen));
  } catch (error) {
    conversation.pop();
    fail(element, error.name === "AbortError" ? words.stopped : String(error.message));
  } finally {
    element.classList.remove("sb-bubble-waiting");
    running = null;
    send.hidden = false;
    stop.hidden = true;
    question.focus();
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || running) return;
  question.value = "";
  document.querySelector("[data-testid=playground-hint]")?.remove();
  turn(text);
});

question.addEventListener("keydown", (event) => {
  // While an input method composes Chinese, Enter chooses a word and sends nothing.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});

stop.addEventListener("click", () => running?.abort());
document.querySelector("[data-testid=playground-clear]").addEventListener("click", () => {
  conversation.length = 0;
  thread.replaceChildren();
});
