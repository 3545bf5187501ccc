
// One photo of the strip at a time: only its pictures are decoded.
const photos = [...document.querySelectorAll(".strip button")];
const place = document.querySelector(".photo");
let current = -1;
function show(index) {
  if (!photos.length) return;
  const next = Math.min(photos.length - 1, Math.max(0, index));
  if (next === current) return;
  current = next;
  const copy = photos[current].parentNode.querySelector("template").content.cloneNode(true);
  const before = place.querySelector("figure");
  place.replaceChildren(copy);
  mount(place.querySelector("figure"), before);
  photos.forEach((button, i) => { button.ariaCurrent = String(i === current); });
  photos[current].scrollIntoView({ block: "nearest", inline: "nearest" });
  document.querySelector(".count").textContent = `${current + 1} of ${photos.length}`;
  document.querySelector("[data-step='-1']").disabled = current === 0;
  document.querySelector("[data-step='1']").disabled = current === photos.length - 1;
  history.replaceState(null, "", `#${current + 1}`);
}
photos.forEach((button, i) => { button.onclick = () => show(i); });
for (const button of document.querySelectorAll("[data-step]"))
  button.onclick = () => show(current + Number(button.dataset.step));
document.onkeydown = event => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const step = { n: 1, p: -1 }[event.key.toLowerCase()];
  if (step) show(current + step);
};
onhashchange = () => show(Number(location.hash.slice(1)) - 1 || 0);
show(Number(location.hash.slice(1)) - 1 || 0);
