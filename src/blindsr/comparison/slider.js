
// Makes a <figure class="blindsr-comparison"> work, once. `like` is a figure whose zoom, divider and pixels to take.
function mount(figure, like) {
  if (figure.dataset.ready !== undefined) return;
  figure.dataset.ready = "";
  const views = [...figure.querySelectorAll(".view")].map(view => ({
    view,
    stage: view.querySelector(".stage"),
    canvas: view.querySelector(".canvas"),
    range: view.querySelector("input"),
    width: Number(view.style.getPropertyValue("--w")),
  }));
  const buttons = key => [...figure.querySelectorAll(`.bar [${key}]`)];
  let zoom = 0, part = 0.5;  // part: where the divider stands in the visible piece of the picture

  const place = ({ stage, canvas, range }) => {
    const wide = canvas.clientWidth;
    if (!wide) return;
    const at = stage.scrollLeft + part * Math.min(stage.clientWidth, wide);
    canvas.style.setProperty("--split", `${100 * at / wide}%`);
    canvas.style.setProperty("--middle", `${stage.scrollTop + Math.min(stage.clientHeight, canvas.clientHeight) / 2}px`);
    range.value = Math.round(100 * part);
    range.setAttribute("aria-valuetext", `${range.value} %`);
  };
  const placeAll = () => views.forEach(place);
  const divide = value => { part = Math.min(1, Math.max(0, value)); placeAll(); };

  const enlarge = value => {
    zoom = value;
    figure.dataset.zoom = zoom;
    for (const button of buttons("data-zoom")) button.ariaPressed = String(Number(button.dataset.zoom) === zoom);
    for (const { view, stage, canvas, width } of views) {
      // What was in the middle stays there. 100 % is one pixel of the picture on one of the screen.
      const x = (stage.scrollLeft + stage.clientWidth / 2) / (canvas.clientWidth || 1);
      const y = (stage.scrollTop + stage.clientHeight / 2) / (canvas.clientHeight || 1);
      view.toggleAttribute("data-zoomed", zoom > 0);
      view.style.setProperty("--canvas", `${width * zoom / devicePixelRatio}px`);
      stage.scrollLeft = x * canvas.clientWidth - stage.clientWidth / 2;
      stage.scrollTop = y * canvas.clientHeight - stage.clientHeight / 2;
    }
    placeAll();
  };
  const pixelate = on => {
    figure.toggleAttribute("data-pixelated", on);
    for (const button of buttons("data-pixelated")) button.ariaPressed = String(on);
  };
  const choose = index => {
    views.forEach(({ view }, i) => { view.hidden = i !== index; });
    for (const button of buttons("data-view")) button.ariaPressed = String(Number(button.dataset.view) === index);
    enlarge(zoom);
  };
  for (const button of buttons("data-zoom")) button.onclick = () => enlarge(Number(button.dataset.zoom));
  for (const button of buttons("data-view")) button.onclick = () => choose(Number(button.dataset.view));
  for (const button of buttons("data-pixelated"))
    button.onclick = () => pixelate(!figure.hasAttribute("data-pixelated"));

  for (const one of views) {
    const { stage, canvas, range } = one;
    range.oninput = () => divide(range.value / 100);
    stage.onscroll = () => place(one);
    let drag = null;
    canvas.onpointerdown = event => {
      if (event.button !== 0) return;
      const pans = zoom > 0 && !event.target.closest(".grip");
      if (pans && event.pointerType !== "mouse") return;  // fingers scroll by themselves
      drag = { pans, x: event.clientX + stage.scrollLeft, y: event.clientY + stage.scrollTop };
      canvas.setPointerCapture(event.pointerId);
      canvas.onpointermove(event);
    };
    canvas.onpointermove = event => {
      if (!drag) return;
      if (drag.pans) {
        stage.scrollLeft = drag.x - event.clientX;
        stage.scrollTop = drag.y - event.clientY;
      } else {
        const box = stage.getBoundingClientRect();
        divide((event.clientX - box.left) / Math.min(stage.clientWidth, canvas.clientWidth));
      }
    };
    canvas.onpointerup = canvas.onpointercancel = () => { drag = null; };
    new ResizeObserver(() => place(one)).observe(stage);
  }
  if (like) {
    part = like.querySelector(".view:not([hidden]) input").value / 100;
    zoom = Number(like.dataset.zoom);
    pixelate(like.hasAttribute("data-pixelated"));
  }
  enlarge(zoom);
}
