// What scrolls sideways can be scrolled by the keyboard as well.
const boxes = document.querySelectorAll("pre, .formula, .table-wrapper, .output.text_html");
const observer = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
boxes.forEach((box) => observer.observe(box));
