// What ipywidgets leaves out, for all labs: sliders have a name and speak their value as it is shown, words and
// pictures are announced, and the keyboard's place is kept when the button that was pressed is switched off.

function describe(lab, name) {
  const set = (element, attribute, value) => {
    if (element && value && element.getAttribute(attribute) !== value) element.setAttribute(attribute, value);
  };
  for (const slider of lab.querySelectorAll(".widget-slider")) {
    const text = (part) => slider.querySelector(part)?.textContent.trim();
    const handle = slider.querySelector(".noUi-handle");
    set(handle, "aria-label", text(".widget-label"));
    set(handle, "aria-valuetext", text(".widget-readout"));  // else a logarithm, or a place in a list
  }
  for (const words of lab.querySelectorAll(".widget-html-content")) set(words, "aria-live", "polite");
  for (const picture of lab.querySelectorAll("img")) set(picture, "alt", `${name}; the text below says what it shows`);
}

// Where the keyboard goes on after `pressed` was disabled: the next button that can be pressed, or the first.
function successor(lab, pressed) {
  const buttons = [...lab.querySelectorAll("button")];
  const place = buttons.indexOf(pressed);
  return [...buttons.slice(place + 1), ...buttons.slice(0, place)].find((button) => !button.disabled);
}

function render({ model, el }) {
  let last = null, observer = null;
  const focused = (event) => { last = event.target; };
  const attach = () => {
    const lab = el.closest(".cl-lab");
    if (!lab) return void requestAnimationFrame(attach);  // not on the page yet
    const update = () => {
      describe(lab, model.get("name"));
      if (last?.disabled && [lab.ownerDocument.body, last].includes(lab.ownerDocument.activeElement)) {
        successor(lab, last)?.focus();
      }
    };
    lab.setAttribute("role", "group");
    lab.setAttribute("aria-label", model.get("name"));
    lab.addEventListener("focusin", focused);
    observer = new MutationObserver(update);
    observer.observe(lab, {
      subtree: true, childList: true, characterData: true, attributeFilter: ["disabled", "aria-valuetext", "src"],
    });
    update();
  };
  attach();
  return () => observer?.disconnect();
}

export default { render };
