"use strict";
// Fetches the changing part of the page again and says plainly when nobody answers.
const PERIOD_MS = 5000;
const TIMEOUT_MS = 4000;
const report = document.getElementById("report");
const unreachable = document.getElementById("unreachable");
let answeredAt = new Date();

async function refresh() {
  try {
    const answer = await fetch("/fragment", { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    const html = await answer.text();
    // Escaped by the server; scripts in it would not run, and the content security policy forbids inline ones.
    report.innerHTML = html;
    answeredAt = new Date();
    unreachable.hidden = true;
    report.classList.remove("stale");
  } catch {
    const text = `mcwatch does not answer. What you see is from ${answeredAt.toLocaleTimeString()}.`;
    if (unreachable.textContent !== text) unreachable.textContent = text;
    unreachable.hidden = false;
    report.classList.add("stale");
  }
  setTimeout(refresh, PERIOD_MS);
}

setTimeout(refresh, PERIOD_MS);
