// The page is complete without this script, which sorts tables, shows tooltips and switches between light and dark.
"use strict";

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down === 1 ? "ascending" : "descending");
      const value = (row) => row.cells[index].dataset.value;
      const order = (a, b) => {
        if ((a === "") !== (b === "")) return a === "" ? 1 : -1; // empty values stay last
        const [x, y] = [Number(a), Number(b)];
        return down * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y);
      };
      body.append(...[...body.rows].sort((a, b) => order(value(a), value(b))));
    });
  });
}

const most = 25; // as in page.css
for (const table of document.querySelectorAll("table.sortable")) {
  const rows = table.tBodies[0].rows.length;
  if (rows <= most) continue;
  table.classList.add("cut");
  const all = document.createElement("button");
  all.type = "button";
  all.className = "all";
  const label = () => { all.textContent = table.classList.contains("cut") ? `Show all ${rows} rows` : `Show ${most} rows`; };
  all.addEventListener("click", () => { table.classList.toggle("cut"); label(); });
  label();
  table.parentNode.after(all);
}

const tip = document.createElement("div");
tip.className = "tip";
tip.setAttribute("role", "status");
tip.hidden = true;
document.body.append(tip);
for (const title of document.querySelectorAll("svg title")) {
  title.parentNode.dataset.tip = title.textContent;
  title.remove(); // or the browser shows a second tooltip
}
const show = (event) => {
  const mark = event.target.closest?.("[data-tip]");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.dataset.tip;
  const box = mark.getBoundingClientRect();
  const left = Math.min(box.left + box.width / 2 + 8, innerWidth - tip.offsetWidth - 8);
  const top = box.top - tip.offsetHeight - 6;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${top < 4 ? box.bottom + 6 : top}px`;
};
document.addEventListener("pointerover", show);
document.addEventListener("pointerdown", show);
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

const toggle = document.createElement("button");
toggle.type = "button";
toggle.className = "theme";
const dark = () => (document.documentElement.dataset.theme
  ? document.documentElement.dataset.theme === "dark"
  : matchMedia("(prefers-color-scheme: dark)").matches);
const name = () => { toggle.textContent = dark() ? "Light" : "Dark"; };
toggle.addEventListener("click", () => {
  document.documentElement.dataset.theme = dark() ? "light" : "dark";
  name();
});
name();
document.querySelector("nav").append(toggle);
