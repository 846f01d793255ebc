// The worker: it trains beside the page, so that the page always answers. labs/bundle.mjs makes one text of it.
import { Runner } from "./runner.js";

const runner = new Runner((news) => postMessage(news), 50);
onmessage = ({ data: { run, ...order } }) => {
  runner.send = (news) => postMessage({ run, ...news });
  runner.receive(order);
};
