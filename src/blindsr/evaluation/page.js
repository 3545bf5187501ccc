for (const button of document.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => {
    document.documentElement.style.setProperty("--zoom", button.dataset.zoom);
    for (const other of document.querySelectorAll("[data-zoom]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
  });
}
for (const strip of document.querySelectorAll(".crops")) {
  strip.addEventListener("scroll", () => {
    for (const other of document.querySelectorAll(".crops")) {
      if (other !== strip && other.scrollLeft !== strip.scrollLeft) other.scrollLeft = strip.scrollLeft;
    }
  });
}
