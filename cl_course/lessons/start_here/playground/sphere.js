// The embeddings z of the held-out drawings on a sphere that turns under the pointer and the arrow keys.
import { h } from "../../shared/js/kit.js";
import { CLASSES } from "./drawings.js";
import { onCanvas, thumbnails } from "./pixels.js";

const SIZE = 400,
  CENTRE = SIZE / 2,
  RADIUS = 184,
  EASE = 0.25; // EASE: the share of its way that a point goes in a frame
export const COLOURS = ["--blue", "--orange", "--green", "--pink"];

/** The outline of a class, drawn around 0 with half-width r: also told apart without colours. */
export function outline(pen, label, r) {
  pen.beginPath();
  if (label === 1)
    for (const [w, t] of [
      [r, r / 3],
      [r / 3, r],
    ])
      pen.rect(-w, -t, 2 * w, 2 * t);
  else if (label === 3) pen.rect(-r, -r / 2.6, 2 * r, r / 1.3);
  else pen.arc(0, 0, label === 2 ? 0.72 * r : 0.9 * r, 0, 2 * Math.PI);
}

/** Draw a class's sign at x, y. A ring is a line, the others are areas. */
export function sign(pen, label, x, y, r, colour, ground) {
  pen.save();
  pen.translate(x, y);
  outline(pen, label, r);
  pen.fillStyle = pen.strokeStyle = colour;
  if (label === 2) {
    pen.lineWidth = 0.42 * r;
    pen.stroke();
  } else {
    pen.lineWidth = 0.22 * r;
    pen.strokeStyle = ground;
    pen.stroke();
    pen.fill();
  }
  pen.restore();
}

/**
 * labels: of the points; onturn(): it was turned by hand. `show` takes new places (n, 3), to which the points move by
 * frames; frame() draws one and says whether anything still moves; dress(bytes) takes the drawings of the points.
 */
export function makeSphere(labels, onturn) {
  const { canvas, pen } = onCanvas(SIZE, SIZE);
  let pictures = null;
  let yaw = 0.5,
    pitch = -0.35,
    goal = null,
    now = null,
    drawings = false;
  const degrees = () => Math.round(((((yaw * 180) / Math.PI) % 360) + 360) % 360);

  function turn(dyaw, dpitch) {
    yaw += dyaw;
    pitch = Math.max(-1.5, Math.min(1.5, pitch + dpitch));
    canvas.setAttribute("aria-valuenow", degrees());
    canvas.setAttribute("aria-valuetext", `turned by ${degrees()} degrees`);
  }
  for (const [name, value] of Object.entries({
    tabindex: 0,
    role: "slider",
    "aria-label": "Sphere of embeddings",
    "aria-valuemin": 0,
    "aria-valuemax": 360,
    class: "play-sphere",
    "data-lm-suppress-shortcuts": "true",
  }))
    canvas.setAttribute(name, value);
  turn(0, 0);
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    turn(event.movementX / 120, event.movementY / 120);
    onturn();
  });
  const arrows = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] };
  canvas.addEventListener("keydown", (event) => {
    if (!arrows[event.key]) return;
    turn(...arrows[event.key]);
    onturn();
    event.preventDefault();
    event.stopPropagation();
  });

  /** Where a place on the sphere is seen: x, y on the canvas, and its depth from -1 (behind) to 1. */
  function project(x, y, z) {
    const u = Math.cos(yaw) * x + Math.sin(yaw) * z,
      w = Math.cos(yaw) * z - Math.sin(yaw) * x;
    const v = Math.cos(pitch) * y - Math.sin(pitch) * w;
    return [CENTRE + RADIUS * u, CENTRE - RADIUS * v, Math.sin(pitch) * y + Math.cos(pitch) * w];
  }

  /** Every point goes a part of its way; whether any still has one to go. */
  function move() {
    let moves = false;
    for (let i = 0; i < now.length; i += 3) {
      const next = [0, 1, 2].map((k) => now[i + k] + EASE * (goal[i + k] - now[i + k])),
        length = Math.hypot(...next) || 1;
      for (let k = 0; k < 3; k++) {
        moves ||= Math.abs(goal[i + k] - now[i + k]) > 0.004;
        now[i + k] = next[k] / length;
      }
    }
    return moves;
  }

  function frame() {
    if (!now) return false;
    const moves = move(),
      style = getComputedStyle(canvas),
      ink = (name) => style.getPropertyValue(name);
    const colours = COLOURS.map(ink),
      ground = ink("--ground");
    pen.clearRect(0, 0, SIZE, SIZE);
    globe(ink("--muted"));
    const seen = Array.from(labels, (label, i) => [label, i, ...project(now[3 * i], now[3 * i + 1], now[3 * i + 2])]);
    seen.sort((a, b) => a[4] - b[4]);
    for (const [label, i, x, y, depth] of seen) {
      const near = (depth + 1) / 2;
      pen.globalAlpha = 0.28 + 0.72 * near;
      if (drawings) picture(i, x, y, 8 + 7 * near);
      else sign(pen, label, x, y, 5 + 4.5 * near, colours[label], ground);
    }
    pen.globalAlpha = 1;
    return moves;
  }

  function picture(i, x, y, r) {
    pen.imageSmoothingEnabled = true;
    pen.drawImage(pictures, 16 * i, 0, 16, 16, x - r, y - r, 2 * r, 2 * r);
  }

  function globe(muted) {
    const light = pen.createRadialGradient(CENTRE - 60, CENTRE - 70, 20, CENTRE, CENTRE, RADIUS);
    light.addColorStop(0, "rgb(255 255 255 / 0.12)");
    light.addColorStop(1, "rgb(80 100 130 / 0.2)");
    pen.fillStyle = light;
    pen.beginPath();
    pen.arc(CENTRE, CENTRE, RADIUS, 0, 2 * Math.PI);
    pen.fill();
    pen.strokeStyle = muted;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.8;
    pen.stroke();
    for (let k = 0; k < 9; k++) circle(k < 6 ? meridian((k * Math.PI) / 6) : parallel(((k - 7) * Math.PI) / 4));
    pen.globalAlpha = 1;
  }

  const meridian = (at) => (t) => [Math.cos(t) * Math.cos(at), Math.sin(t), Math.cos(t) * Math.sin(at)];
  const parallel = (at) => (t) => [Math.cos(at) * Math.cos(t), Math.sin(at), Math.cos(at) * Math.sin(t)];
  /** A circle on the globe: its half behind is fainter. */
  function circle(place) {
    let [x, y] = project(...place(0));
    for (let k = 1; k <= 48; k++) {
      const [u, v, depth] = project(...place((k * Math.PI) / 24));
      pen.globalAlpha = depth < 0 ? 0.1 : 0.3;
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(u, v);
      pen.stroke();
      [x, y] = [u, v];
    }
  }

  return {
    element: canvas,
    show(points, atOnce = false) {
      goal = points;
      if (!now || atOnce) now = Float32Array.from(points);
    },
    turn,
    frame,
    dress(bytes) {
      pictures = thumbnails(bytes, labels.length);
    },
    as(what) {
      drawings = what === "drawings";
    },
  };
}

/** The classes with their signs. */
export function classKey() {
  const signs = CLASSES.map((name, label) => [onCanvas(18, 18), name, label]);
  const element = h(
    "p",
    { class: "lab-key play-key" },
    ...signs.map(([{ canvas }, name]) => h("span", {}, canvas, ` ${name}`)),
  );
  return {
    element,
    paint() {
      const style = getComputedStyle(element);
      for (const [{ pen }, , label] of signs) {
        pen.clearRect(0, 0, 18, 18);
        sign(pen, label, 9, 9, 7, style.getPropertyValue(COLOURS[label]), style.getPropertyValue("--ground"));
      }
    },
  };
}
