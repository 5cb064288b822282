document.querySelectorAll(".viewer").forEach((viewer) => {
  const cases = [...viewer.querySelectorAll(".case")], find = (name) => viewer.querySelector(`[name=${name}]`);
  const [picture, condition, severity] = ["picture", "condition", "severity"].map(find);
  const shown = viewer.querySelector("output"), originals = viewer.querySelectorAll(".original");
  const show = () => {
    const fits = cases.filter((c) => c.dataset.picture === picture.value && c.dataset.condition === condition.value);
    severity.max = Math.max(fits.length - 1, 0);
    severity.disabled = fits.length < 2;
    const chosen = fits[Math.min(severity.value, fits.length - 1)];
    cases.forEach((c) => { c.hidden = c !== chosen; });
    originals.forEach((o) => { o.hidden = o.dataset.picture !== picture.value; });
    shown.textContent = chosen ? chosen.dataset.severity : "none";
    severity.setAttribute("aria-valuetext", "severity " + shown.textContent);
  };
  viewer.querySelector(".controls").hidden = false;
  viewer.classList.add("live");
  viewer.querySelectorAll(".picture-name").forEach((name) => { name.hidden = true; });
  viewer.addEventListener("input", show);
  show();
});
