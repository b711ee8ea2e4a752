// The figures of the tour. Each draws what the kernels have computed for the step of the timeline.
import { element, json } from "./dom.js";
import { attention, embedding, loss, mlp, tokens } from "./tour-forward.js";
import { lanes } from "./tour-lanes.js";
import { note } from "./tour-parts.js";
import { adamw, backward, clip, sampling, schedule } from "./tour-training.js";
import { AGAIN, trained } from "./trained.js";

/** @import { Figure } from "./tour-parts.js" */

/** @type {Figure} */
const devices = (box) => {
  /** @type {[string, string, string][]} */
  const columns = [
    ["GPU", "a lane is a thread, a warp is a warp", "fma.rn.f32 %f3, %f1, %f2, %f3;"],
    ["CPU", "32 lanes are two AVX-512 registers, four of AVX2 or eight of NEON", "vfmadd231ps zmm3, zmm1, zmm2"],
    ["this page", "32 lanes are eight v128 vectors", "f32x4.relaxed_madd"],
  ];
  const cards = columns.map(([device, lanes, code]) =>
    element(
      "div",
      { className: "device" },
      element("h3", { textContent: device }),
      element("p", { textContent: lanes }),
      element("code", { textContent: code }),
    ),
  );
  box.replaceChildren(
    element(
      "pre",
      { className: "source" },
      element("code", { textContent: "y[t] = inputs[t].broadcast_pair(pair).mul_add(w, y[t]);" }),
    ),
    element("div", { className: "devices" }, ...cards),
    note(
      trained
        ? `${AGAIN} The live view shows the hash of all weights and moments, by which two runs can be compared.`
        : `After 500 steps of the default run, every device has the hash ${json("native").hash} of all weights and moments. Train the default run, and the live view compares yours.`,
    ),
  );
};

/** The figures by name. @type {Record<string, Figure>} */
export const FIGURES = {
  tokens,
  embedding,
  attention,
  mlp,
  loss,
  backward,
  clip,
  adamw,
  schedule,
  sampling,
  lanes,
  devices,
};
