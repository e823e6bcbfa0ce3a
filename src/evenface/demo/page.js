"use strict";

const at = (id) => document.getElementById(id);
const percent = (rate) => (rate === null ? "–" : `${(100 * rate).toFixed(2)} %`);
const zones = Object.fromEntries(
  [...document.querySelectorAll(".zone")].map((zone) => [zone.dataset.picture, zone]));
const pictures = {};
let model = null;
let answer = null;

function withInterval(estimate) {
  const known = estimate.low !== null && estimate.high !== null;
  const ends = [estimate.low, estimate.high].map((rate) => (100 * rate).toFixed(2));
  return percent(estimate.value) + (known ? ` (${ends.join("–")})` : "");
}

async function showModel() {
  model = await (await fetch("model")).json();
  at("model").textContent = model.about;
  for (const { fmr, fnmr, threshold, chosen } of model.choices) {
    const inAll = Math.round(1 / fmr).toLocaleString("en");
    const text = `1 in ${inAll} strangers (misses ${+(100 * fnmr).toFixed(1)} %)`;
    at("fmr").add(new Option(text, threshold, chosen, chosen));
  }
  at("rate").hidden = model.choices.length < 2;
  const point = model.operating_point;
  if (!point) return;
  at("simulated").hidden = !point.simulated;
  at("audited").textContent = `Threshold ${point.threshold.toFixed(3)}, chosen at a false match `
    + `rate of ${percent(point.target_fmr)} on ${point.protocol}. With 95 % intervals:`;
  for (const group of Object.keys(point.fmr)) {
    const row = at("rates").tBodies[0].insertRow();
    for (const text of [group, withInterval(point.fmr[group]), withInterval(point.fnmr[group])]) {
      row.insertCell().textContent = text;
    }
  }
  at("audit").hidden = false;
}

function forgetAnswer() {
  answer = null;
  at("result").hidden = true;
  at("error").hidden = true;
}

function choose(name, file) {
  const zone = zones[name];
  const preview = zone.querySelector(".preview");
  const hint = zone.querySelector(".hint");
  pictures[name] = file;
  forgetAnswer();
  showProblem(name, "");
  zone.classList.add("chosen");
  URL.revokeObjectURL(preview.src);
  hint.textContent = file.name;  // all there is to see where the browser cannot show the format
  preview.onload = () => { preview.hidden = false; hint.hidden = true; };
  preview.onerror = () => { preview.hidden = true; hint.hidden = false; };
  preview.alt = `preview of ${file.name}`;
  preview.src = URL.createObjectURL(file);
  at("compare").disabled = !(pictures.first && pictures.second);
}

function showProblem(name, problem) {
  zones[name].classList.toggle("bad", problem !== "");
  at(`problem-${name}`).textContent = problem;
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",", 2)[1] || "");
    reader.onerror = () => reject(new Error(`${file.name} cannot be read`));
    reader.readAsDataURL(file);
  });
}

function showResult() {
  const chosen = model.choices.length ? Number(at("fmr").value) : answer.threshold;
  const match = chosen === null ? null : answer.score >= chosen;
  const decision = { true: "Match", false: "No match", null: "No decision: no threshold is known" };
  const set = model.choices.length ? `threshold ${chosen.toFixed(3)}` : model.decided_by;
  at("decision").textContent = decision[match];
  at("decision").className = { true: "match", false: "none", null: "" }[match];
  at("scores").textContent = `cosine ${answer.score.toFixed(3)}` + (chosen === null ? "" : `, ${set}`);
  at("face1").src = answer.faces[0];
  at("face2").src = answer.faces[1];
  at("bar").style.width = `${50 * (answer.score + 1)}%`;
  at("mark").hidden = chosen === null;
  if (chosen !== null) at("mark").style.left = `${50 * (chosen + 1)}%`;
  at("scale").setAttribute("aria-label", at("scores").textContent);
  at("remarks").replaceChildren(...answer.remarks.map((remark) => {
    const item = document.createElement("li");
    item.textContent = remark;
    return item;
  }));
  at("result").hidden = false;
}

async function compare() {
  at("compare").disabled = true;
  forgetAnswer();
  try {
    const [first, second] = await Promise.all([pictures.first, pictures.second].map(base64));
    const response = await fetch("verify", { method: "POST", body: JSON.stringify({ first, second }) });
    const found = await response.json();
    const problems = found.problems || {};
    for (const name of Object.keys(zones)) showProblem(name, problems[name] || "");
    if (response.ok) {
      answer = found;
      showResult();
    } else if (!Object.keys(problems).length) {
      throw new Error(found.error);
    }
  } catch (error) {
    at("error").textContent = error.message;
    at("error").hidden = false;
  } finally {
    at("compare").disabled = false;
  }
}

for (const [name, zone] of Object.entries(zones)) {
  const input = at(name);
  input.addEventListener("change", () => { if (input.files.length) choose(name, input.files[0]); });
  zone.addEventListener("dragover", () => zone.classList.add("over"));
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    zone.classList.remove("over");
    if (event.dataTransfer.files.length) choose(name, event.dataTransfer.files[0]);
  });
}
// A picture dropped beside the zones must not replace the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
at("pictures").addEventListener("submit", (event) => { event.preventDefault(); compare(); });
at("fmr").addEventListener("change", () => { if (answer) showResult(); });

showModel();
