// What can be tried with one click: settings, and what to watch.
export const HEALTHY = {
  method: "simclr",
  temperature: 0.2,
  batch: 64,
  queue: 512,
  momentum: 0.95,
  predictor: true,
  stopGradient: true,
  crop: true,
  flip: true,
  colour: true,
};

export const PRESETS = [
  {
    name: "Healthy SimCLR",
    settings: {},
    watch:
      "Nobody names the shapes, and still each kind gathers in its own part of the sphere: " +
      "the loss falls below guessing, and kNN climbs.",
  },
  {
    name: "Colours unchanged",
    settings: { colour: false },
    watch:
      "The loss falls fast, and kNN stays low: colours alone tell which views belong together. " +
      "Show the points as drawings: neighbours share colours, not shapes.",
  },
  {
    name: "Temperature 0.01",
    settings: { temperature: 0.01 },
    watch:
      "Almost only the very nearest other views push now. The points stay close together, " +
      "and kNN climbs more slowly than at 0.2.",
  },
  {
    name: "MoCo",
    settings: { method: "moco" },
    watch:
      "A queue of earlier views pushes, in place of the other views of the batch. " +
      "The kinds gather as well, more slowly here.",
  },
  {
    name: "BYOL",
    settings: { method: "byol", momentum: 0.9 },
    watch: "Nothing pushes: each view only predicts its partner. Still the points stay spread out.",
  },
  {
    name: "BYOL, no predictor",
    settings: { method: "byol", momentum: 0.9, predictor: false },
    watch:
      "Collapse: all points run to one place. The loss is nearly 0, the best there is, " +
      "and the network tells nothing apart.",
  },
  {
    name: "BYOL, no stop-gradient",
    settings: { method: "byol", momentum: 0.9, stopGradient: false },
    watch: "Collapse, at once: targets and predictions move towards each other until all points are alike.",
  },
];
