"use strict";
// The gallery's controls: which lines are drawn over the pictures, which samples are shown, in which order, how many.
(() => {
  const STEP = 12;
  const form = document.querySelector(".controls");
  const list = document.querySelector(".cards");
  const cards = [...list.children];
  const more = document.getElementById("more");
  const shown = document.getElementById("shown");
  let limit = STEP;

  // The lines are stored once for each sample, over its last picture; all its pictures show the same frame.
  for (const card of cards) {
    const lines = card.querySelector(".overlay");
    for (const frame of card.querySelectorAll(".frame")) {
      if (!frame.querySelector(".overlay")) frame.append(lines.cloneNode(true));
    }
  }

  const value = (name) => form.elements[name].value;

  function drawLines() {
    for (const name of ["axes", "box", "outline", "cuboid"]) {
      list.classList.toggle(`show-${name}`, form.elements[name].checked);
    }
  }

  // CAD models of other categories cannot be chosen.
  function limitCads() {
    const category = value("category");
    const cads = form.elements.cad;
    if (category && !cads.value.startsWith(`${category}/`)) cads.value = "";
    for (const group of cads.querySelectorAll("optgroup")) {
      group.hidden = group.disabled = category !== "" && group.label !== category;
    }
  }

  function wanted(card) {
    const labels = card.dataset;
    const survival = Number(labels.survival);
    const scored = labels.survival !== "";
    return ["category", "cad", "colour"].every((name) => !value(name) || labels[name] === value(name))
      && (!value("least") || (scored && survival >= Number(value("least"))))
      && (!value("most") || (scored && survival <= Number(value("most"))));
  }

  // Samples without a score come after all others.
  function before(a, b) {
    const byKey = a.dataset.key < b.dataset.key ? -1 : 1;
    if (value("order") === "key") return byKey;
    const name = value("order") === "mask-iou" ? "maskIou" : "survival";
    const score = (card) => (card.dataset[name] === "" ? 2 : Number(card.dataset[name]));
    return score(a) - score(b) || byKey;
  }

  function show() {
    const chosen = cards.filter(wanted).sort(before);
    for (const card of cards) card.hidden = true;
    for (const card of chosen.slice(0, limit)) card.hidden = false;
    list.append(...chosen);
    const visible = Math.min(limit, chosen.length);
    shown.textContent = `${visible} of ${chosen.length} shown` + (chosen.length < cards.length ? `, ${cards.length} in all` : "");
    more.hidden = visible === chosen.length;
  }

  function restart() {
    limit = STEP;
    drawLines();
    limitCads();
    show();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => (event.target.type === "checkbox" ? drawLines() : restart()));
  form.querySelector("[type=reset]").addEventListener("click", (event) => {
    event.preventDefault();  // the button by itself would reset the controls after the listeners
    form.reset();
    restart();
  });
  more.addEventListener("click", () => {
    limit += STEP;
    show();
  });
  form.hidden = false;
  restart();
})();
