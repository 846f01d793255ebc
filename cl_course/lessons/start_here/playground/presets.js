// What can be tried with one click: settings, and what to watch.
export const HEALTHY = {
  method: "simclr", temperature: 0.2, batch: 64, queue: 512, momentum: 0.9, predictor: true, stopGradient: true,
  crop: true, flip: true, colour: true,
};

export const PRESETS = [
  { name: "Healthy SimCLR", settings: {}, watch: "Nobody names the shapes, and still each kind gathers on the sphere: the " +
    "loss falls below guessing, and kNN climbs." },
  { name: "Colours unchanged", settings: { colour: false }, watch: "The loss falls fast, and kNN stays low: colours alone " +
    "tell which views belong together. Show the points as drawings: neighbours share colours, not shapes." },
  { name: "Temperature 0.01", settings: { temperature: 0.01 }, watch: "Almost only the very nearest other views push now: the " +
    "loss jumps from batch to batch, and kNN climbs later, or less far, than at 0.2." },
  { name: "MoCo", settings: { method: "moco" }, watch: "Views are compared with a queue of earlier ones, not with their own " +
    "batch. A step costs less, and the kinds gather as well." },
  { name: "BYOL", settings: { method: "byol" }, watch: "Nothing pushes any more, each view only predicts its partner, and " +
    "still the points stay spread out." },
  { name: "BYOL, no predictor", settings: { method: "byol", predictor: false }, watch: "Collapse: all points run to one " +
    "place. The loss is nearly 0, the best there is, and the network tells nothing apart." },
  { name: "BYOL, no stop-gradient", settings: { method: "byol", stopGradient: false }, watch: "Collapse, at once: the targets " +
    "come to meet the predictions, and sameness is the cheapest way to agree." },
];
