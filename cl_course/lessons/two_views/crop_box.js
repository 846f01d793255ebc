// A picture with a crop box on it: the box is dragged, and resized by its corners, by mouse, touch or arrow keys. Or it
// shows the boxes of several random crops.
import { draggable, h, place, put, s, sheet } from "../shared/js/kit.js";

const SIDE = 300, MARK = 12, REACH = 30; // of the sheet, of a corner's mark, and of what a finger may hit
const CORNERS = { "top left": [0, 0], "top right": [1, 0], "bottom left": [0, 1], "bottom right": [1, 1] };

/**
 * A box is [top, left, height, width] in whole pixels of the picture. `onchange(box)` is called when the user moves it.
 * Returns { element, box, set(box), show(picture), crops(boxes), highlight(number), focus() }.
 */
export function cropBox(views, onchange) {
  const picture = s("image", { preserveAspectRatio: "none" });
  const shade = s("path", { fill: "#000", "fill-opacity": 0.55, "fill-rule": "evenodd", "pointer-events": "none" });
  const drawing = sheet(SIDE, SIDE, "The picture with the crop box");
  drawing.setAttribute("role", "group"); // its box is a control
  drawing.append(picture, shade);
  const crops = Array.from({ length: views }, () => drawing.appendChild(outline()));
  let width = 1, height = 1, unit = SIDE, at = [0, 0, 1, 1], grabbed = [0, 0];

  const frame = drawing.appendChild(s("g", { class: "aug-frame" }, ...outline().children));
  draggable(frame, drawing, {
    label: "Crop box",
    move: (x, y) => move(Math.round(y / unit - grabbed[1]), Math.round(x / unit - grabbed[0])),
    nudge: (dx, dy) => move(at[0] + dy * nudge(), at[1] + dx * nudge()),
  });
  frame.addEventListener("pointerdown", (event) => {
    const [x, y] = place(event, drawing);
    grabbed = [x / unit - at[1], y / unit - at[0]];
  });
  const corners = Object.entries(CORNERS).map(([name, [right, bottom]]) => {
    const square = (side, look) => s("rect", { x: -side / 2, y: -side / 2, width: side, height: side, ...look });
    const corner = drawing.appendChild(s("g", {}, square(REACH, { fill: "transparent" }),
      square(MARK, { fill: "#fff", stroke: "#000", "stroke-width": 2 })));
    corner.style.cursor = right === bottom ? "nwse-resize" : "nesw-resize";
    const pull = (x, y) => { // this corner goes to pixel x, y; the opposite one stays
      const [top, left, tall, wide] = at;
      const ends = [right ? left : left + wide, bottom ? top : top + tall];
      const [l, w] = span(ends[0], right, x, width), [t, t2] = span(ends[1], bottom, y, height);
      change([t, l, t2, w]);
    };
    draggable(corner, drawing, {
      label: `Crop box, ${name} corner`,
      move: (x, y) => pull(Math.round(x / unit), Math.round(y / unit)),
      nudge: (dx, dy) => pull(at[1] + right * at[3] + dx * nudge(), at[0] + bottom * at[2] + dy * nudge()),
    });
    return [corner, right, bottom];
  });

  /** From a corner that stays to one that is pulled: where the side begins and how long it is, at least one pixel. */
  function span(fixed, after, pulled, most) {
    const end = after ? Math.min(Math.max(pulled, fixed + 1), most) : Math.max(Math.min(pulled, fixed - 1), 0);
    return after ? [fixed, end - fixed] : [end, fixed - end];
  }
  const nudge = () => Math.max(1, Math.round(width / 32));
  const inside = (x, length, most) => Math.min(Math.max(x, 0), most - length);
  function move(top, left) { change([inside(top, at[2], height), inside(left, at[3], width), at[2], at[3]]); }
  function change(box) { set(box); onchange(box); }

  function set(box) {
    at = box;
    const [top, left, tall, wide] = at, sides = `${wide} wide and ${tall} high, of ${width} by ${height} pixels`;
    fit(frame, at);
    const around = `M0,0H${width * unit}V${height * unit}H0Z`; // with the box as its hole
    shade.setAttribute("d", `${around}M${left * unit},${top * unit}h${wide * unit}v${tall * unit}h${-wide * unit}Z`);
    const share = Math.round((100 * tall * wide) / (width * height));
    for (const control of [frame, ...corners.map(([corner]) => corner)]) {
      const text = `${share}% of the area: from left ${left}, top ${top}, ${sides}`;
      put(control, { "aria-valuenow": share, "aria-valuetext": text });
    }
    for (const [corner, right, bottom] of corners)
      corner.setAttribute("transform", `translate(${(left + right * wide) * unit},${(top + bottom * tall) * unit})`);
  }
  function fit(group, [top, left, tall, wide]) {
    const sides = { x: left * unit, y: top * unit, width: wide * unit, height: tall * unit };
    for (const rect of group.children) put(rect, sides);
  }
  return {
    element: h("div", { class: "aug-picture" }, drawing),
    get box() { return at; },
    set,
    /** Another picture; the box keeps its share of it. */
    show({ image, src, drawn }) {
      const [top, bottom] = [at[0], at[0] + at[2]].map((y) => Math.round((y * image.height) / height));
      const [left, right] = [at[1], at[1] + at[3]].map((x) => Math.round((x * image.width) / width));
      ({ width, height } = image);
      unit = SIDE / Math.max(width, height);
      put(picture, { href: src, width: width * unit, height: height * unit });
      picture.style.imageRendering = drawn ? "pixelated" : "auto";
      const [y, x] = [Math.min(top, height - 1), Math.min(left, width - 1)]; // at least one pixel is left
      set([y, x, Math.max(bottom - y, 1), Math.max(right - x, 1)]);
    },
    /** The boxes of random crops in place of the user's own; with none, the user's comes back. */
    crops(boxes) {
      crops.forEach((group, i) => {
        group.setAttribute("visibility", boxes.length ? "visible" : "hidden");
        if (boxes.length) fit(group, boxes[i]);
      });
      const own = [shade, frame, ...corners.map(([corner]) => corner)];
      for (const part of own) part.style.display = boxes.length ? "none" : "";
      drawing.setAttribute("aria-label", `The picture with ${boxes.length ? "all crops" : "the crop box"}`);
    },
    highlight(number) { crops.forEach((group, i) => group.classList.toggle("aug-near", i === number)); },
    focus() { frame.focus(); },
  };
}

/** Black under white, so that it is seen on every picture. */
function outline() {
  return s("g", {}, ...[["#000", 4], ["#fff", 2]].map(([stroke, width]) =>
    s("rect", { fill: "transparent", stroke, "stroke-width": width })));
}
