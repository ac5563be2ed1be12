// What a person would not accept of a page as it is now. Runs in the page: it may use nothing from outside.
export const complaintsOf = () => {
  const complaints = [];
  const { clientWidth: width, clientHeight: height } = document.documentElement;

  const name = (element) => {
    const id = element.id ? `#${element.id}` : element.className ? `.${String(element.className).trim().replace(/\s+/g, ".")}` : "";
    return `<${element.localName}${id}> "${(element.getAttribute("aria-label") ?? element.textContent).trim().slice(0, 30)}"`;
  };
  const isSeen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const isForReadersOnly = (element) => element.closest(".visually-hidden") !== null;
  const ancestors = (element) => (element ? [element, ...ancestors(element.parentElement)] : []);
  const scroller = (element) =>
    ancestors(element.parentElement).find((it) => ["auto", "scroll"].includes(getComputedStyle(it).overflowY) && it.scrollHeight > it.clientHeight);
  // What a box that scrolls does not show now is not cut: it can be scrolled to.
  const isScrolledAway = (element) => {
    const box = scroller(element)?.getBoundingClientRect();
    const own = element.getBoundingClientRect();
    return box !== undefined && (own.top < box.top - 1 || own.bottom > box.bottom + 1);
  };

  if (document.documentElement.scrollWidth > width || document.body.scrollWidth > width) {
    complaints.push(`the page is ${Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)} wide in a window of ${width}`);
  }

  // Controls: inside the window, named, large enough, not covered by each other or by anything else.
  const all = [...document.querySelectorAll("button, input, textarea, select, a[href]")];
  const controls = all.filter((it) => isSeen(it) && !isForReadersOnly(it) && !isScrolledAway(it));
  for (const control of controls) {
    const box = control.getBoundingClientRect();
    if (box.left < -1 || box.right > width + 1 || box.top < -1 || box.bottom > height + 1) {
      complaints.push(`${name(control)} is cut off by the window: ${JSON.stringify(box)}`);
      continue;
    }
    const target = control.closest("label")?.getBoundingClientRect() ?? box;
    if (target.height < 24 || target.width < 24) complaints.push(`${name(control)} is too small to hit: ${target.width} by ${target.height}`);
    const hasName = control.getAttribute("aria-label") || (control.labels?.length ?? 0) > 0 || (control.localName !== "input" && control.textContent.trim());
    if (!hasName) complaints.push(`${name(control)} has no name for those who cannot see it`);
    const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    // A backdrop covers on purpose.
    const isCovered = top && !control.contains(top) && !top.contains(control) && !top.classList.contains("backdrop");
    const isBehindDrawer = top && document.querySelector(".menu-open .sidebar")?.contains(top);
    if (isCovered && !isBehindDrawer) complaints.push(`${name(control)} is covered by ${name(top)}`);
  }

  // Texts: not cut without a sign of it, and readable on what is behind them.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((part, index) => part * a + below[index] * (1 - a));
  const ground = (element) => {
    const layers = ancestors(element).map((it) => rgba(getComputedStyle(it).backgroundColor)).reverse();
    return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const said = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || said.has(element) || !isSeen(element) || isForReadersOnly(element)) continue;
    said.add(element);
    const style = getComputedStyle(element);
    const isDimmed = ancestors(element).some((it) => getComputedStyle(it).opacity !== "1" || it.disabled);
    const back = ground(element);
    const ratio = contrast(over(rgba(style.color), back), back);
    const isLarge = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (!isDimmed && ratio < (isLarge ? 3 : 4.5)) complaints.push(`${name(element)} has a contrast of ${ratio.toFixed(2)}`);

    const box = element.getBoundingClientRect();
    if (box.width > 0 && (box.left < -1 || box.right > width + 1)) complaints.push(`${name(element)} is cut off at the side`);
    const isCut = element.scrollWidth > element.clientWidth + 1 && style.overflowX === "hidden" && style.textOverflow !== "ellipsis";
    if (isCut && style.display !== "inline") complaints.push(`the text of ${name(element)} is cut`);
  }
  return complaints;
};
