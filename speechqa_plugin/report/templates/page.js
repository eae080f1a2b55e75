"use strict";
// Player and timeline of a clip: what is marked plays from there, and a line shows where it is.
function wire(clip) {
  const audio = clip.querySelector("audio");
  const stage = clip.querySelector(".stage");
  if (!audio || !stage) return;
  const duration = Number(stage.dataset.duration);
  const plot = stage.querySelector(".plot");
  const cursor = stage.querySelector(".cursor");
  const place = () => {
    cursor.style.left = `${Math.min(100, 100 * audio.currentTime / duration)}%`;
  };
  const follow = () => {
    place();
    if (!audio.paused) requestAnimationFrame(follow);
  };
  const playFrom = (time) => {
    audio.currentTime = time;
    audio.play().catch(() => {});  // a browser may want a click on the player first
    place();
  };
  for (const event of ["timeupdate", "seeked"]) audio.addEventListener(event, place);
  audio.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
    follow();
  });
  stage.addEventListener("click", (event) => {
    const marked = event.target.closest("[data-play]");
    if (marked) {
      playFrom(Number(marked.dataset.play));
    } else if (plot.contains(event.target)) {
      const box = plot.getBoundingClientRect();
      playFrom(duration * (event.clientX - box.left) / box.width);
    }
  });
  place();
}

function toggle(button) {
  const row = button.closest("tr");
  const open = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!open));
  if (open) {
    row.nextElementSibling.remove();
    return;
  }
  const cell = document.createElement("td");
  cell.colSpan = row.cells.length;
  cell.append(document.getElementById(button.dataset.clip).content.cloneNode(true));
  const detail = document.createElement("tr");
  detail.className = "detail";
  detail.append(cell);
  row.after(detail);
  for (const clip of detail.querySelectorAll(".clip")) wire(clip);
}

function sortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const words = new Intl.Collator(undefined, { numeric: true });
  const sort = (column) => {
    const head = heads[column];
    const asText = head.firstElementChild.dataset.as === "text";
    const down = head.getAttribute("aria-sort") === "ascending";
    const key = ({ cells }) => {
      const cell = cells[column];
      return asText ? cell.textContent.trim() : parseFloat(cell.dataset.value ?? cell.textContent);
    };
    const pairs = [...body.rows]
      .filter((row) => row.className !== "detail")
      .map((row) => ({ row, detail: row.nextElementSibling, value: key(row) }));
    const order = asText ? words.compare : (a, b) => a - b;
    const last = ({ value }) => Number(Number.isNaN(value));  // what was not judged has no score
    pairs.sort((a, b) => last(a) - last(b) || (down ? -1 : 1) * order(a.value, b.value));
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const sorted = document.createDocumentFragment();
    for (const { row, detail } of pairs) {
      sorted.append(row);
      if (detail?.className === "detail") sorted.append(detail);
    }
    body.append(sorted);
  };
  heads.forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => sort(column));
  });
}

function filterable(table) {
  const rows = [...table.tBodies[0].rows];
  const texts = rows.map((row) => `${row.cells[0].textContent} ${row.dataset.system ?? ""} ${row.dataset.types ?? ""}`.toLowerCase());
  const form = document.querySelector(".filters");
  const artifact = document.getElementById("artifact");
  const filter = () => {
    const words = document.getElementById("words").value.toLowerCase().split(/\s+/);
    const most = parseFloat(document.getElementById("most")?.value);
    let shown = 0;
    rows.forEach((row, i) => {
      const keep = words.every((word) => texts[i].includes(word))
        && (Number.isNaN(most) || parseFloat(row.dataset.overall) <= most)
        && (!artifact?.value || row.dataset.types.split("\n").includes(artifact.value));
      row.hidden = !keep;
      if (row.nextElementSibling?.className === "detail") row.nextElementSibling.hidden = !keep;
      shown += keep;
    });
    document.getElementById("shown").textContent = `${shown} of ${rows.length}`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
}

function scrollable(box) {
  const cue = () => {
    const beyond = box.scrollWidth - box.clientWidth;
    box.classList.toggle("over", beyond > 1);
    box.classList.toggle("more", beyond - box.scrollLeft > 1);
  };
  box.addEventListener("scroll", cue, { passive: true });
  new ResizeObserver(cue).observe(box);
}

for (const box of document.querySelectorAll(".scroll")) scrollable(box);
for (const clip of document.querySelectorAll(".clip")) wire(clip);
for (const table of document.querySelectorAll("table.sortable")) sortable(table);
const clips = document.getElementById("clips");
if (clips) {
  filterable(clips);
  clips.addEventListener("click", (event) => {
    const button = event.target.closest("button.open");
    if (button) toggle(button);
  });
  if (clips.tBodies[0].rows.length === 1) {  // its details are read later
    addEventListener("DOMContentLoaded", () => toggle(clips.querySelector("button.open")));
  }
}
