"use strict";
// A click on the title of a column sorts its table; a second click reverses the order.
const number = /^[-−+]?[\d,]+(\.\d+)?(e[-+]?\d+)?(?=(\(\d+\))?( ±.*)?[%!*]*$)/i;
const value = (text) => {
  const found = number.exec(text);
  return found ? Number(found[0].replace("−", "-").replace(/,/g, "")) : NaN;
};
function sort(title) {
  const body = title.closest("table").tBodies[0];
  const down = title.getAttribute("aria-sort") === "ascending";
  const rows = [...body.rows].map((row) => ({ row, text: row.cells[title.cellIndex].textContent.trim() }));
  const empty = (text) => text === "–" || text === "";
  const numeric = rows.every(({ text }) => empty(text) || !isNaN(value(text)));
  const compare = numeric
    ? (a, b) => value(a) - value(b)
    : (a, b) => a.localeCompare(b, "en", { numeric: true });
  // Cells without a value stay last in both orders.
  rows.sort((a, b) => empty(a.text) - empty(b.text) || (empty(a.text) ? 0 : compare(a.text, b.text) * (down ? -1 : 1)));
  for (const other of title.parentNode.cells) other.removeAttribute("aria-sort");
  title.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...rows.map(({ row }) => row));
}
for (const title of document.querySelectorAll("thead th")) {
  const button = document.createElement("button");
  button.append(...title.childNodes);
  button.addEventListener("click", () => sort(title));
  title.append(button);
}
// Paper shows what the screen folds away.
const folded = [...document.querySelectorAll("details")];
let opened = [];
addEventListener("beforeprint", () => {
  opened = folded.filter((one) => !one.open);
  for (const one of opened) one.open = true;
});
addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
