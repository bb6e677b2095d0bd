// Runs models in ONNX Runtime: node run.js PACKAGE <cases.json >results.json. Cases
// are [{model, inputs: {name: {dims, data}}}], results [{name: {dims, data}}], data
// being little-endian float32 in base64.
const ort = require(process.argv[2]);

const decode = (text) => {
  const bytes = Buffer.from(text, "base64");
  return new Float32Array(new Uint8Array(bytes).buffer);
};
const encode = (x) => Buffer.from(x.buffer, x.byteOffset, x.byteLength).toString("base64");

(async () => {
  const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const results = [];
  for (const c of cases) {
    const session = await ort.InferenceSession.create(c.model, {
      intraOpNumThreads: 1, executionProviders: ["cpu"],
    });
    const feeds = {};
    for (const [name, t] of Object.entries(c.inputs)) {
      feeds[name] = new ort.Tensor("float32", decode(t.data), t.dims);
    }
    const got = await session.run(feeds);
    const out = {};
    for (const name of session.outputNames) {
      out[name] = { dims: got[name].dims, data: encode(got[name].data) };
    }
    results.push(out);
  }
  process.stdout.write(JSON.stringify(results));
})().catch((e) => {
  console.error(String(e));
  process.exit(1);
});
