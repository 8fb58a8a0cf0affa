// Run by browser.py in a page whose own scripts are off: lists its texts, and blanks some of them.
() => {
  const NO_TEXT = new Set(["SCRIPT", "STYLE", "HEAD", "TITLE", "TEMPLATE", "DATALIST", "META", "LINK"]);
  const FIELDS = new Set(["INPUT", "TEXTAREA", "SELECT"]);
  const found = [];
  const boxesOf = (rects) => {
    const boxes = [];
    for (const r of rects) boxes.push([r.left + scrollX, r.top + scrollY, r.right + scrollX, r.bottom + scrollY]);
    return boxes.slice(0, 5000);
  };
  const isMasked = (element) => getComputedStyle(element).webkitTextSecurity !== "none" && element.tagName !== "INPUT";
  const visit = (element) => {
    const stack = [element];
    while (stack.length) {
      const node = stack.pop();
      if (node.nodeType === Node.TEXT_NODE) {
        if (!node.data.trim()) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        const parent = node.parentElement;
        found.push({ node, range, text: node.data, boxes: boxesOf(range.getClientRects()), masked: isMasked(parent) });
      } else if (node.nodeType === Node.ELEMENT_NODE && !NO_TEXT.has(node.tagName.toUpperCase())) {
        if (FIELDS.has(node.tagName)) {
          const shown = node.tagName === "SELECT" ? [...node.selectedOptions].map((o) => o.text).join(", ")
                                                  : node.value || node.placeholder || "";
          if (shown) found.push({ node, range: null, text: shown, boxes: boxesOf(node.getClientRects()),
                                  masked: node.type === "password" });
          continue;
        }
        for (let child = node.lastChild; child; child = child.previousSibling) stack.push(child);
      }
    }
  };
  visit(document.documentElement);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(
    "::highlight(mmctx){color:transparent!important;-webkit-text-fill-color:transparent!important;" +
    "-webkit-text-stroke-color:transparent!important;fill:transparent!important;stroke:transparent!important;" +
    "text-shadow:none!important;text-decoration-color:transparent!important}");
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  const styled = [];
  window.mmctx = {
    blank(turn) {
      for (const [element, style] of styled.splice(0))
        if (style === null) element.removeAttribute("style"); else element.setAttribute("style", style);
      const ranges = [];
      for (const i of turn) {
        const { node, range } = found[i];
        const svg = node.parentElement && node.parentElement.namespaceURI.endsWith("svg") ? node.parentElement : null;
        let cut = range === null ? null : node.parentElement; // letters cut out of what is behind them have no colour
        while (cut && !getComputedStyle(cut).backgroundClip.includes("text")) cut = cut.parentElement;
        const element = range === null ? node : svg || (cut && node.parentElement);
        if (element === null) { ranges.push(range); continue; }
        styled.push([element, element.getAttribute("style")]);
        for (const name of ["color", "-webkit-text-fill-color", "-webkit-text-stroke-color"])
          element.style.setProperty(name, "transparent", "important");
        if (cut) element.style.setProperty("visibility", "hidden", "important");
        if (svg) { element.style.setProperty("fill", "none", "important");
                   element.style.setProperty("stroke", "none", "important"); }
      }
      CSS.highlights.set("mmctx", new Highlight(...ranges));
    },
  };
  return {
    texts: found.map(({ text, boxes, masked }) => ({ text, boxes, masked })),
    height: Math.max(document.documentElement.scrollHeight, document.body ? document.body.scrollHeight : 0, 800),
  };
}
