// Draws the search trees and switches the colours. Text of the data only ever becomes text: nothing
// here writes HTML. Without this script all else on the page still stands.
(function () {
  "use strict";
  const root = document.documentElement;
  const KEY = "datagen-report-theme";

  function remembered() {
    try { return localStorage.getItem(KEY) || "auto"; } catch { return "auto"; }
  }
  function remember(choice) {
    // A page from a file may have no storage; the choice then lasts as long as the page.
    try { localStorage.setItem(KEY, choice); } catch { /* nothing is lost */ }
  }
  let choice = remembered();
  function paint() {
    if (choice === "auto") delete root.dataset.theme; // what the system says, by the style alone
    else root.dataset.theme = choice;
    for (const button of document.querySelectorAll(".theme button")) {
      button.setAttribute("aria-pressed", String(button.value === choice));
    }
  }
  function add(parent, tag, name, text) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined && text !== null) made.textContent = text;
    parent.appendChild(made);
    return made;
  }
  const switches = document.querySelector(".theme");
  for (const name of ["auto", "light", "dark"]) {
    const button = add(switches, "button", "", name[0].toUpperCase() + name.slice(1));
    button.type = "button";
    button.value = name;
    button.addEventListener("click", () => { choice = name; remember(name); paint(); });
  }
  paint();

  const links = [...document.querySelectorAll(".top nav a")];
  if (window.IntersectionObserver) {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links) {
          if (link.hash === "#" + entry.target.id) link.setAttribute("aria-current", "true");
          else link.removeAttribute("aria-current");
        }
      }
    }, { rootMargin: "-20% 0px -70% 0px" });
    for (const link of links) seen.observe(document.querySelector(link.hash));
  }

  const holder = document.getElementById("tree-data");
  if (!holder) return;
  const trees = JSON.parse(holder.textContent);
  const choices = document.getElementById("tree-choice");
  const about = document.getElementById("tree-question");
  const tools = document.getElementById("tree-tools");
  const view = document.getElementById("tree");
  const OUTCOMES = {
    correct: ["✓", "good", "right"], wrong: ["✗", "bad", "wrong"],
    unverifiable: ["?", "dim", "nobody can judge"], truncated: ["…", "dim", "cut off"],
  };
  const KINDS = { state: "", proposal: "not taken", rollout: "rollout" };
  let rows = [];

  function fixed(value) { return value === undefined ? "" : value.toFixed(2); }

  function draw(tree) {
    about.textContent = "";
    add(about, "p", "question text", tree.question);
    add(about, "p", "gold text", "Right answer: " + tree.gold + " · " + tree.n_right +
      " rollouts end right, " + tree.n_wrong + " wrong");
    if (tree.prefix.length) {
      const given = add(about, "div", "given");
      add(given, "div", "dim small", "Given, written by a person");
      for (const [factor, family, text] of tree.prefix) {
        const line = add(given, "div", "text");
        add(line, "span", "factor " + family, factor);
        line.append(text);
      }
    }
    view.textContent = "";
    rows = tree.lines.map((line, place) => {
      const next = tree.lines[place + 1];
      const parent = next !== undefined && next.level > line.level;
      // The way that the search preferred is open; the rest opens by hand.
      return { line, parent, open: parent && (line.is_best || line.level < 2), element: null };
    });
    for (const row of rows) row.element = element(row);
    arrange();
    if (rows.length) rows[0].element.tabIndex = 0;
  }

  function element(row) {
    const { line } = row;
    const made = add(view, "div", "node " + line.kind + (line.is_best ? " best" : ""));
    made.setAttribute("role", "treeitem");
    made.setAttribute("aria-level", line.level);
    made.setAttribute("aria-selected", "false");
    made.tabIndex = -1;
    made.style.setProperty("--level", line.level - 1);
    const what = add(made, "div", "what");
    const fold = add(what, "span", "fold");
    fold.setAttribute("aria-hidden", "true");
    const said = add(what, "div", "said text");
    if (line.outcome) {
      const [sign, name, word] = OUTCOMES[line.outcome] || OUTCOMES.unverifiable;
      add(said, "span", "hidden", [KINDS[line.kind], word, ""].join(" ").trimStart());
      add(said, "span", "end " + name, sign + " ").title = word;
    } else if (KINDS[line.kind]) add(said, "span", "hidden", KINDS[line.kind] + ": ");
    if (line.factor) add(said, "span", "factor " + line.family, line.factor);
    if (line.kind === "rollout") {
      // What it came to comes first, where no shortening hides it; then the way there.
      const steps = line.text.split("\n");
      const last = steps.pop();
      add(said, "span", "end " + (OUTCOMES[line.outcome] || OUTCOMES.unverifiable)[1], last);
      if (steps.length) said.append(steps.join(" › "));
    } else said.append(line.text);
    const numbers = add(made, "div", "numbers-line");
    const cells = [
      ["N", line.n_visits || ""],
      ["Q", fixed(line.value)],
      ["π", fixed(line.share)],
      ["right", line.n_rollouts ? (line.n_right || 0) + "/" + line.n_rollouts : ""],
    ];
    for (const [name, text] of cells) add(numbers, "span", "n", text).dataset.name = name;
    made.addEventListener("click", (event) => {
      if (row.parent && event.target === fold) toggle(row);
      else if (row.parent && made.getAttribute("aria-selected") === "true") toggle(row);
      select(row);
    });
    return made;
  }

  function arrange() {
    let hiddenBelow = Infinity;
    for (const row of rows) {
      const { level } = row.line;
      if (level <= hiddenBelow) hiddenBelow = Infinity;
      row.element.hidden = level > hiddenBelow;
      row.element.style.display = row.element.hidden ? "none" : "";
      if (row.parent) {
        row.element.setAttribute("aria-expanded", String(row.open));
        row.element.querySelector(".fold").textContent = row.open ? "▾" : "▸";
        if (!row.open && hiddenBelow === Infinity) hiddenBelow = level;
      }
    }
  }
  function toggle(row, open) {
    row.open = open === undefined ? !row.open : open;
    arrange();
  }
  function select(row, focus) {
    for (const other of rows) {
      other.element.tabIndex = other === row ? 0 : -1;
      other.element.setAttribute("aria-selected", String(other === row));
    }
    if (focus) row.element.focus();
  }
  function parentOf(place) {
    for (let n = place - 1; n >= 0; n--) if (rows[n].line.level < rows[place].line.level) return n;
    return place;
  }
  view.addEventListener("keydown", (event) => {
    const place = rows.findIndex((row) => row.element === document.activeElement);
    if (place < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = rows[place];
    const shown = rows.filter((one) => !one.element.hidden);
    const at = shown.indexOf(row);
    let target = null;
    if (event.key === "ArrowDown") target = shown[at + 1];
    else if (event.key === "ArrowUp") target = shown[at - 1];
    else if (event.key === "Home") target = shown[0];
    else if (event.key === "End") target = shown[shown.length - 1];
    else if (event.key === "ArrowRight") {
      if (row.parent && !row.open) toggle(row, true);
      else if (row.parent) target = rows[place + 1];
    } else if (event.key === "ArrowLeft") {
      if (row.parent && row.open) toggle(row, false);
      else target = rows[parentOf(place)];
    } else if (event.key === "Enter" || event.key === " ") {
      if (row.parent) toggle(row);
      target = row;
    } else return;
    event.preventDefault();
    if (target) select(target, true);
  });

  const ways = [
    ["Best path", (row) => Boolean(row.line.is_best) || row.line.level < 2],
    ["Open all", () => true],
    ["Close all", (row) => row.line.level < 2],
  ];
  for (const [name, isOpen] of ways) {
    const button = add(tools, "button", "", name);
    button.type = "button";
    button.addEventListener("click", () => {
      for (const row of rows) row.open = row.parent && isOpen(row);
      arrange();
    });
  }
  trees.forEach((tree, n) => {
    const button = add(choices, "button", "", "Question " + (n + 1));
    button.type = "button";
    add(button, "span", "good", "✓ " + tree.n_right);
    add(button, "span", "bad", "✗ " + tree.n_wrong);
    button.addEventListener("click", () => {
      for (const other of choices.children) other.setAttribute("aria-pressed", String(other === button));
      draw(tree);
    });
  });
  if (trees.length) choices.firstChild.click();
})();
