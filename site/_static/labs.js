// Puts every lab of a page in the place of its picture; each bundle before this script has left its lab in courseLabs.
for (const place of document.querySelectorAll("[data-lab]")) {
  const data = JSON.parse(place.querySelector("script").textContent);
  const el = document.createElement("div");
  window.courseLabs[place.dataset.lab].render({ model: { get: () => data }, el });
  place.replaceChildren(el);
}
