// Filters and sorting for tables of models. The page is whole without: nothing is hidden before
// this runs, and nothing is asked from elsewhere.
(() => {
  "use strict";

  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };

  const enhance = (holder) => {
    const table = holder.querySelector("table");
    const bodies = [...table.tBodies];
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]).map((row, place) => ({
      row,
      place,
      home: row.parentElement,
      facets: JSON.parse(row.dataset.facets || "{}"),
      text: row.textContent.toLowerCase(),
    }));
    const title = holder.querySelector(".table-title");
    const count = element("output", { class: "count", "aria-live": "polite" });
    const search = element("input", { type: "search" });
    const selects = facetSelects(rows);
    const fields = [["contains", search], ...selects.map(({ name, select }) => [name, select])];
    const reset = element("button", { type: "button" }, "Show all");
    const controls = element(
      "form",
      { class: "controls", role: "search", "aria-labelledby": title.id },
      ...fields.map(([name, field], place) => labelled(`${holder.id}-filter-${place}`, name, field)),
      reset,
      count,
    );

    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const { row, facets, text } of rows) {
        const fits =
          words.every((word) => text.includes(word)) &&
          selects.every(({ name, select }) => !select.value || facets[name] === select.value);
        row.hidden = !fits;
        shown += fits;
      }
      count.value = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
      reset.disabled = shown === rows.length;
    };

    search.addEventListener("input", filter);
    for (const { select } of selects) select.addEventListener("change", filter);
    controls.addEventListener("submit", (event) => event.preventDefault());
    reset.addEventListener("click", () => {
      controls.reset();
      filter();
      search.focus();
    });

    sorting(table, rows, bodies);
    title.after(controls);
    filter();
  };

  const labelled = (id, name, field) => {
    field.id = id;
    return element("div", {}, element("label", { for: id }, name), field);
  };

  const facetSelects = (rows) => {
    const names = [...new Set(rows.flatMap(({ facets }) => Object.keys(facets)))];
    return names.flatMap((name) => {
      const values = [...new Set(rows.map(({ facets }) => facets[name]).filter(Boolean))];
      if (values.length < 2) return [];
      const select = element("select");
      select.append(element("option", { value: "" }, "all"));
      for (const value of values) select.append(element("option", { value }, value));
      return [{ name, select }];
    });
  };

  const sorting = (table, rows, bodies) => {
    const heads = [...table.tHead.rows[0].cells];
    const value = (row, column) => {
      const cell = row.cells[column];
      if (!heads[column].classList.contains("number")) return cell.textContent.trim();
      return "value" in cell.dataset ? Number(cell.dataset.value) : NaN;
    };
    const compare = (column, sign) => (a, b) => {
      const [x, y] = [value(a.row, column), value(b.row, column)];
      if (typeof x === "string") return sign * x.localeCompare(y) || a.place - b.place;
      // What is undefined comes last, whichever way.
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return sign * (x - y) || a.place - b.place;
    };
    heads.forEach((head, column) => {
      const numeric = head.classList.contains("number");
      if (numeric && rows.every(({ row }) => !("value" in row.cells[column].dataset))) return;
      const button = element("button", {
        type: "button",
        class: "sort",
        "aria-label": `Sort by ${head.textContent.trim()}`,
      });
      head.append(button);
      head.setAttribute("aria-sort", "none");
      const ways = numeric ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
      button.addEventListener("click", () => {
        const way = ways[(ways.indexOf(head.getAttribute("aria-sort")) + 1) % ways.length];
        for (const other of heads) {
          if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
        }
        head.setAttribute("aria-sort", way);
        if (way === "none") {
          for (const { row, home } of rows) home.append(row);
        } else {
          const sorted = [...rows].sort(compare(column, way === "ascending" ? 1 : -1));
          for (const { row } of sorted) bodies[0].append(row);
        }
      });
    });
  };

  // Browsers that do not open folded parts for a link to what is in them.
  const reveal = () => {
    let target;
    try {
      target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    } catch {
      return;
    }
    if (!target) return;
    let folded = false;
    for (let part = target; part; part = part.parentElement) {
      if (part.tagName === "DETAILS" && !part.open) folded = part.open = true;
    }
    if (folded) target.scrollIntoView();
  };

  for (const holder of document.querySelectorAll("[data-interactive]")) enhance(holder);
  addEventListener("hashchange", reveal);
  reveal();
})();
