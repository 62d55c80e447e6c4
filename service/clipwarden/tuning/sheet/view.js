"use strict";
// What the page shows of the marks: one picture large, and a page of tiles around it.

/** Tiles at once: however large the sample, the page holds no more. */
const TILES = 48;

const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

class View {
  /** @param {Marks} marks What is shown; @param {object} acts What tiles and marks do when pressed. */
  constructor(marks, acts) {
    this.marks = marks;
    this.data = marks.data;
    this.acts = acts;
    this.revealed = false;
    this.first = null;
    this.makeCategories();
    this.makeFilter();
    for (const index of marks.escalated.keys()) if (marks.escalated[index]) this.remove(index);
  }

  /** Takes a picture out of the page's memory; what is in the file stays there. */
  remove(index) {
    const picture = this.data.pictures[index];
    picture.removed = Boolean(picture.blurred);
    delete picture.blurred;
    delete picture.clear;
    delete picture.frames;
    this.first = null;
  }

  makeCategories() {
    const rows = this.data.categories.map(({ id, definition }, index) => {
      const key = element("kbd", {}, String(index + 1));
      const yes = element("button", { type: "button", "aria-pressed": "false", "aria-keyshortcuts": index + 1 }, key, ` ${id}`);
      const unsure = element("button", {
        type: "button", "aria-pressed": "false", "aria-label": `Unsure about ${id}`, "aria-keyshortcuts": `Shift+${index + 1}`,
      }, "?");
      yes.addEventListener("click", () => this.acts.toggle(index, true));
      unsure.addEventListener("click", () => this.acts.toggle(index, "unsure"));
      return element("li", {}, yes, unsure, element("p", {}, definition));
    });
    byId("categories").replaceChildren(...rows);
  }

  makeFilter() {
    const fixed = [["all", "all pictures"], ["open", "without a label"], ["unsure", "unsure"], ["escalated", "escalated"]];
    const own = this.marks.categories.map((name, index) => [`category ${index}`, name]);
    byId("filter").replaceChildren(...[...fixed, ...own].map(([value, text]) => element("option", { value }, text)));
  }

  /** Which pictures the filter lets through. */
  matches(index) {
    const filter = byId("filter").value, labels = this.marks.labels[index] ?? {};
    if (filter === "open") return !this.marks.isDone(index);
    if (filter === "unsure") return Object.values(labels).includes("unsure");
    if (filter === "escalated") return this.marks.escalated[index];
    const category = /^category (\d+)$/.exec(filter);
    return category === null || labels[this.marks.categories[category[1]]] === true;
  }

  show(index) {
    this.showProgress();
    this.showPicture(index);
    this.showMarks(index);
    this.showTiles(index);
  }

  showProgress() {
    const { done, size } = this.marks;
    byId("bar").max = Math.max(1, size);
    byId("bar").value = done;
    byId("progress").textContent = `${done} of ${size} labelled, by ${this.marks.labeller}`;
    const walks = Boolean(this.data.header.walk);
    byId("walk").hidden = !walks;
    if (walks) byId("walk").textContent = this.walkText();
  }

  walkText() {
    const { labelled, alarms, allowed, ended } = this.marks.walk();
    const far = `${labelled} labelled from the top, ${alarms} of them not ${this.data.header.walk.category} or unsure.`;
    if (ended) return `${far} That is enough: save the labels. Labels further down change nothing.`;
    return `${far} Go on until there are ${allowed + 1}; the highest scores come first.`;
  }

  showPicture(index) {
    const picture = this.data.pictures[index], address = picture.row.uri ?? picture.row.sha256;
    const source = this.revealed && picture.clear ? picture.clear : picture.blurred;
    const clear = this.revealed && Boolean(picture.clear);
    byId("number").textContent = `Picture ${index + 1} of ${this.marks.size}`;
    byId("address").textContent = address;
    byId("picture").hidden = !source;
    byId("missing").hidden = Boolean(source);
    if (source) byId("picture").src = source;
    else byId("picture").removeAttribute("src");
    const frames = this.frames(index);
    byId("picture").alt = [`Picture ${index + 1}`, clear ? "as it is" : "blurred", ...frames].join(", ");
    byId("frames").hidden = frames.length === 0;
    byId("frames").textContent = this.aboutFrames(index);
    byId("missing").replaceChildren(...this.insteadOf(index));
    byId("reveal").setAttribute("aria-pressed", String(clear));
  }

  /** How many of an animation's frames are shown, in words; of what does not move none. */
  frames(index) {
    const { frames } = this.data.pictures[index];
    return frames ? [`${frames[0]} of ${frames[1]} frames`] : [];
  }

  aboutFrames(index) {
    const [said] = this.frames(index), [shown, total] = this.data.pictures[index].frames ?? [];
    if (!said) return "";
    return `Shown: ${said}.${shown < total ? " Open the file to see the others." : ""}`;
  }

  insteadOf(index) {
    const picture = this.data.pictures[index];
    if (this.marks.escalated[index]) return this.whatToDo(picture);
    if (picture.removed) return [element("p", {}, "The picture was removed; open the page again to have it back.")];
    return [element("p", {}, "The picture is not in this page. Open its address where you may see it.")];
  }

  whatToDo(picture) {
    const steps = [
      "Do not open it again, copy it or send it to anybody.",
      `Tell ${this.data.escalate}, by this digest, never by the picture:`,
      "Where you had to look at it: take a break, and speak to somebody.",
    ];
    if (picture.removed) {
      steps.push("This file still holds the picture until it is deleted: give it to nobody. Save your labels first; `clipwarden sample --again` makes a page without it.");
    }
    const items = steps.map((step) => element("li", {}, step));
    items[1].append(" ", element("code", {}, picture.row.sha256));
    return [element("p", {}, element("strong", {}, "Stopped. The picture is gone from this page.")), element("ol", {}, ...items)];
  }

  showMarks(index) {
    const labels = this.marks.labels[index] ?? {}, rows = byId("categories").children;
    this.marks.categories.forEach((name, at) => {
      const [yes, unsure] = rows[at].querySelectorAll("button");
      yes.setAttribute("aria-pressed", String(labels[name] === true));
      unsure.setAttribute("aria-pressed", String(labels[name] === "unsure"));
    });
    byId("harmless").setAttribute("aria-pressed", String(this.marks.isHarmless(index)));
    byId("unsure").setAttribute("aria-pressed", String(this.marks.isUnsure(index)));
    byId("undo").disabled = this.marks.history.length === 0;
  }

  /** Draws the tiles around a picture; only what changed, while it stays on the same page of tiles. */
  showTiles(index) {
    const first = index - (index % TILES), last = Math.min(this.marks.size, first + TILES);
    if (first !== this.first) {
      const tiles = Array.from({ length: last - first }, (_, at) => element("li", {}, this.tile(first + at)));
      byId("tiles").replaceChildren(...tiles);
      this.first = first;
    }
    byId("page").textContent = `${first + 1} to ${last} of ${this.marks.size}`;
    byId("pages").hidden = this.marks.size <= TILES;
    byId("earlier").disabled = first === 0;
    byId("later").disabled = last === this.marks.size;
    byId("tiles").querySelectorAll("button").forEach((tile, at) => this.showTile(tile, first + at, first + at === index));
  }

  tile(index) {
    const { blurred } = this.data.pictures[index];
    const shown = blurred ? element("img", { src: blurred, alt: "" }) : element("span", { class: "blank" }, "—");
    const moves = this.frames(index).map((said) => element("span", { class: "moves" }, said.replace(" of ", "/")));
    const made = element("button", { type: "button", tabindex: "-1" }, shown, ...moves, element("span", {}));
    made.addEventListener("click", () => this.acts.go(index));
    return made;
  }

  showTile(tile, index, isCurrent) {
    const words = this.words(index);
    tile.lastChild.textContent = `${index + 1} ${words}`;
    tile.setAttribute("aria-label", `${[`Picture ${index + 1}`, ...this.frames(index)].join(", ")}: ${words || "no label"}`);
    tile.tabIndex = isCurrent ? 0 : -1;
    tile.hidden = !(isCurrent || this.matches(index));
    if (isCurrent) tile.setAttribute("aria-current", "true");
    else tile.removeAttribute("aria-current");
  }

  /** What was said of a picture, in words. */
  words(index) {
    const labels = this.marks.labels[index];
    if (this.marks.escalated[index]) return "escalated";
    if (labels === null) return "";
    if (this.marks.isHarmless(index)) return "harmless";
    if (this.marks.isUnsure(index)) return "unsure";
    const said = Object.entries(labels).filter(([, value]) => value !== false);
    return said.map(([name, value]) => (value === true ? name : `${name}?`)).join(", ");
  }
}
