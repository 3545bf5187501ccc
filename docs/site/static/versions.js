/* Sites of several versions lie side by side, and versions.json above them lists their folders (site/publish.py).
   Where there is none, as in a fresh build, the version is only shown. */
document.addEventListener("DOMContentLoaded", async () => {
  const choice = document.getElementById("versions");
  if (!choice || location.protocol === "file:") return;
  const top = new URL("../", new URL(document.documentElement.dataset.content_root || "./", location.href));
  try {
    const answer = await fetch(new URL("versions.json", top));
    if (!answer.ok) return;
    const versions = await answer.json();
    const here = choice.options[0].value;
    choice.replaceChildren(...versions.map((name) => new Option(name, name, name === here, name === here)));
    choice.disabled = versions.length < 2;
    choice.addEventListener("change", () => { location.href = new URL(`${choice.value}/index.html`, top); });
  } catch { /* the site of one version alone */ }
});
