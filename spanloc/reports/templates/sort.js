// Tables that are sorted by a click on a heading. What is missing stays below whatever the order is.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0];
    const column = head.cellIndex, down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => {
      const cell = row.cells[column], value = cell.dataset.value;
      return value === undefined ? cell.textContent : value === "" ? null : Number(value);
    };
    const order = (a, b) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const sign = typeof a === "number" && typeof b === "number" ? a - b
        : String(a).localeCompare(String(b), "en", {numeric: true});
      return down ? -sign : sign;
    };
    body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
  });
}
