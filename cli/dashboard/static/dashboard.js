"use strict";
// Keys, what is shown over an image, and the one part of a page that comes later. Pages work without any of it.

const one = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];

// --- what comes later

for (const place of all("[data-fragment]")) {
  fetch(place.dataset.fragment, { headers: { Accept: "text/html" } })
    .then((answer) => answer.text())
    .then((text) => {
      const part = new DOMParser().parseFromString(text, "text/html").querySelector("[data-part]");
      if (part) place.replaceChildren(document.adoptNode(part));
    })
    .catch(() => { place.textContent = "The dashboard is not responding; is it still running?"; });
}

// --- filters: at once, and addresses without what was left empty

const form = one("form.filters");
if (form) {
  const fields = [...form.elements].filter((field) => field.name);
  form.addEventListener("submit", () => fields.forEach((field) => { field.disabled = !field.value; }));
  form.addEventListener("change", () => { if (form.reportValidity()) form.requestSubmit(); });
  window.addEventListener("pageshow", () => fields.forEach((field) => { field.disabled = false; }));
}

// --- layers over an image, as they were left for the image before

for (const box of all("input[data-layer]")) {
  const group = document.getElementById(box.dataset.layer);
  const key = `layer ${box.dataset.kind}`;
  const before = sessionStorage.getItem(key);
  if (before !== null) box.checked = before === "on";
  const apply = () => group.classList.toggle("off", !box.checked);
  box.addEventListener("change", () => {
    sessionStorage.setItem(key, box.checked ? "on" : "off");
    apply();
  });
  apply();
}

// --- no boxes over a picture that only says why an image cannot be read: it has another size

for (const image of all("img[data-side]")) {
  const check = () => {
    const side = Math.max(image.naturalWidth, image.naturalHeight);
    if (side && side !== Number(image.dataset.side)) image.nextElementSibling?.classList.add("off");
  };
  if (image.complete) check();
  else image.addEventListener("load", check);
}

// --- keys

const tiles = all("a.tile");
const follow = (relation) => {
  const link = one(`a[rel~="${relation}"]`);
  if (link) link.click();
  return Boolean(link);
};

function move(key) {
  const at = tiles.indexOf(document.activeElement);
  if (key === "ArrowRight" || key === "ArrowLeft") {
    const to = at < 0 ? 0 : at + (key === "ArrowRight" ? 1 : -1);
    if (tiles[to]) tiles[to].focus();
    else follow(key === "ArrowRight" ? "next" : "prev");
    return true;
  }
  if (at < 0) return false;
  const left = tiles[at].getBoundingClientRect().left;
  const column = tiles.filter((tile) => Math.abs(tile.getBoundingClientRect().left - left) < 2);
  const to = column[column.indexOf(tiles[at]) + (key === "ArrowDown" ? 1 : -1)];
  if (to) to.focus();
  return Boolean(to);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select, textarea, .scroll")) return;
  let done = false;
  if (event.key === "Escape") done = follow("up");
  else if (event.shiftKey || !tiles.length) {
    if (event.key === "ArrowRight") done = follow("next");
    if (event.key === "ArrowLeft") done = follow("prev");
  } else if (/^Arrow/.test(event.key)) done = move(event.key);
  if (done) event.preventDefault();
});

// Over the edge of a page: on with its first image, or back with its last.
if (tiles.length && location.hash === "#first") tiles[0].focus();
if (tiles.length && location.hash === "#last") tiles[tiles.length - 1].focus();
