// What the pages do beside what they do without it: keys, new alerts, and what others do.
"use strict";
(() => {
  const $ = (s, e = document) => e.querySelector(s), $$ = (s, e = document) => [...e.querySelectorAll(s)];
  const say = (() => { let t; return text => { const e = $("#said"); if (!e) return; e.textContent = text; clearTimeout(t); t = setTimeout(() => { e.textContent = ""; }, 4000); }; })();

  // Selection.
  const work = $("#work"), table = $("#alerts"), rows = table ? $$("tbody tr", table) : [];
  const box = tr => $("input[name=id]", tr);
  const count = () => {
    const n = rows.filter(tr => box(tr).checked).length, e = $("#count");
    if (e) e.textContent = n ? n + " selected" : "none selected";
  };
  if (table) {
    table.addEventListener("change", count);
    $("#all-here")?.addEventListener("change", e => { rows.forEach(tr => { box(tr).checked = e.target.checked; }); count(); });
    count();
  }

  // Going through the list. What is at hand is remembered for when one comes back.
  let at = -1;
  const where = "at " + location.pathname + location.search;
  const go = i => {
    if (!rows.length) return;
    if (at >= 0) rows[at].classList.remove("at");
    at = Math.max(0, Math.min(rows.length - 1, i));
    rows[at].classList.add("at");
    rows[at].scrollIntoView({ block: "nearest" });
    $("a.open", rows[at]).focus({ preventScroll: true });
    try { sessionStorage.setItem(where, rows[at].dataset.id); } catch { /* no matter */ }
  };
  if (rows.length) {
    try { const i = rows.findIndex(tr => tr.dataset.id === sessionStorage.getItem(where)); if (i >= 0) go(i); } catch { /* no matter */ }
  }

  // What became of an alert is shown in its row, which stays where it is.
  const shows = (tr, status, reason) => {
    tr.dataset.status = status;
    tr.classList.toggle("gone", status !== "open");
    const s = document.createElement("span");
    s.className = "status status-" + status;
    s.textContent = status + (reason ? " " + reason : "");
    $(".state", tr).replaceChildren(s);
    return s;
  };

  // Doing something to the alert at hand. The row stays where it is.
  const one = $("#one");
  const act = async (doing, more = {}) => {
    const tr = rows[at], id = tr ? tr.dataset.id : one?.dataset.id;
    if (!id || !work) return;
    const form = new URLSearchParams({ csrf: work.elements.csrf.value, do: doing, id, ...more });
    const r = await fetch("/alerts/act", { method: "POST", body: form, headers: { Accept: "application/json" }, redirect: "error" }).catch(() => null);
    if (!r || !r.ok) { say(r?.status === 404 ? "The alert is gone." : "That did not work" + (r ? " (" + r.status + ")." : ".")); return; }
    const { changed } = await r.json();
    if (one && !tr) { location.reload(); return; }
    const status = { acknowledge: "acknowledged", close: "closed", open: "open" }[doing];
    if (status) {
      shows(tr, status, more.reason);
      go(rows.indexOf(tr) + 1);
    }
    say(changed ? ({ assign: "Assigned to you." }[doing] || "Now " + status + ".") : "It was so already.");
  };

  const click = s => { const e = $(s); if (e) { e.click(); return true; } return false; };
  let g = 0;
  const keys = {
    j: () => go(at + 1), k: () => go(at < 0 ? 0 : at - 1),
    x: () => { if (at >= 0) { box(rows[at]).checked = !box(rows[at]).checked; count(); } },
    Enter: () => { if (at >= 0) click(`tr[data-id="${CSS.escape(rows[at].dataset.id)}"] a.open`); },
    a: () => act("acknowledge"), o: () => act("open"), m: () => act("assign"),
    c: () => act("close", { reason: "other" }), f: () => act("close", { reason: "false_positive" }), t: () => act("close", { reason: "true_positive" }),
    e: () => { const id = at >= 0 ? rows[at].dataset.id : one?.dataset.id; if (id) location.assign("/except?alert=" + encodeURIComponent(id)); },
    n: () => click('a[rel="next"]'), p: () => click('a[rel="prev"]'), u: () => click('a[rel="up"]'),
    "/": () => $("#q")?.focus(),
    "?": () => $("#keys")?.showModal(),
  };
  document.addEventListener("keydown", e => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || $("dialog[open]")) return;
    if (e.target.closest("input:not([type=checkbox]), select, textarea")) { if (e.key === "Escape") e.target.blur(); return; }
    if (e.key === "Enter" && e.target.closest("a, button, summary, input")) return;
    if (g && e.timeStamp - g < 1500) { g = 0; if (click(`[data-go="${CSS.escape(e.key)}"]`)) { e.preventDefault(); return; } }
    if (e.key === "g") { g = e.timeStamp; return; }
    const f = keys[e.key];
    if (f) { e.preventDefault(); f(); }
  });

  // A menu closes when one clicks beside it, or presses Escape.
  document.addEventListener("click", e => $$("details.menu[open], details.when[open]").forEach(d => { if (!d.contains(e.target)) d.open = false; }));
  document.addEventListener("keydown", e => { if (e.key === "Escape") $$("details.menu[open], details.when[open]").forEach(d => { d.open = false; }); });

  // Facets are closed on a narrow screen.
  const facets = $(".facetbox");
  if (facets && matchMedia("(max-width: 820px)").matches) facets.open = false;

  // New alerts: how many there are is told, nothing moves.
  const pill = $("#new");
  if (pill && window.EventSource) {
    const es = new EventSource(pill.dataset.live);
    es.addEventListener("alerts", e => {
      const n = JSON.parse(e.data).new;
      pill.hidden = !n;
      pill.textContent = n === 1 ? "1 new alert" : n.toLocaleString("en") + " new alerts";
    });
    // What somebody made of an alert of the page, here or elsewhere.
    es.addEventListener("changes", e => {
      const all = JSON.parse(e.data).alerts;
      for (const tr of rows) {
        const c = all[tr.dataset.id];
        if (!c) continue;
        shows(tr, c.status, c.reason).title = "by " + c.by;
        $$(".who", tr).forEach(w => w.remove());
        for (const name of c.assignees ?? []) {
          const w = document.createElement("span");
          w.className = "who";
          w.textContent = "@" + name;
          $(".work", tr).append(" ", w);
        }
      }
    });
    es.addEventListener("end", () => es.close());
    addEventListener("pagehide", () => es.close());
  }
})();
