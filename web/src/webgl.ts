// Points by WebGL2: their places are sent to the graphics card once, and a frame is two
// calls. No code is built from text but the two programs below, which are for the card.
import { classes, type Painter, type View } from "./painter";
import type { Points } from "./points";

const movingPoints = 100000; // that are drawn while the map moves

const vertex = `#version 300 es
in vec2 place; // 0 … 1
in float kind; // class
uniform vec4 view; // from the map to clip space: factors, offsets
uniform float size, only; // pixels of a mark's square; the class that is shown
uniform vec3 palette[6];
flat out vec3 colour;
flat out int shape;
void main() {
	int k = int(kind);
	bool grey = k == ${classes};
	colour = palette[grey ? 5 : k % 5];
	shape = grey ? 0 : k / 5;
	gl_Position = only >= 0. && kind != only ? vec4(2, 2, 2, 1) : vec4(place * view.xy + view.zw, 0, 1);
	gl_PointSize = size;
}`;

// The distance to the edge of a disc, a square or a triangle, in pixels, makes the edge
// smooth. The shapes are those of mark in painter.ts.
const fragment = `#version 300 es
precision highp float;
uniform float size, radius;
flat in vec3 colour;
flat in int shape;
out vec4 ink;
void main() {
	vec2 p = (gl_PointCoord - .5) * size;
	float far = length(p) - radius;
	if (shape == 1) far = max(abs(p.x), abs(p.y)) - .9 * radius;
	if (shape >= 2) far = max(p.y - .8 * radius,
		dot(vec2(abs(p.x), p.y + 1.2 * radius), normalize(vec2(2., -1.1))));
	float cover = clamp(.5 - far, 0., 1.);
	if (cover == 0.) discard;
	ink = vec4(colour * cover, cover);
}`;

/** webglPainter returns null where there is no WebGL2, or it does not work. */
export function webglPainter(canvas: HTMLCanvasElement, points: Points, classOf: Uint8Array): Painter | null {
	const gl = canvas.getContext("webgl2", { antialias: false, depth: false, alpha: true });
	const program = gl && build(gl);
	if (!gl || !program) return null;
	const order = shuffled(classOf), n = order.length;
	const coloured = order.findIndex((i) => classOf[i] !== classes), below = coloured < 0 ? n : coloured; // grey ones
	const places = new Uint16Array(2 * n), kinds = new Uint8Array(n);
	order.forEach((i, at) => {
		places[2 * at] = Math.round(points.x[i] * 65535);
		places[2 * at + 1] = Math.round(points.y[i] * 65535);
		kinds[at] = classOf[i];
	});
	attribute(gl, program, "place", places, 2, gl.UNSIGNED_SHORT, true);
	attribute(gl, program, "kind", kinds, 1, gl.UNSIGNED_BYTE, false);
	gl.useProgram(program);
	gl.enable(gl.BLEND);
	gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
	const at = (name: string) => gl.getUniformLocation(program, name);
	const view = at("view"), size = at("size"), radius = at("radius"), only = at("only"), palette = at("palette");
	const painter: Painter = {
		kind: "webgl2",
		colours(list) {
			gl.uniform3fv(palette, list.slice(0, 6).flatMap((c) => (c.match(/[\d.]+/g) ?? []).slice(0, 3).map((x) => Number(x) / 255)));
		},
		paint(v: View) {
			gl.viewport(0, 0, canvas.width, canvas.height);
			gl.clearColor(0, 0, 0, 0);
			gl.clear(gl.COLOR_BUFFER_BIT);
			gl.uniform4f(view, 2 * v.side / v.width, -2 * v.side / v.height, 2 * v.left / v.width - 1, 1 - 2 * v.top / v.height);
			gl.uniform1f(radius, v.size * v.scale);
			gl.uniform1f(size, 2.4 * v.size * v.scale + 2);
			gl.uniform1f(only, v.only);
			// Grey first, then the classes; while the map moves a part of each, evenly chosen.
			const share = v.moving ? Math.min(1, movingPoints / n) : 1;
			gl.drawArrays(gl.POINTS, 0, Math.ceil(below * share));
			gl.drawArrays(gl.POINTS, below, Math.ceil((n - below) * share));
		},
	};
	canvas.addEventListener("webglcontextlost", () => painter.lost?.());
	return painter;
}

/** build returns the program, null if the card does not take it. */
function build(gl: WebGL2RenderingContext): WebGLProgram | null {
	const program = gl.createProgram()!;
	for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as [number, string][]) {
		const shader = gl.createShader(kind)!;
		gl.shaderSource(shader, text);
		gl.compileShader(shader);
		gl.attachShader(program, shader);
	}
	gl.linkProgram(program);
	return gl.getProgramParameter(program, gl.LINK_STATUS) ? program : null;
}

function attribute(gl: WebGL2RenderingContext, program: WebGLProgram, name: string, data: Uint16Array | Uint8Array, size: number, type: number, normal: boolean) {
	const at = gl.getAttribLocation(program, name);
	gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
	gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
	gl.enableVertexAttribArray(at);
	gl.vertexAttribPointer(at, size, type, normal, 0, 0);
}

/** shuffled returns the points in an order of which every beginning is a fair sample,
 * the same each time: first the grey ones, then the others. */
function shuffled(classOf: Uint8Array): Uint32Array {
	const order = Uint32Array.from(classOf, (_, i) => i);
	let state = 1;
	for (let i = order.length - 1; i > 0; i--) {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		const j = Math.floor(state / 2 ** 32 * (i + 1));
		[order[i], order[j]] = [order[j], order[i]];
	}
	const grey = order.filter((i) => classOf[i] === classes), rest = order.filter((i) => classOf[i] !== classes);
	order.set(grey);
	order.set(rest, grey.length);
	return order;
}
