"use strict";
// Fetches the changing part of the page again, and says plainly when nobody answers. The page is complete without it.
const TIMEOUT_MS = 4000;
const report = document.getElementById("report");
const notice = document.getElementById("unreachable");
const periodMs = Number(report.dataset.periodSecs) * 1000;
let trouble = "";

// Change what differs and nothing else: focus, scrolling, selections and opened folds stay with their elements.
function morph(from, to) {
  if (from.nodeType === Node.TEXT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  morphChildren(from, to);
}

function morphChildren(from, to) {
  const named = new Map([...from.children].filter((one) => one.id).map((one) => [one.id, one]));
  let next = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const match = wanted.id ? named.get(wanted.id) : next;
    named.delete(wanted.id);
    if (!match || match.nodeName !== wanted.nodeName || (match.id || "") !== (wanted.id || "")) {
      from.insertBefore(wanted, next);
      continue;
    }
    if (match === next) next = next.nextSibling;
    else from.insertBefore(match, next);
    morph(match, wanted);
  }
  while (next) {
    const after = next.nextSibling;
    next.remove();
    next = after;
  }
}

function show(html) {
  const focused = document.activeElement?.id;
  // Escaped by the server. Scripts in a template do not run, and the content security policy forbids inline ones.
  const template = document.createElement("template");
  template.innerHTML = html;
  morphChildren(report, template.content);
  // An element that moved to another place lost the focus on its way.
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function settle(kind, text) {
  report.classList.toggle("stale", kind !== "");
  document.title = `mcwatch: ${kind || report.querySelector("[data-title]")?.dataset.title || "status"}`;
  if (kind === trouble) return;
  trouble = kind;
  const at = document.getElementById("at")?.textContent;
  notice.textContent = kind && `${text} ${at ? `The figures below are of ${at}.` : "There are no figures yet."}`;
  notice.hidden = kind === "";
}

async function refresh() {
  let answer, text;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    // The origin leaves out a name and password in the address of the page, with which fetch refuses to work.
    answer = await fetch(`${location.origin}/fragment${location.search}`, { signal, cache: "no-store" });
    text = await answer.text();
  } catch {
    const now = new Date().toISOString().slice(11, 19);
    settle("no answer", `mcwatch has not answered since ${now} UTC. Is the daemon running, and can you reach it?`);
    return;
  }
  if (answer.ok) {
    show(text);
    settle("", "");
  } else if (answer.status === 401) {
    settle("password needed", "mcwatch asks for a password: load this page again to log in.");
  } else {
    let said = {};
    try { said = JSON.parse(text); } catch { /* a proxy in between may answer anything */ }
    settle(`answered ${answer.status}`, `mcwatch cannot show its figures: ${said.error ?? answer.status}. ${said.remedy ?? ""}`);
  }
}

async function turn() {
  if (!document.hidden) await refresh();
  setTimeout(turn, periodMs);
}

document.addEventListener("visibilitychange", () => document.hidden || refresh());
settle("", "");
setTimeout(turn, periodMs);
