// How the augmentation lab looks, beyond what all labs share (lab.css).
export const STYLE = `
.cl-lab .aug-line { display: flex; flex-wrap: wrap; gap: 6px 12px; align-items: center; margin: 10px 0; }
.cl-lab .aug-seed { width: 5em; min-height: 22px; padding: 4px 6px; font: inherit; color: var(--ink);
  background: transparent; border: 1px solid var(--muted); border-radius: 6px; }
.cl-lab .aug-stage { display: flex; flex-wrap: wrap; gap: 12px 18px; margin: 10px 0; }
.cl-lab .aug-picture { flex: 1 1 300px; max-width: 440px; } /* beside the views it is no wider than 300 */
.cl-lab .aug-picture svg { width: 100%; overflow: visible; }
.cl-lab .aug-frame { cursor: move; }
.cl-lab .aug-near rect { stroke-width: 6; }
.cl-lab .aug-near rect:last-child { stroke: #ffb000; stroke-width: 4; }
.cl-lab .aug-views { flex: 1000 1 400px; display: grid; grid-template-columns: repeat(4, 1fr);
  gap: 6px; align-content: start; }
.cl-lab .aug-view { display: flex; flex-direction: column; padding: 0; border: 0; background: none;
  color: var(--ink); font: inherit; font-size: 11.5px; text-align: left; }
.cl-lab .aug-view:enabled { cursor: pointer; }
.cl-lab .aug-view.aug-idle { color: var(--muted); }
.cl-lab .aug-view canvas { display: block; width: 100%; border-radius: 3px; }
.cl-lab .aug-words { min-height: 3.4em; } /* what is below stays where it is */
.cl-lab .aug-hint { min-height: 2.9em; margin: 0; color: var(--muted); font-size: 13px; }
.cl-lab .aug-groups { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: stretch; }
.cl-lab .aug-group { flex: 1 1 250px; min-width: 0; margin: 0; padding: 2px 10px 6px; border: 1px solid var(--grid);
  border-radius: 6px; }
.cl-lab .aug-group legend { color: var(--muted); padding: 0 4px; }
.cl-lab .aug-group .lab-control { display: grid; grid-template-columns: 7em minmax(60px, 1fr) 4.2em; gap: 6px; }
.cl-lab .aug-group input[type="range"] { width: 100%; }
.cl-lab .aug-code { font-size: 12.5px; user-select: all; overflow-wrap: anywhere; }
.cl-lab .aug-meter { display: grid; grid-template-columns: auto 1fr 3.2em; gap: 3px 10px; align-items: center;
  max-width: 560px; margin: 4px 0 0; }
.cl-lab .aug-bar { position: relative; height: 12px; background: var(--grid); border-radius: 3px; }
.cl-lab .aug-bar > div { height: 100%; background: var(--blue); border-radius: 3px; }
.cl-lab .aug-bar > i { position: absolute; top: -2px; height: 16px; border-left: 2px solid var(--ink); }
.cl-lab .aug-mode[hidden] { display: none !important; }`;
