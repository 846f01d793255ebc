// A point of the map shows its picture: by pointer, or with the arrow keys while the map has the focus.
const map = document.querySelector(".map svg");
const circles = [...map.querySelectorAll("circle")];
const [picture, name] = [document.querySelector(".map aside div"), document.querySelector(".map aside p")];
const { columns, rows, image } = JSON.parse(document.getElementById("sprite").textContent);
picture.style.backgroundImage = `url(${image})`;
picture.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
let chosen = 0;

function choose(place) {
  circles[chosen].classList.remove("chosen");
  chosen = (place + circles.length) % circles.length;
  circles[chosen].classList.add("chosen");
  const share = (position, number) => (number > 1 ? (100 * position) / (number - 1) : 0);
  const [column, row] = [chosen % columns, Math.floor(chosen / columns)];
  picture.style.backgroundPosition = `${share(column, columns)}% ${share(row, rows)}%`;
  name.textContent = circles[chosen].dataset.name;
}

function nearest(event) {
  const box = map.getBoundingClientRect();
  const scale = map.viewBox.baseVal.width / box.width;
  const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  const distance = (circle) => Math.hypot(circle.cx.baseVal.value - x, circle.cy.baseVal.value - y);
  const best = circles.reduce((one, other) => (distance(other) < distance(one) ? other : one));
  if (distance(best) < 30) choose(circles.indexOf(best));
}

map.addEventListener("pointermove", nearest);
map.addEventListener("pointerdown", nearest);
map.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  choose(chosen + step);
});
choose(0);
