"use strict";
// Sorting and filtering of each table; rows that are filtered out leave the figures and pictures too.

const NUMBER = /^-?(\d+(\.\d*)?(e[+-]?\d+)?|inf)$/;

function key(row, place) {
  const text = row.cells[place].dataset.key;
  if (text === "") return null;
  return NUMBER.test(text) ? Number(text.replace("inf", "Infinity")) : text;
}

function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
}

function sort(table, head, down) {
  const place = head.cellIndex, body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [key(row, place), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return down ? compare(b, a) : compare(a, b);
  });
  body.append(...rows.map(([, row]) => row));
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
}

function filter(section, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...section.querySelectorAll(".board tbody tr")];
  const shown = new Set();
  for (const row of rows) {
    if (words.every((word) => row.dataset.words.includes(word))) shown.add(row.dataset.row);
  }
  for (const part of section.querySelectorAll("[data-row]")) {
    part.classList.toggle("out", !shown.has(part.dataset.row));
  }
  section.querySelector(".count").textContent = `${shown.size} of ${rows.length} rows`;
}

function save(section, table) {
  const head = table.querySelector("[aria-sort]");
  sessionStorage.setItem(section.id, JSON.stringify({
    text: section.querySelector(".filter").value,
    place: head ? head.cellIndex : -1,
    down: head ? head.getAttribute("aria-sort") === "descending" : false,
  }));
}

function restore(section, table) {
  const saved = JSON.parse(sessionStorage.getItem(section.id) || "null");
  if (!saved) return;
  section.querySelector(".filter").value = saved.text;
  filter(section, saved.text);
  const head = table.tHead.rows[0].cells[saved.place];
  if (head) sort(table, head, saved.down);
}

function showScrollHint(section) {
  const box = section.querySelector(".scroll"), hint = section.querySelector(".more");
  new ResizeObserver(() => { hint.hidden = box.scrollWidth <= box.clientWidth + 1; }).observe(box);
}

const served = document.documentElement.dataset.state;

for (const section of document.querySelectorAll("section.set")) {
  const table = section.querySelector(".board");
  if (!table) continue;
  for (const head of table.tHead.querySelectorAll("th")) {
    head.firstElementChild.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      sort(table, head, before ? before === "ascending" : head.dataset.better === "1");
    });
  }
  showScrollHint(section);
  section.querySelector(".filter").addEventListener("input", (event) => filter(section, event.target.value));
  if (served) {
    restore(section, table);
    section.addEventListener("input", () => save(section, table));
    section.addEventListener("click", () => save(section, table));
  }
}

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}

function ago(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const [size, unit] = units.find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit} ago`;
}

// A saved page shows the times alone: how long ago they are is known while the page is open.
function showAges() {
  for (const time of document.querySelectorAll("time[data-seen]")) {
    time.title = time.title || time.textContent;
    time.textContent = ago(Date.now() / 1000 - Number(time.dataset.seen));
  }
}

async function refresh() {
  try {
    const answer = await fetch("state", { cache: "no-store" });
    if (answer.ok && (await answer.text()) !== served) location.reload();
  } catch {
    // The server is gone; the page stays as it is.
  }
}

if (served) {
  showAges();
  setInterval(showAges, 1000);
  setInterval(refresh, 5000);
}
