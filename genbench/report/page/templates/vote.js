"use strict";
// ← and → choose a grid, S takes another pair; a key that is held down votes once.
const grids = { ArrowLeft: 0, ArrowRight: 1 };
let voted = false;
document.querySelector(".pair").addEventListener("submit", (event) => {
  if (voted) event.preventDefault();
  voted = true;
});
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key in grids) {
    event.preventDefault();
    document.querySelectorAll(".pair button")[grids[event.key]].click();
  } else if (event.key === "s" || event.key === "S") {
    location.assign("/vote");
  }
});
