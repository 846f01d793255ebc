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
      "the loss falls below guessing, and kNN accuracy climbs: a drawing's neighbours are mostly of its own kind.",
  },
  {
    name: "Colours unchanged",
    settings: { colour: false },
    watch:
      "The loss falls, and kNN accuracy stays low: colours are enough to tell which views belong together. " +
      "Show the points as drawings: neighbours share colours more than shapes.",
  },
  {
    name: "Temperature 0.01",
    settings: { temperature: 0.01 },
    watch:
      "Now almost only the very nearest of the other views push. The points stay closer together, " +
      "and kNN accuracy climbs more slowly than at 0.2.",
  },
  {
    name: "MoCo",
    settings: { method: "moco" },
    watch:
      "A queue of earlier views pushes, in place of the other views of the batch. " +
      "The kinds gather as well, a little more slowly here.",
  },
  {
    name: "BYOL",
    settings: { method: "byol", momentum: 0.9 },
    watch:
      "Nothing pushes: each view only predicts its partner. Still the points stay spread out. " +
      "How well the kinds gather differs much from seed to seed.",
  },
  {
    name: "BYOL, no predictor",
    settings: { method: "byol", momentum: 0.9, predictor: false },
    watch:
      "Collapse: all points move to one place. The loss is nearly 0, the lowest that it can be, " +
      "and the points no longer tell one drawing from another.",
  },
  {
    name: "BYOL, no stop-gradient",
    settings: { method: "byol", momentum: 0.9, stopGradient: false },
    watch:
      "Collapse as well. The network itself now makes the targets, and training moves them, too: " +
      "targets and predictions come together until all points are alike.",
  },
];
