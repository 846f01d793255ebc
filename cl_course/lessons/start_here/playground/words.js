// The words on the page, and its looks.
export const WORDS = {
  views: "Two disguised copies of one drawing: cut and shifted, mirrored, with other colours, as you choose.",
  batch: "The drawings of one training step.",
  embedding: "The network turns a drawing into 32 numbers, h, and these into 3, z: a place on the sphere.",
  loss: "What training lowers. Dashed: what guessing would give.",
  SimCLR: "The two views of a drawing pull each other near; all other views of the batch push (lesson 03).",
  MoCo: "The same, but a queue of earlier embeddings pushes: keys, which a slow copy of the network makes (lesson 04).",
  BYOL: "No pushing: one view predicts where a slow copy of the network puts the other (lesson 05).",
  "temperature T": "The smaller it is, the more of the push comes from the nearest others (lesson 02).",
  "momentum m": "How slowly the copy follows the network: at 0 it equals the network, at 0.999 it hardly moves.",
  predictor: "The part of BYOL that predicts; without it, embeddings are compared as they are.",
  "stop-gradient":
    "BYOL's targets count as constants. Without it, the network itself makes them, and training moves them, too.",
  "kNN accuracy":
    "240 drawings that the network never trains on. For each, its 20 nearest among 240 others, whose kind is " +
    "known, vote for its kind (kNN: k nearest neighbours). The share that is right; guessing gives 0.25. " +
    "The kinds are used for nothing else.",
  spread: "How far apart the same 240 drawings lie on the sphere: 1 all over it, 0 all at one place (collapse).",
  "effective rank": "How many independent directions, of 32, the numbers in h really use.",
};

export const LOOKS = `
.cl-lab .play-chips { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin-bottom: 6px; }
.cl-lab .play-chips > span { min-width: 7em; }
.cl-lab .play-chips .lab-button { border-radius: 999px; padding: 3px 12px; border-color: var(--grid); }
.cl-lab .play-chips [aria-pressed="true"] { background: var(--ink); color: var(--ground); border-color: var(--ink); }
.cl-lab .play-watch { margin: 8px 0 10px; padding: 6px 12px; border-left: 4px solid var(--orange); min-height: 2.9em; }
.cl-lab .play-main { background: var(--blue); color: var(--ground); border-color: var(--blue); font-weight: 600;
  min-width: 6.6em; }
.cl-lab .play-panels { display: flex; flex-wrap: wrap; gap: 20px; }
.cl-lab .play-left { flex: 0 1 400px; min-width: 0; }
.cl-lab .play-right { flex: 1 1 400px; min-width: 0; }
.cl-lab .play-sphere { max-width: 100%; aspect-ratio: 1; touch-action: pan-y; cursor: grab; display: block;
  border-radius: 50%; }
.cl-lab .play-sphere:active { cursor: grabbing; }
.cl-lab .play-key { justify-content: center; }
.cl-lab .play-key canvas { vertical-align: -4px; }
.cl-lab .play-left .lab-choice { justify-content: center; }
.cl-lab .play-title { margin: 0 0 4px; }
.cl-lab .play-right > canvas { display: block; width: 100%; max-width: 440px; margin-bottom: 4px; border-radius: 4px; }
.cl-lab .play-curves { display: grid; grid-template-columns: repeat(2, minmax(0, 212px)); gap: 10px 16px;
  margin-top: 12px; }
.cl-lab .play-curve { margin: 0; }
.cl-lab .play-curve figcaption { display: flex; justify-content: space-between; align-items: baseline;
  min-height: 28px; }
.cl-lab svg .play-level { paint-order: stroke; stroke: var(--ground); stroke-width: 4px; }
.cl-lab .play-curve strong { font-size: 18px; font-variant-numeric: tabular-nums; }
.cl-lab .play-settings { margin: 10px 0 6px; padding-top: 10px; border-top: 1px solid var(--grid); }
.cl-lab [hidden] { display: none; }
.cl-lab .play-words dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 8px 0 0; }
.cl-lab .play-words dt { font-weight: 600; }
.cl-lab .play-words dd { margin: 0; }
.cl-lab summary { cursor: pointer; }
@media (max-width: 560px) { .cl-lab .play-words dl { grid-template-columns: 1fr; } }
`;
