// Heatmaps of MoveNet Thunder by the official TF.js CPU runtime; it makes the numbers that test_movenet.py compares with.
//   npm install @tensorflow/tfjs@4.22.0 && node movenet_reference.mjs PACKAGE_FOLDER IMAGES.bin HEATMAPS.bin
// IMAGES.bin: uint8 RGB images of 256×256, one behind the other; HEATMAPS.bin: float32 [N,64,64,17].
import fs from "node:fs";
import * as tf from "@tensorflow/tfjs";

const [folder, images, heatmaps] = process.argv.slice(2);
const document = JSON.parse(fs.readFileSync(`${folder}/models/movenet-thunder.json`));
const weights = fs.readFileSync(`${folder}/models/movenet-thunder.bin`);
await tf.setBackend("cpu");
const model = await tf.loadGraphModel({
  load: async () => ({
    modelTopology: document.modelTopology,
    weightSpecs: document.weightsManifest.flatMap((group) => group.weights),
    weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.length),
  }),
});
const pixels = fs.readFileSync(images);
const size = 256 * 256 * 3;
const results = [];
for (let start = 0; start < pixels.length; start += size) {
  const input = tf.tensor(Int32Array.from(pixels.subarray(start, start + size)), [1, 256, 256, 3], "int32");
  const output = model.execute(input, "StatefulPartitionedCall/Sigmoid");
  results.push(Buffer.from(output.dataSync().buffer.slice(0)));
}
fs.writeFileSync(heatmaps, Buffer.concat(results));
