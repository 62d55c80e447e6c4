"use strict";
// What was said of each picture: marks in, the label file out. Nothing here touches the page.

/** Writes JSON the one way that RFC 8785 allows, as clipwarden does. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const pairs = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${pairs.join(",")}}`;
}

/** A store that keeps nothing, for browsers that let no page keep anything. */
const forgetful = { getItem: () => null, setItem: () => { throw new Error("nothing is kept"); } };

class Marks {
  /**
   * @param {object} data What clipwarden wrote into the page.
   * @param {string} labeller Whose marks these are.
   * @param {Storage} storage Where they are kept between visits, by sample and labeller.
   */
  constructor(data, labeller, storage) {
    this.data = data;
    this.labeller = labeller;
    this.storage = storage;
    this.categories = data.categories.map((category) => category.id);
    this.labels = data.pictures.map(() => null);
    this.escalated = data.pictures.map((picture) => picture.escalated === true);
    this.history = [];
    this.keeps = true;
    this.restore();
  }

  get size() { return this.labels.length; }
  get key() { return `clipwarden.sheet/1 ${this.data.digest} ${this.labeller}`; }

  /** Whether nothing is left to say of a picture. */
  isDone(index) {
    if (this.escalated[index]) return true;
    const labels = this.labels[index];
    return labels !== null && this.categories.every((name) => labels[name] !== undefined);
  }

  isHarmless(index) { return this.all(index, false); }
  isUnsure(index) { return this.all(index, "unsure"); }

  all(index, value) {
    const labels = this.labels[index];
    return labels !== null && this.categories.every((name) => labels[name] === value);
  }

  /** How many pictures are done. */
  get done() { return this.labels.reduce((count, _, index) => count + this.isDone(index), 0); }

  /** Says yes to a category, or no where it was yes; what nothing was said of becomes no. */
  toggle(index, name, value = true) {
    const before = this.labels[index] ?? {};
    const labels = Object.fromEntries(this.categories.map((each) => [each, before[each] ?? false]));
    labels[name] = before[name] === value ? false : value;
    this.set(index, labels);
  }

  /** Says the same of all categories: false for harmless, or "unsure". */
  setAll(index, value) {
    this.set(index, Object.fromEntries(this.categories.map((name) => [name, value])));
  }

  set(index, labels, escalated = this.escalated[index]) {
    this.history.push([index, this.labels[index], this.escalated[index]]);
    this.labels[index] = labels;
    this.escalated[index] = escalated;
    this.keep();
  }

  escalate(index) { this.set(index, this.labels[index], true); }

  /** Takes the last change back; gives its picture, or null where there is none. */
  undo() {
    const last = this.history.pop();
    if (last === undefined) return null;
    const [index, labels, escalated] = last;
    this.labels[index] = labels;
    this.escalated[index] = escalated;
    this.keep();
    return index;
  }

  /** How far a walk from the top has come; what nobody is sure of counts as a false alarm. */
  walk() {
    const { category, allowed } = this.data.header.walk;
    let labelled = 0, alarms = 0;
    while (labelled < this.size && this.isDone(labelled) && alarms <= allowed) {
      alarms += this.labels[labelled]?.[category] === true ? 0 : 1;
      labelled += 1;
    }
    return { labelled, alarms, allowed, ended: alarms > allowed || labelled === this.size };
  }

  /** The label file: the same marks make the same bytes. */
  file() {
    const rows = this.data.pictures.map((picture, index) => {
      const labels = this.labels[index];
      const said = labels === null ? {} : { labels, labeller: this.labeller };
      return { ...picture.row, ...said, ...(this.escalated[index] ? { escalated: true } : {}) };
    });
    return [this.data.header, ...rows].map((line) => `${canonical(line)}\n`).join("");
  }

  get fileName() {
    const name = this.labeller.normalize("NFKC").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
    return `${this.data.stem}-${name || "labels"}.jsonl`;
  }

  /**
   * Takes up a file that this page saved.
   * @returns {number} Of how many pictures it held labels.
   * @throws {Error} It is none, of another sample, or of somebody else: a sentence says which.
   */
  load(text) {
    const [header, ...rows] = text.split("\n").filter((line) => line.trim()).map(parsed);
    if (header?.labels !== this.data.header.labels) throw new Error("That is no label file.");
    if (canonical(header) !== canonical(this.data.header)) throw new Error("Those are labels of another sample.");
    const others = rows.find((row) => row.labeller !== undefined && row.labeller !== this.labeller);
    if (others) throw new Error(`Those are labels of ${others.labeller}. You label blind, so they are not shown.`);
    const at = new Map(this.data.pictures.map((picture, index) => [picture.row.sha256, index]));
    const known = rows.filter((row) => at.has(row.sha256) && (isMarks(row.labels) || row.escalated === true));
    for (const row of known) {
      const index = at.get(row.sha256);
      this.labels[index] = isMarks(row.labels) ? this.ours(row.labels) : null;
      this.escalated[index] = row.escalated === true;
    }
    this.history = [];
    this.keep();
    return known.length;
  }

  /** Only marks of this sheet's categories. */
  ours(labels) {
    const good = this.categories.filter((name) => Object.hasOwn(labels, name) && isMark(labels[name]));
    return Object.fromEntries(good.map((name) => [name, labels[name]]));
  }

  keep() {
    const kept = this.data.pictures.flatMap((picture, index) => {
      const labels = this.labels[index], escalated = this.escalated[index];
      return labels || escalated ? [[picture.row.sha256, labels, escalated]] : [];
    });
    try {
      this.storage.setItem(this.key, JSON.stringify(kept));
      this.keeps = true;
    } catch {
      this.keeps = false;
    }
  }

  restore() {
    const at = new Map(this.data.pictures.map((picture, index) => [picture.row.sha256, index]));
    for (const [sha256, labels, escalated] of keptBefore(this.storage, this.key)) {
      if (!at.has(sha256)) continue;
      this.labels[at.get(sha256)] = isMarks(labels) ? this.ours(labels) : null;
      this.escalated[at.get(sha256)] = escalated === true;
    }
  }
}

function keptBefore(storage, key) {
  try {
    const kept = JSON.parse(storage.getItem(key) ?? "[]");
    return Array.isArray(kept) ? kept.filter(Array.isArray) : [];
  } catch {
    return [];
  }
}

function parsed(line) {
  try {
    return JSON.parse(line) ?? {};
  } catch {
    throw new Error("That is no label file.");
  }
}

const isMark = (value) => value === true || value === false || value === "unsure";
const isMarks = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
