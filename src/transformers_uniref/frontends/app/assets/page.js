() => {
  const isShown = (element) => element !== null && element.getClientRects().length > 0;
  const firstShown = (selector) => [...document.querySelectorAll(selector)].find(isShown);
  const press = (selector, event) => {
    const button = firstShown(selector);
    if (!button) return;
    event.preventDefault();
    if (!button.disabled) button.click();
  };
  const isTyping = (element) =>
    element.isContentEditable ||
    element.tagName === "TEXTAREA" ||
    (element.tagName === "INPUT" && !["range", "radio", "checkbox", "button", "file"].includes(element.type));

  window.addEventListener(
    "keydown",
    (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
      const key = event.key.toLowerCase();
      if (key === "enter") {
        press("button.uniref-run", event);
      } else if ((key === "z" || key === "y") && !isTyping(event.target)) {
        // A text field has its own undo.
        if (key === "y" || event.shiftKey) press(".uniref-editor button[aria-label=Redo]", event);
        else press("button.uniref-undo, .uniref-editor button[aria-label=Undo]", event);
      }
    },
    true
  );

  window.addEventListener(
    "click",
    (event) => {
      const button = event.target.closest?.("button");
      if (button?.matches(".uniref-once") && event.detail > 1) {
        // The second half of a double click asks for nothing new.
        event.stopImmediatePropagation();
        event.preventDefault();
        return;
      }
      // Each try is told about once: what was said about the one before goes.
      if (button?.closest("[role=tabpanel]")) {
        document.body.classList.remove("uniref-unsaid");
        document.querySelectorAll(".toast-close").forEach((close) => close.click());
      }
    },
    true
  );

  window.addEventListener(
    "error",
    (event) => {
      // A browser plays fewer videos than can be followed; whether this one can be is said by the server.
      if (event.target instanceof Element && event.target.closest("#video-clip, #video-rendered")) {
        event.stopImmediatePropagation();
      }
    },
    true
  );

  // Gradio marks each part that an error left as it was. These marks are hidden, since a message says it once; where no
  // message comes, which is a defect, they are shown.
  let lastMessage = 0;
  const holds = (node, selector) => node instanceof Element && (node.matches(selector) || node.querySelector(selector));
  new MutationObserver((changes) => {
    for (const node of changes.flatMap((change) => [...change.addedNodes])) {
      if (holds(node, "[data-testid=\"toast-text\"]")) lastMessage = Date.now();
      if (holds(node, '[data-testid="status-tracker"] .error')) {
        const marked = Date.now();
        setTimeout(() => document.body.classList.toggle("uniref-unsaid", lastMessage < marked - 2000), 2000);
      }
    }
  }).observe(document.body, { childList: true, subtree: true });

  window.unirefScrollTo = (id) => {
    const look = () => {
      const element = document.getElementById(id);
      if (!element) return;
      const { top } = element.getBoundingClientRect();
      if (top < -1 || top > window.innerHeight * 0.6) element.scrollIntoView({ block: "start" });
    };
    look();
    // What arrives later may move it out of sight again; whoever scrolls meanwhile is left alone.
    const later = [400, 1200, 3000].map((wait) => setTimeout(look, wait));
    const leave = () => later.forEach(clearTimeout);
    for (const name of ["wheel", "touchmove", "keydown"]) {
      window.addEventListener(name, leave, { once: true, passive: true });
    }
  };
}
