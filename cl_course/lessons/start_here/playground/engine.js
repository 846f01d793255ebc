// Where training runs: in a worker, or in short slices on the page where no worker can be made (a page may forbid it).
import { Runner } from "./runner.js";
import code from "./worker.js?worker";

/** hear(news) gets the news of the run that was started last. Returns { order(order), stop() }; see Runner.receive. */
export function startEngine(hear) {
  let run = 0,
    given = [],
    answered = false,
    worker = null,
    runner = null;
  const toWorker = (order) => worker.postMessage({ run, ...order });
  const toPage = (order) => {
    const own = run;
    runner.send = (news) => {
      if (own === run) hear(news);
    };
    runner.receive(order);
  };
  function onThePage() {
    worker?.terminate();
    worker = null;
    runner = new Runner(hear, 8);
    for (const order of given) toPage(order);
    given = [];
  }
  try {
    const file = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    worker = new Worker(file);
    worker.onmessage = ({ data: { run: own, ...news } }) => {
      answered = true;
      given = [];
      URL.revokeObjectURL(file);
      if (own === run) hear(news);
    };
    worker.onerror = () => {
      if (!answered) onThePage();
    };
  } catch {
    onThePage();
  }
  return {
    order(order) {
      if (order.kind === "restart") run++;
      if (worker && !answered) given.push(order);
      (worker ? toWorker : toPage)(order);
    },
    stop() {
      worker?.terminate();
      if (runner) runner.playing = false;
    },
    get inWorker() {
      return worker !== null;
    },
  };
}
