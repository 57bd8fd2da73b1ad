"use strict";
// Small things that every page may use: copying a text, adding a line to a table of a form.

// Unfold's styles do without htmx's own, and nothing here is written in a page's text.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;
htmx.config.selfRequestsOnly = true;

async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  // Plain HTTP on another host than localhost has no clipboard interface.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function addLine(button) {
  const prefix = button.dataset.addLine;
  const total = document.querySelector(`[name="${prefix}-TOTAL_FORMS"]`);
  const template = document.getElementById(`${prefix}-empty`);
  const line = template.innerHTML.replaceAll("__prefix__", total.value);
  template.insertAdjacentHTML("beforebegin", line);
  total.value = Number(total.value) + 1;
}

function showFor(select) {
  for (const row of document.querySelectorAll(`[data-shown-for^="${select.name}="]`)) {
    row.hidden = !row.dataset.shownFor.split("=")[1].split(",").includes(select.value);
  }
}

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    const source = document.querySelector(copy.dataset.copy);
    await copyText(source.value ?? source.textContent.trim());
    const label = copy.querySelector("[data-copy-label]");
    const before = label.textContent;
    label.textContent = copy.dataset.copied;
    setTimeout(() => (label.textContent = before), 2000);
  }
  const add = event.target.closest("[data-add-line]");
  if (add) addLine(add);
});

document.addEventListener("DOMContentLoaded", () => {
  for (const select of document.querySelectorAll("[data-shows]")) {
    showFor(select);
    select.addEventListener("change", () => showFor(select));
  }
});
