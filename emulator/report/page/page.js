"use strict";
const tip = document.getElementById("tip");
function show(mark) {
  const box = mark.getBoundingClientRect();
  tip.textContent = mark.dataset.tip;
  const left = Math.min(box.right + 8, window.innerWidth - tip.offsetWidth - 8);
  tip.style.left = Math.max(4, left) + "px";
  tip.style.top = Math.max(4, box.top - tip.offsetHeight - 4) + "px";
  tip.style.visibility = "visible";
}
for (const mark of document.querySelectorAll("[data-tip]")) {
  mark.addEventListener("mouseenter", () => show(mark));
  mark.addEventListener("focus", () => show(mark));
  for (const name of ["mouseleave", "blur"]) mark.addEventListener(name, () => { tip.style.visibility = "hidden"; });
}
function key(cell) {
  const number = parseFloat(cell.textContent.replace("−", "-"));
  return Number.isNaN(number) ? cell.textContent : number;
}
for (const head of document.querySelectorAll("table.sortable th")) {
  head.tabIndex = 0;
  const sort = () => {
    const table = head.closest("table"), body = table.tBodies[0], at = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].map((row) => [key(row.cells[at]), row]);
    rows.sort(([a], [b]) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1));
    if (down) rows.reverse();
    for (const [, row] of rows) body.append(row);
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
}
function csv(table) {
  const cell = (one) => (/[",\n]/.test(one.textContent) ? '"' + one.textContent.replaceAll('"', '""') + '"' : one.textContent);
  return [...table.rows].map((row) => [...row.cells].map(cell).join(",")).join("\n");
}
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const table = button.parentElement.querySelector("table"), pre = button.parentElement.querySelector("pre");
    const words = table ? csv(table) : pre.textContent;
    try { await navigator.clipboard.writeText(words); button.textContent = "copied"; }
    catch { const area = document.createElement("textarea"); area.value = words; document.body.append(area); area.select();
      document.execCommand("copy"); area.remove(); button.textContent = "copied"; }
  });
}
for (const chooser of document.querySelectorAll("select.chooser")) {
  const choose = () => {
    for (const one of document.querySelectorAll(".choice")) one.classList.toggle("chosen", one.id === chooser.value);
  };
  chooser.addEventListener("change", choose);
  choose();
}
