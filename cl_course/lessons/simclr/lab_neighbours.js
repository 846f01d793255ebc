// The neighbours lab: choose any card, and see what each description of cards holds for the nearest.
import { widget } from "../shared/js/kit.js";
import { neighboursLab } from "../shared/js/neighbours.js";

export { decode, nearest } from "../shared/js/neighbours.js";

export default widget("Neighbours lab", (data, root) => neighboursLab(data, root));
