// The card game: which of six views is the same card as the anchor? Rounds and the simple players' answers come from
// Python (lab_game.py); the page deals them, keeps the score of every level, and says who took what.
import { button, choice, h, isPlain, oncePerFrame, report, sprite, widget } from "../shared/js/kit.js";

const LETTERS = "ABCDEF", SAME = "same card", SIZE = 96;
const STYLE = `
.cl-lab .game-table { display: flex; flex-wrap: wrap; gap: 10px 12px; margin: 8px 0; }
.cl-lab .game-title { margin: 0; }
.cl-lab .game-anchor { width: 104px; }
.cl-lab .game-anchor .lab-card { border: 3px solid var(--ink); border-radius: 4px; background-clip: padding-box;
  background-origin: padding-box; }
.cl-lab .game-hand { display: flex; flex-wrap: wrap; gap: 4px; flex: 1 1 314px; }
.cl-lab .game-hand button { font: 13px/1.3 system-ui, sans-serif; color: var(--ink); background: transparent; border: 0;
  border-radius: 6px; padding: 0; width: 102px; min-height: 168px; cursor: pointer;
  display: flex; flex-direction: column; align-items: center; }
.cl-lab .game-hand .lab-card { border: 3px solid var(--grid); border-radius: 4px; background-clip: padding-box;
  background-origin: padding-box; }
.cl-lab .game-hand button[aria-disabled="true"] { cursor: default; }
.cl-lab .game-hand .right .lab-card { border: 3px solid var(--green); }
.cl-lab .game-hand .wrong .lab-card { border: 3px dashed var(--red); }
.cl-lab .game-hand .takers { color: var(--muted); font-size: 12px; white-space: pre-line; }
.cl-lab .game-score { margin-top: 10px; }
.cl-lab .game-score th, .cl-lab .game-score td { padding: 2px 8px 2px 0; font-weight: normal; font-size: 13px;
  white-space: nowrap; }
.cl-lab .game-score thead th { vertical-align: bottom; max-width: 70px; white-space: normal; }
.cl-lab .game-score tr.now th { font-weight: bold; }
`;

/** Who won how many of the rounds played at a level: { played, you, ...players }. taken: round -> the place taken. */
function score(rounds, players, taken, level) {
  const of = rounds.map((round, i) => [round, taken[i]])
    .filter(([round, place]) => round.level === level && place !== undefined);
  const won = (place) => of.filter(([round, yours]) => round.kinds[place(round, yours)] === SAME).length;
  return Object.fromEntries([
    ["played", of.length], ["you", won((_, yours) => yours)],
    ...players.map((name) => [name, won((round) => round.picks[name])]),
  ]);
}

/** The round after `now`: one of its level that is not played yet, else the next of all that are not, or null. */
function following(rounds, taken, now) {
  const free = rounds.map((_, i) => i).filter((i) => taken[i] === undefined);
  const here = free.filter((i) => rounds[i].level === rounds[now].level);
  return here[0] ?? free.find((i) => i > now) ?? free[0] ?? null;
}

function lab(data, root) {
  const { rounds, levels, players } = data;
  if (!rounds?.length) throw new Error("no rounds were dealt; ask for at least one at every level.");
  const pictures = sprite(data), heard = report(), redraw = oncePerFrame(paint);
  const seats = ["you", ...players], taken = {};
  let now = 0;
  const ofLevel = (level) => rounds.map((_, i) => i).filter((i) => rounds[i].level === level);

  const level = choice({
    label: "Disguise", options: levels.map((name) => [name, name]), value: levels[0],
    onchange(name) {
      const all = ofLevel(name);
      now = all.find((i) => taken[i] === undefined) ?? all.at(-1);
      redraw();
    },
  });
  const anchor = pictures.card(0, SIZE), title = h("p", { class: "game-title" });
  const hand = Array.from(LETTERS, (letter, place) => {
    const card = pictures.card(0, SIZE), words = h("span"), takers = h("span", { class: "takers" });
    const element = h("button", {
      type: "button", "data-lm-suppress-shortcuts": "true", tabindex: place ? "-1" : "0", onclick: () => take(place),
    }, card, words, takers);
    return { letter, card, words, takers, element };
  });
  const next = button("Next round", deal, { "data-lm-suppress-shortcuts": "true" });
  const cells = new Map(), scoreRows = [...levels, "all rounds"].map((name) => {
    const row = h("tr", {}, h("th", { scope: "row" }, name), ...seats.map((seat) => {
      const cell = h("td", {}, "–");
      cells.set(`${name}/${seat}`, cell);
      return cell;
    }));
    return [name, row];
  });
  root.append(
    pictures.style, h("style", {}, STYLE), h("div", { class: "lab-controls" }, level.element), title,
    h("div", { class: "game-table" },
      h("div", { class: "game-anchor" }, anchor, "which card is this?"),
      h("div", { class: "game-hand", role: "group", "aria-label": "Candidates", onkeydown: moved },
        ...hand.map(({ element }) => element))),
    h("div", { class: "lab-controls" }, next, h("span", {}, "Keys: 1 to 6 take a card, or arrows and Enter.")),
    heard.element,
    h("table", { class: "game-score", "aria-label": "Rounds won of those that you have played" },
      h("thead", {}, h("tr", {}, h("td", {}, "rounds won"), ...seats.map((seat) => h("th", { scope: "col" }, seat)))),
      h("tbody", {}, ...scoreRows.map(([, row]) => row))));
  root.addEventListener("keydown", (event) => {
    const place = ["1", "2", "3", "4", "5", "6"].indexOf(event.key);
    if (place < 0 || !isPlain(event)) return;
    event.preventDefault();
    event.stopPropagation();
    take(place);
  });

  function moved(event) {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!step || !isPlain(event)) return;
    event.preventDefault();
    event.stopPropagation();
    point((hand.findIndex(({ element }) => element === document.activeElement) + step + hand.length) % hand.length);
  }
  /** Put the keyboard on a candidate; the tabulator key reaches only that one. */
  function point(place) {
    hand.forEach(({ element }, i) => element.setAttribute("tabindex", i === place ? "0" : "-1"));
    hand[place].element.focus({ preventScroll: true });
  }
  function take(place) {
    if (taken[now] !== undefined) return;
    taken[now] = place;
    paint();
    next.focus({ preventScroll: true });
  }
  function deal() {
    if (taken[now] === undefined) return;
    const to = following(rounds, taken, now);
    if (to === null) return;
    now = to;
    level.set(rounds[now].level);
    paint();
    point(0);
  }

  function paint() {
    const round = rounds[now], place = taken[now], played = place !== undefined, all = ofLevel(round.level);
    title.textContent = `${round.level}: round ${all.indexOf(now) + 1} of ${all.length}`;
    pictures.turn(anchor, 7 * now);
    hand.forEach(({ letter, card, words, takers, element }, i) => {
      const kind = round.kinds[i];
      const by = [...(i === place ? ["you"] : []), ...players.filter((name) => round.picks[name] === i)];
      pictures.turn(card, 7 * now + 1 + i);
      const mark = kind === SAME ? "✓ " : i === place ? "✗ " : "";
      words.textContent = played ? `${letter} ${mark}${kind}` : letter;
      takers.textContent = played ? by.join("\n") : "";
      element.classList.toggle("right", played && kind === SAME);
      element.classList.toggle("wrong", played && kind !== SAME && i === place);
      element.setAttribute("aria-disabled", String(played));
      element.setAttribute("aria-label", played
        ? `Card ${letter}, ${kind}, taken by ${by.join(", ") || "nobody"}` : `Take card ${letter}`);
    });
    next.setAttribute("aria-disabled", String(!played || following(rounds, taken, now) === null));
    const total = Object.fromEntries(["played", ...seats].map((seat) => [seat, 0]));
    for (const name of levels) {
      const won = score(rounds, players, taken, name);
      for (const key of Object.keys(total)) total[key] += won[key];
      for (const seat of seats) tell(name, seat, won);
    }
    for (const seat of seats) tell("all rounds", seat, total);
    scoreRows.forEach(([name, row]) => row.classList.toggle("now", name === round.level));
    heard.say(sentence(round, place, total));
  }
  function tell(name, seat, won) {
    cells.get(`${name}/${seat}`).textContent = won.played ? `${won[seat]} of ${won.played}` : "–";
  }
  function sentence(round, place, total) {
    const right = LETTERS[round.kinds.indexOf(SAME)], kind = round.kinds[place];
    const verdict = place === undefined
      ? `Which of A to F is the same card as the framed one? Disguise: ${round.level}.`
      : kind === SAME ? "Yes, the same card."
      : kind === "other" ? `No. The same card is ${right}.` : `No, that was the ${kind}. The same card is ${right}.`;
    if (!total.played) return `${verdict} Nothing is played yet.`;
    const missed = Object.entries(taken).map(([i, p]) => rounds[i].kinds[p]).filter((k) => k !== SAME);
    const kindsTaken = ["colour twin", "layout twin", "other"]
      .map((k) => [missed.filter((m) => m === k).length, k]).filter(([n]) => n);
    const instead = kindsTaken.map(([n, k]) => `${k} ${n}`).join(", ");
    const end = following(rounds, taken, now) === null ? " All rounds are played." : "";
    const others = players.map((name) => `${name} ${total[name]}`).join(", ");
    return `${verdict} You found ${total.you} of ${total.played}; ${others}.` +
      `${instead && ` Instead you took: ${instead}.`}${end}`;
  }
  paint();
  return { alt: () => `Card game, an anchor and six candidates. ${heard.text}` };
}

export default widget("Card game", lab);
