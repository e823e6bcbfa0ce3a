"use strict";

const at = (id) => document.getElementById(id);
const percent = (rate) => (rate === null ? "–" : `${(100 * rate).toFixed(2)} %`);

function withInterval(estimate) {
  const known = estimate.low !== null && estimate.high !== null;
  return percent(estimate.value) + (known ? ` (${percent(estimate.low)} to ${percent(estimate.high)})` : "");
}

async function showModel() {
  const model = await (await fetch("model")).json();
  const point = model.operating_point;
  if (!point) {
    at("audit").textContent = model.threshold === null
      ? `The model ${model.name} has no audited threshold: only a score is given.`
      : `The threshold of ${model.name} was set by hand; its error rates are not known.`;
    return;
  }
  at("simulated").hidden = !point.simulated;
  at("audit").textContent = `${model.name}: threshold ${point.threshold.toFixed(3)}, chosen at a `
    + `false match rate of ${percent(point.target_fmr)} on ${point.protocol}. With 95 % intervals:`;
  for (const group of Object.keys(point.fmr)) {
    const row = at("rates").tBodies[0].insertRow();
    for (const text of [group, withInterval(point.fmr[group]), withInterval(point.fnmr[group])]) {
      row.insertCell().textContent = text;
    }
  }
  at("rates").hidden = false;
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",", 2)[1] || "");
    reader.onerror = () => reject(new Error(`${file.name} cannot be read`));
    reader.readAsDataURL(file);
  });
}

function showResult(answer) {
  const decision = { true: "Match", false: "No match", null: "No decision: no threshold is known" };
  at("decision").textContent = decision[answer.match];
  at("scores").textContent = `cosine ${answer.score.toFixed(3)}`
    + (answer.threshold === null ? "" : `, threshold ${answer.threshold.toFixed(3)}`);
  at("face1").src = answer.faces[0];
  at("face2").src = answer.faces[1];
  at("bar").style.width = `${50 * (answer.score + 1)}%`;
  at("mark").hidden = answer.threshold === null;
  if (answer.threshold !== null) at("mark").style.left = `${50 * (answer.threshold + 1)}%`;
  at("scale").setAttribute("aria-label", at("scores").textContent);
  at("remarks").replaceChildren(...answer.remarks.map((remark) => {
    const item = document.createElement("li");
    item.textContent = remark;
    return item;
  }));
  at("result").hidden = false;
}

at("pictures").addEventListener("submit", async (event) => {
  event.preventDefault();
  at("compare").disabled = true;
  at("error").hidden = true;
  at("result").hidden = true;
  try {
    const [first, second] = await Promise.all(["first", "second"].map((id) => base64(at(id).files[0])));
    const response = await fetch("verify", { method: "POST", body: JSON.stringify({ first, second }) });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    showResult(answer);
  } catch (error) {
    at("error").textContent = error.message;
    at("error").hidden = false;
  } finally {
    at("compare").disabled = false;
  }
});

showModel();
