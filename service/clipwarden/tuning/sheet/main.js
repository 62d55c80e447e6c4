"use strict";
// Keys and buttons in, marks and what is shown of them out.

function start(data) {
  byId("title").textContent = `Label: ${data.categories.map((category) => category.id).join(", ")}`;
  document.title = byId("title").textContent;
  const dialog = byId("who");
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.addEventListener("close", () => new Sheet(data, byId("name").value.trim()), { once: true });
  byId("name").addEventListener("input", (event) => {
    event.target.setCustomValidity(event.target.value.trim() ? "" : "Write a name.");
  });
  dialog.showModal();
}

/** Storage that may be refused, as in a private window. */
function storageOfPage() {
  try {
    return window.localStorage ?? forgetful;
  } catch {
    return forgetful;
  }
}

class Sheet {
  constructor(data, labeller) {
    this.marks = new Marks(data, labeller, storageOfPage());
    this.view = new View(this.marks, { go: (index) => this.go(index), toggle: (at, value) => this.toggle(at, value) });
    this.index = 0;
    this.bindButtons();
    document.addEventListener("keydown", (event) => this.pressed(event));
    const { done } = this.marks;
    this.go(this.firstOpen(), done ? `Welcome back: ${done} of ${this.marks.size} are labelled. ` : "");
    byId("current").focus();
  }

  bindButtons() {
    const acts = {
      harmless: () => this.harmless(),
      unsure: () => this.unsure(),
      previous: () => this.move(-1),
      next: () => this.move(1),
      undo: () => this.undo(),
      reveal: () => this.reveal(),
      stop: () => this.stop(),
      save: () => this.save(),
      load: () => byId("file").click(),
      help: () => byId("explained").showModal(),
      copy: () => this.copy(),
      earlier: () => this.go(Math.max(0, this.view.first - TILES)),
      later: () => this.go(Math.min(this.marks.size - 1, this.view.first + TILES)),
    };
    for (const [id, act] of Object.entries(acts)) byId(id).addEventListener("click", act);
    byId("filter").addEventListener("change", () => this.filter());
    byId("grey").addEventListener("change", (event) => document.body.classList.toggle("grey", event.target.checked));
    byId("file").addEventListener("change", () => this.load());
    window.addEventListener("beforeunload", (event) => {
      if (!this.marks.keeps && this.changed) event.preventDefault();
    });
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (!byId("keys").checked || event.target.closest("input, select, textarea")) return;
    const act = this.actOf(event);
    if (act === undefined) return;
    event.preventDefault();
    act();
  }

  /** What a key does: digits by where they lie, since Shift turns them into signs of each language. */
  actOf(event) {
    const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code)?.[1] ?? /^[0-9]$/.exec(event.key)?.[0];
    if (digit === "0" && !event.shiftKey) return () => this.harmless();
    if (digit > 0 && digit <= this.marks.categories.length) {
      return () => this.toggle(digit - 1, event.shiftKey ? "unsure" : true);
    }
    return {
      ArrowRight: () => this.move(1), ArrowDown: () => this.move(1), j: () => this.move(1),
      ArrowLeft: () => this.move(-1), ArrowUp: () => this.move(-1), k: () => this.move(-1),
      u: () => this.unsure(),
      z: () => this.undo(),
      r: () => this.reveal(),
      s: () => this.stop(),
      "?": () => byId("explained").showModal(),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  }

  say(text) { byId("said").textContent = text; }

  /** Shows a picture, blurred, and says what it is called and what was said of it. */
  go(index, before = "") {
    this.view.revealed = false;
    this.index = index;
    this.view.show(index);
    byId("alarm").textContent = this.marks.keeps ? "" : "This browser keeps nothing: save before you close the page.";
    this.say(`${before}Picture ${index + 1}: ${this.view.words(index) || "no label"}. ${this.view.aboutFrames(index)}`.trim());
    if (byId("tiles").contains(document.activeElement)) byId("tiles").querySelector("[aria-current]").focus();
  }

  move(step, before = "") {
    let index = this.index + step;
    while (index >= 0 && index < this.marks.size && !this.view.matches(index)) index += step;
    if (index >= 0 && index < this.marks.size) this.go(index, before);
    else this.end(step, before);
  }

  end(step, before) {
    this.view.show(this.index);
    const open = this.marks.size - this.marks.done;
    const left = open ? `${open} have no label yet.` : "All are labelled: save the labels.";
    this.say(`${before}${step > 0 ? `That was the last picture. ${left}` : "That was the first picture."}`);
  }

  /** Says what was marked, and moves on where nothing more is to be said of the picture. */
  marked(movesOn) {
    this.changed = true;
    const before = `Picture ${this.index + 1}: ${this.view.words(this.index) || "no label"}. `;
    const walk = this.marks.data.header.walk ? this.marks.walk() : null;
    if (walk?.ended && !this.ended) {
      this.ended = true;
      this.view.show(this.index);
      this.say(`${before}That is enough: ${walk.labelled} labels from the top. Save the labels.`);
    } else if (movesOn) this.move(1, before);
    else {
      this.view.show(this.index);
      this.say(before);
    }
  }

  refuses() {
    if (!this.marks.escalated[this.index]) return false;
    this.say("This picture was escalated: others decide. Undo takes that back.");
    return true;
  }

  toggle(at, value) {
    if (this.refuses()) return;
    const name = this.marks.categories[at];
    this.marks.toggle(this.index, name, value);
    this.marked(this.marks.categories.length === 1 && this.marks.labels[this.index][name] === value);
  }

  harmless() {
    if (this.refuses()) return;
    this.marks.setAll(this.index, false);
    this.marked(true);
  }

  unsure() {
    if (this.refuses()) return;
    this.marks.setAll(this.index, "unsure");
    this.marked(true);
  }

  undo() {
    const index = this.marks.undo();
    if (index === null) {
      this.say("There is nothing to undo.");
      return;
    }
    this.ended = false;
    this.changed = true;
    this.go(index, "Undone. ");
  }

  reveal() {
    const picture = this.marks.data.pictures[this.index];
    if (!picture.clear) {
      const where = `Open ${picture.row.uri ?? picture.row.sha256}`;
      const again = "or have a page made that holds it: `clipwarden sample --again`, with --pictures and --reveal";
      this.say(picture.removed ? "The picture was removed." : `The clear picture is not in this page. ${where}, ${again}.`);
      return;
    }
    this.view.revealed = !this.view.revealed;
    this.view.show(this.index);
    this.say(this.view.revealed ? "Revealed, until you move on." : "Blurred.");
  }

  /** Takes the picture out of the page at once; what becomes of it is for others. */
  stop() {
    if (this.marks.escalated[this.index]) return;
    this.view.remove(this.index);
    this.marks.escalate(this.index);
    this.changed = true;
    this.view.revealed = false;
    this.view.show(this.index);
    this.say(`Picture ${this.index + 1} was removed and is recorded as escalated. Read what to do.`);
  }

  filter() {
    this.view.show(this.index);
    if (this.view.matches(this.index)) return;
    const found = this.marks.labels.findIndex((_, index) => this.view.matches(index));
    if (found >= 0) this.go(found);
    else this.say("There are no such pictures.");
  }

  firstOpen() {
    return Math.max(0, this.marks.labels.findIndex((_, index) => !this.marks.isDone(index)));
  }

  save() {
    const url = URL.createObjectURL(new Blob([this.marks.file()], { type: "application/jsonl" }));
    element("a", { href: url, download: this.marks.fileName }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    this.changed = false;
    this.say(`Saved as ${this.marks.fileName}: ${this.marks.done} of ${this.marks.size} are labelled.`);
  }

  async load() {
    const [file] = byId("file").files;
    byId("file").value = "";
    if (!file) return;
    try {
      const count = this.marks.load(await file.text());
      this.marks.escalated.forEach((escalated, index) => { if (escalated) this.view.remove(index); });
      this.go(this.firstOpen(), `Labels of ${count} pictures were loaded. `);
    } catch (error) {
      byId("alarm").textContent = error.message;
    }
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(byId("address").textContent);
      this.say("Copied.");
    } catch {
      getSelection().selectAllChildren(byId("address"));
      this.say("Selected: copy it with your keyboard.");
    }
  }
}

const dataElement = byId("data");
const sheetData = JSON.parse(dataElement.textContent);
// Pictures that are stopped later must not stay in the page's text.
dataElement.remove();
start(sheetData);
