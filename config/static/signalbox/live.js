"use strict";
// Keeps parts of a page fresh without reloading it. An element says where its new content is:
//   data-live-url="…" data-live-seconds="2"       the answer replaces the element's content
//   data-live-page="#id" data-live-seconds="5"    that part of this very page, fetched anew, replaces the one shown
//   data-live-log="…" data-live-seconds="2"       {"text": …} goes into the element, which keeps to its end
// Nothing is fetched while nobody looks. What the reader has opened stays open.

function openDetails(root) {
  return new Set([...root.querySelectorAll("details[open][data-key]")].map((it) => it.dataset.key));
}

function replaceContent(element, html) {
  if (element.dataset.liveSeen === html) return;
  element.dataset.liveSeen = html;
  const open = openDetails(element);
  element.innerHTML = html;
  for (const it of element.querySelectorAll("details[data-key]")) it.open = open.has(it.dataset.key);
}

async function get(url) {
  const response = await fetch(url, { credentials: "same-origin", headers: { "X-Requested-With": "fetch" } });
  // Signed out meanwhile: the sign-in page would be put into this one.
  if (response.redirected && !response.url.startsWith(new URL(url, location).href.split("?")[0])) location.reload();
  if (!response.ok) throw new Error(String(response.status));
  return response;
}

async function refreshUrl(element) {
  replaceContent(element, await (await get(element.dataset.liveUrl)).text());
}

async function refreshPage(element) {
  const selector = element.dataset.livePage;
  const fresh = new DOMParser().parseFromString(await (await get(location.href)).text(), "text/html");
  const shown = document.querySelector(selector);
  const found = fresh.querySelector(selector);
  if (shown && found && shown.innerHTML !== found.innerHTML) shown.innerHTML = found.innerHTML;
}

async function refreshLog(element) {
  const closed = element.closest("details:not([open])");
  if (closed) return;
  const text = (await (await get(element.dataset.liveLog)).json()).text;
  const shown = text === null ? element.dataset.none : text || element.dataset.empty;
  if (element.textContent === shown) return;
  const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 24;
  const first = element.dataset.liveSeen === undefined;
  element.dataset.liveSeen = "1";
  element.textContent = shown;
  if (atEnd || first) element.scrollTop = element.scrollHeight;
}

function keepFresh(element, refresh) {
  const pause = 1000 * Number(element.dataset.liveSeconds || 2);
  async function round() {
    if (!document.hidden) {
      try {
        await refresh(element);
        element.classList.remove("sb-stale");
      } catch {
        element.classList.add("sb-stale");
      }
    }
    setTimeout(round, pause);
  }
  const now = element.dataset.liveLog !== undefined;
  setTimeout(round, now ? 0 : pause);
}

document.addEventListener("DOMContentLoaded", () => {
  for (const it of document.querySelectorAll("[data-live-url]")) keepFresh(it, refreshUrl);
  for (const it of document.querySelectorAll("[data-live-page]")) keepFresh(it, refreshPage);
  for (const it of document.querySelectorAll("[data-live-log]")) keepFresh(it, refreshLog);
});
